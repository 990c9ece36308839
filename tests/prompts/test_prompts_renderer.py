"""Prompts: their text, and how they are fitted into the context window, at the limit and beside it."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.engine.fake import ByteTokenizer
from icl.errors import ConfigError, ContextOverflow
from icl.prompts import PromptRenderer
from icl.prompts.preference import keep_order
from icl.types import Demonstration, Example, Query, Task, Template

TASK = Task(
    name="films",
    kind="classification",
    template=Template(
        query="Review: {{ text }}\nSentiment:",
        channel_answer="Sentiment: {{ answer }}\nReview:",
        channel_query=" {{ text }}",
    ),
    inputs=("text",),
    labels=("neg", "pos"),
    verbalisers={"neg": "bad", "pos": "good"},
    instruction="Judge.",
)
QUERY = Query("q7", {"text": "so so"})


def demo(name, score=None, text=None, rationale=None):
    example = Example(name, {"text": text or f"film {name}"}, "pos", rationale=rationale)
    return Demonstration(example, score)


def renderer(**changes):
    return PromptRenderer(**{"task": TASK, "tokenizer": ByteTokenizer(), "context_length": 10_000} | changes)


def test_plain_prompt_to_the_letter():
    prompt = renderer().prompt(QUERY, [demo("a"), demo("b")])
    assert prompt.text == (
        "Judge.\n\nReview: film a\nSentiment: good\n\nReview: film b\nSentiment: good\n\n"
        "Review: so so\nSentiment:"
    )
    assert prompt.demonstrations == ("a", "b")
    assert prompt.dropped == ()
    assert prompt.tokens == len(prompt.text.encode())


def test_rationale_channel_and_suffix():
    make = renderer(task=replace(TASK, instruction=""))
    because = demo("a", rationale="It shines.")
    assert make.prompt(QUERY, [because], style="rationale", suffix=" Let's think. ").text == (
        "Review: film a\nSentiment: It shines. The answer is good.\n\nReview: so so\nSentiment: Let's think."
    )
    assert make.prompt(QUERY, [demo("a")], style="channel", label="neg").text == (
        "Sentiment: good\nReview: film a\n\nSentiment: bad\nReview:"
    )
    assert make.channel_query(QUERY) == " so so"
    assert make.answer("neg") == " bad"


def test_the_same_example_id_with_another_rationale_is_another_demonstration():
    make = renderer()
    first = make.prompt(QUERY, [demo("a", rationale="One.")], style="rationale").text
    second = make.prompt(QUERY, [demo("a", rationale="Two.")], style="rationale").text
    assert "One." in first
    assert "Two." in second


def test_channel_needs_its_templates_and_a_label():
    plain = replace(TASK, template=Template(query="{{ text }}"))
    with pytest.raises(ConfigError, match="channel_answer"):
        renderer(task=plain).prompt(QUERY, [], style="channel", label="pos")
    with pytest.raises(ValueError, match="label"):
        renderer().prompt(QUERY, [], style="channel")


def test_a_demonstration_without_rationale_is_refused_by_name():
    with pytest.raises(ConfigError, match="example 'a' has no rationale"):
        renderer().prompt(QUERY, [demo("a")], style="rationale")


@pytest.mark.parametrize("slack", [-1, 0, 1])
def test_the_limit_to_the_token(slack):
    demonstrations = [demo("a", 0.9), demo("b", 0.1), demo("c", 0.5)]
    reserve = 5
    full = renderer().prompt(QUERY, demonstrations).tokens
    prompt = renderer(context_length=full + reserve + slack).prompt(QUERY, demonstrations, reserve=reserve)
    if slack >= 0:
        assert prompt.demonstrations == ("a", "b", "c")
        assert not prompt.dropped
    else:
        assert prompt.demonstrations == ("a", "c")
        assert [d.id for d in prompt.dropped] == ["b"]
        assert prompt.dropped[0].reason == f"context: {full} tokens + 5 reserved > {full + 4}"
        assert "film b" not in prompt.text
        assert prompt.text.startswith("Judge.\n\nReview: film a\n")


def test_the_lowest_scores_go_first_and_the_order_stays():
    demonstrations = [demo("a", 0.2), demo("b", 0.9), demo("c", 0.1), demo("d", 0.5)]
    two = renderer().prompt(QUERY, [demonstrations[1], demonstrations[3]])
    prompt = renderer(context_length=two.tokens).prompt(QUERY, demonstrations)
    assert prompt.text == two.text
    assert [d.id for d in prompt.dropped] == ["c", "a"]


def test_without_scores_the_first_goes_first():
    demonstrations = [demo("a"), demo("b"), demo("c")]
    one = renderer().prompt(QUERY, demonstrations[2:])
    assert renderer(context_length=one.tokens).prompt(QUERY, demonstrations).demonstrations == ("c",)


@pytest.mark.parametrize(
    ("scores", "order"),
    [
        ([0.1, 0.3, 0.2], [1, 2, 0]),
        ([0.5, 0.5, 0.1], [1, 0, 2]),
        ([None, 0.9, 0.1], [2, 1, 0]),
        ([float("nan"), 0.9], [1, 0]),
        ([], []),
    ],
)
def test_keep_order(scores, order):
    assert keep_order([demo(str(i), s) for i, s in enumerate(scores)]) == order


@pytest.mark.parametrize("slack", [-1, 0, 1])
def test_a_query_that_does_not_fit_alone(slack):
    alone = renderer().prompt(QUERY, []).tokens
    make = renderer(context_length=alone + 8 + slack)
    if slack >= 0:
        assert make.prompt(QUERY, [demo("a")], reserve=8).demonstrations == ()
        return
    message = f"query 'q7'.* {alone} tokens, and 8 are reserved .* holds {alone + 7}"
    for demonstrations in ([], [demo("a")]):
        with pytest.raises(ContextOverflow, match=message):
            make.prompt(QUERY, demonstrations, reserve=8)


def test_overflow_fail_drops_nothing():
    full = renderer().prompt(QUERY, [demo("a"), demo("b")])
    assert renderer(context_length=full.tokens, overflow="fail").prompt(QUERY, [demo("a"), demo("b")]) == full
    with pytest.raises(ContextOverflow, match="with 2 demonstrations"):
        renderer(context_length=full.tokens - 1, overflow="fail").prompt(QUERY, [demo("a"), demo("b")])


def test_a_length_is_counted_once_and_the_text_is_not_kept(monkeypatch):
    counted = []
    monkeypatch.setattr(ByteTokenizer, "encode", lambda self, text: counted.append(len(text)) or [0] * 5)
    made = renderer(context_length=10)
    tracemalloc.start()
    for _ in range(2):
        for i in range(400):
            assert made.prompt(Query(str(i), {"text": f"{i} " + "x" * 20_000}), []).tokens == 5
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(counted) == 400
    assert kept < 400 * 1_000  # bytes; the texts would be 8 million


class MergingTokenizer(ByteTokenizer):
    """Two equal neighbours are one token: the whole is shorter than the sum of its pieces."""

    def encode(self, text):
        ids, out = super().encode(text), []
        for i in ids:
            if out and out[-1] == i:
                continue
            out.append(i)
        return tuple(out)


@given(
    texts=st.lists(st.text("xy ", min_size=1, max_size=30), min_size=1, max_size=6),
    scores=st.lists(st.floats(0, 1), min_size=6, max_size=6),
    room=st.integers(0, 150),
    tokenizer=st.sampled_from([ByteTokenizer(), MergingTokenizer()]),
)
def test_as_many_as_fit_and_never_a_token_more(texts, scores, room, tokenizer):
    demonstrations = [demo(str(i), s, t) for i, (t, s) in enumerate(zip(texts, scores, strict=False))]
    free = renderer(tokenizer=tokenizer)
    limit = free.prompt(QUERY, []).tokens + room
    prompt = renderer(tokenizer=tokenizer, context_length=limit).prompt(QUERY, demonstrations)
    assert prompt.tokens == len(tokenizer.encode(prompt.text)) <= limit
    assert {*prompt.demonstrations, *(d.id for d in prompt.dropped)} == {d.example.id for d in demonstrations}
    if prompt.dropped:
        preferred = [demonstrations[i] for i in keep_order(demonstrations)][: len(prompt.demonstrations) + 1]
        one_more = sorted(preferred, key=lambda d: int(d.example.id))
        assert free.prompt(QUERY, one_more).tokens > limit


def test_chat_turns():
    make = renderer(chat=True)
    assert make.prompt(QUERY, [demo("a")]).text == (
        "<system>Judge.</system><user>Review: film a\nSentiment:</user><assistant>good</assistant>"
        "<user>Review: so so\nSentiment:</user><assistant>"
    )
    assert make.prompt(QUERY, [], suffix=" Let's think.").text.endswith("<assistant>Let's think.")
    assert make.answer("pos") == "good"
    assert make.answer("pos", after=" So the answer is") == " good"
    assert make.channel_query(QUERY) == "so so"
    assert [m["role"] for m in make.messages(QUERY, [demo("a")])] == ["system", "user", "assistant", "user"]


def test_chat_in_one_turn():
    text = renderer(chat="single").prompt(QUERY, [demo("a")]).text
    assert text == (
        "<user>Judge.\n\nReview: film a\nSentiment: good\n\nReview: so so\nSentiment:</user><assistant>"
    )


def test_chat_is_measured_with_its_template():
    demonstrations = [demo("a", 0.1), demo("b", 0.2)]
    full = renderer(chat="turns").prompt(QUERY, demonstrations)
    fitted = renderer(chat="turns", context_length=full.tokens - 1).prompt(QUERY, demonstrations)
    assert fitted.demonstrations == ("b",)


def test_an_answer_that_shows_the_choice_needs_the_query():
    template = Template(query="{{ q }}", answer=" ({{ answer }}) {{ choices[answer] }}")
    make = renderer(task=Task("mc", "multiple_choice", template, ("q",)))
    assert make.answer("B", query=Query("x", {"q": "?"}, {"A": "one", "B": "two"})) == " (B) two"
    with pytest.raises(ConfigError, match=r"template\.answer"):
        make.answer("B")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"overflow": "cut"}, "'cut'"), ({"chat": "yes"}, "'yes'"), ({"context_length": 0}, "at least 1")],
)
def test_wrong_options(change, message):
    with pytest.raises(ConfigError, match=message):
        renderer(**change)


def test_without_a_limit_nothing_is_measured_or_dropped(monkeypatch):
    shown = [demo(str(i), score=float(i)) for i in range(40)]
    wanted = renderer().prompt(QUERY, shown)
    short = renderer(context_length=300).prompt(QUERY, shown)
    assert short.dropped

    def refuse(self, text):
        raise AssertionError("measured")

    monkeypatch.setattr(ByteTokenizer, "encode", refuse)
    free = renderer(context_length=None)
    prompt = free.prompt(QUERY, shown, reserve=1_000_000)
    assert (prompt.text, prompt.demonstrations, prompt.dropped) == (wanted.text, wanted.demonstrations, ())
    assert prompt.tokens == 0
    kept = [d for d in shown if d.example.id in short.demonstrations]
    assert free.prompt(QUERY, kept).text == short.text


def test_a_query_is_rendered_by_its_inputs_choices_and_label_whatever_its_id():
    template = replace(TASK.template, query="{{ text }}{% for c in choices %} {{ c }}{% endfor %}?")
    make = renderer(task=replace(TASK, template=template))
    texts = {
        make.prompt(Query(name, {"text": text}, choices), []).text
        for name in ("q1", "q2")
        for text in ("a", "b")
        for choices in ({}, {"A": "x"}, {"B": "x"})
    }
    assert texts == {f"Judge.\n\n{text}{choice}?" for text in "ab" for choice in ("", " A", " B")}
    sides = [make.prompt(QUERY, [], style="channel", label=label).text for label in ("neg", "pos")]
    assert sides == ["Judge.\n\nSentiment: bad\nReview:", "Judge.\n\nSentiment: good\nReview:"]
