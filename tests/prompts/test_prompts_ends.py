"""What ends an answer: stop texts by layout, and an end for labels of which one begins another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from icl.calibration.batch import Batch
from icl.calibration.contextual import Contextual
from icl.calibration.domain_context import DomainContext
from icl.calibration.pmi import PMI
from icl.conversation import answer_queries
from icl.engine.fake import ByteTokenizer, FakeModel
from icl.labels import label_texts
from icl.methods.direct import Direct
from icl.methods.generate import Generate
from icl.prompts import PromptRenderer
from icl.protocols import Method, Resources
from icl.types import Demonstration, Example, Outcome, Query, ScoreRequest, Scores, Task, Template, Usage

SUMS = Task("sums", "numeric", Template("Q: {{ q }}\nA:"), ("q",), max_answer_tokens=200)
STARS = Task("stars", "classification", Template("Review: {{ q }}\nStars:"), ("q",), labels=("1", "5", "10"))
QUERY = Query("q", {"q": "the best I have seen"})


class ChatTokenizer(ByteTokenizer):
    """Bytes, with a chat template of its own."""

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        return "".join(f"<{m['role']}>{m['content']}</s>\n" for m in messages) + "<assistant>"


class Digits(FakeModel):
    """Nearly sure of "10": the 1 costs 0.5 nats, the 0 after it 0.1, an end after the lone 1 three."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def score(self, requests, on_result=None):
        found = []
        for request in requests:
            self.asked += request.continuations
            found.append(
                Scores(tuple(self._costs(text) for text in request.continuations), Usage(0, 0, 0, 0.0))
            )
        return found

    def _costs(self, text: str) -> tuple[float, ...]:
        nats = {"1": 0.5, "5": 4.0, "0": 0.1, "\n": 3.0 if text.strip() == "1" else 0.1}
        return tuple(-nats.get(character, 0.0) for character in text)


def resources(task: Task, model: FakeModel, chat: bool = False) -> Resources:
    tokenizer = ChatTokenizer() if chat else model.tokenizer
    renderer = PromptRenderer(task=task, tokenizer=tokenizer, context_length=4096, chat=chat)
    return Resources(task, model=model, renderer=renderer)


def ask(method: Method, task: Task, model: FakeModel, chat: bool = False) -> Outcome:
    return answer_queries(method, [QUERY], [()], resources(task, model, chat))[0]


def test_a_blank_line_ends_an_answer_in_plain_text_and_not_in_a_chat() -> None:
    reply = "First we take 2 of them.\n\nThen 5 more come.\n\n**Answer: 7**"
    model = FakeModel(reply_with=lambda prompt, sample: reply)
    assert ask(Generate(), SUMS, model).output == "First we take 2 of them."
    in_chat = ask(Generate(), SUMS, model, chat=True)
    assert (in_chat.output, in_chat.answer) == (reply, "7")


def test_a_chat_reply_may_begin_with_a_blank_line() -> None:
    model = FakeModel(reply_with=lambda prompt, sample: "\n\n7")
    assert ask(Generate(), SUMS, model, chat=True).answer == "7"


@pytest.mark.parametrize("chain", [True, False])
def test_stops_belong_to_the_layout(chain: bool) -> None:
    renderers = [resources(SUMS, FakeModel(), chat).renderer for chat in (False, True)]
    plain, chat = (r.stops(chain=chain) for r in renderers if r is not None)
    assert "\nQ:" in plain
    assert chat == ()


def test_the_longer_label_can_win_where_the_shorter_one_begins_it() -> None:
    open_ended = replace(STARS, template=replace(STARS.template, label_end="never"))
    assert ask(Direct(), open_ended, Digits()).answer == "1"  # no text is likelier than its beginning
    assert ask(Direct(), STARS, Digits()).answer == "10"


@pytest.mark.parametrize("method", [Direct(), PMI(), Contextual(), DomainContext(), Batch()])
def test_every_scoring_method_ends_its_labels(method: Method) -> None:
    model = Digits()
    own = resources(STARS, model)
    pool = [Example("e", {"q": "a fine film"}, "5")]
    answer_queries(method.fit(pool, replace(own, pool=tuple(pool))), [QUERY], [()], own)
    assert set(model.asked) == {" 1\n\n", " 5\n\n", " 10\n\n"}


def test_the_end_is_the_separator_or_the_end_of_a_turn() -> None:
    labels, texts = label_texts(QUERY, resources(STARS, FakeModel()))
    assert labels == ("1", "5", "10")
    assert texts == (" 1\n\n", " 5\n\n", " 10\n\n")
    _, texts = label_texts(QUERY, resources(STARS, FakeModel(), chat=True))
    assert texts == ("1</s>\n", "5</s>\n", "10</s>\n")


@pytest.mark.parametrize(
    ("labels", "setting", "ended"),
    [
        (("negative", "neutral"), "auto", False),
        (("card", "card not working"), "auto", True),
        (("negative", "neutral"), "always", True),
        (("1", "10"), "never", False),
    ],
)
def test_when_labels_have_an_end(labels: tuple[str, ...], setting: str, ended: bool) -> None:
    template = replace(STARS.template, label_end=setting)
    _, texts = label_texts(QUERY, resources(replace(STARS, labels=labels, template=template), FakeModel()))
    assert all(text.endswith("\n\n") == ended for text in texts)


def test_what_is_scored_is_what_a_demonstration_shows() -> None:
    own = resources(STARS, FakeModel())
    assert own.renderer is not None
    shown = own.renderer.prompt(QUERY, [Demonstration(Example("e", {"q": "fine"}, "10"))]).text
    _, texts = label_texts(QUERY, own)
    assert f"Review: fine\nStars:{texts[2]}" in shown
    request = ScoreRequest(shown, texts)
    assert request.continuations == texts
