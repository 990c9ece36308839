"""The verifier: what it learns from, and what it then trusts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from icl.conversation import answer_queries
from icl.cot.shared.chain import Chain
from icl.cot.shared.scorer import Training, equations_held
from icl.cot.shared.steps import Step, gold_chain, results, step_labels, steps, steps_of
from icl.cot.shared.tuned import TunedScorer, Tuning
from icl.cot.verifier import Verifier
from icl.encoders.sentence import SentenceEncoder
from icl.errors import ConfigError
from icl.types import Example, Prompt, Query


def chain(text: str, answer: str | None = None) -> Chain:
    return Chain(Prompt(""), text, text, answer)


def test_steps_and_results() -> None:
    assert steps_of("a b.\n\nc") == ["a b.", "c"]
    assert steps_of("It is 4. So 5.") == ["It is 4.", "So 5."]
    assert results("3 + 4 = 7, and 2 * 1,000 = 2,000.0") == [7.0, 2000.0]


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("3 + 4 = 7.", 1.0),
        ("3 + 4 = 8. 2 * 3 = 6", 0.5),
        ("none", 0.5),
        ("4 / 0 = 0", 0.0),
        ("9 - 12 = -3", 1.0),
    ],
)
def test_equations_held(text: str, share: float) -> None:
    assert equations_held(text) == share


def test_the_final_answer_is_a_step() -> None:
    assert steps(chain("2 + 3 = 5. So 5 * 2 = 10. The answer is 10.", "10")) == [
        Step("2 + 3 = 5.", 5.0),
        Step("So 5 * 2 = 10.", 10.0),
        Step("The answer is 10.", 10.0),
    ]
    assert steps(chain("Take 1 + 1 = 2, then 2 * 3 = 6.\nDone", "6"))[-2:] == [
        Step("Done", None),
        Step("The answer is 6.", 6.0),
    ]
    assert steps(chain("Birds fly. The answer is (B).", "B"))[-1].result == "b"
    assert steps(chain("So 500 + 500 = $1,000.", "1000.0"))[-1].result == 1000.0
    assert steps(chain("It is not one.", "NaN"))[-1].result == "nan"
    assert [step.result for step in steps(chain("no idea"))] == [None]


@pytest.mark.parametrize(
    ("wrong", "labels"),
    [
        (chain("first\n1 + 1 = 2\nthen\n2 + 2 = 4\nand", "9"), [False, True, True, False, False, False]),
        (chain("1 + 1 = 2\n2 + 3 = 5", "2"), [True, True, False]),  # 2 came once in the right chain
        (chain("2 + 3 = 5\n1 + 1 = 2\n4 + 1 = 5", "7"), [True, True, True, False]),  # 5 came twice, as answer
        (chain("hm\nwell", None), [False, False]),
    ],
)
def test_a_step_is_right_while_its_results_are_among_those_of_a_right_chain(
    wrong: Chain, labels: list[bool]
) -> None:
    right = [chain("3 + 3 = 6", "5"), chain("1 + 1 = 2\n2 + 3 = 5", "5")]
    assert step_labels(wrong, right) == labels


def test_every_step_of_a_right_chain_is_right_and_none_where_there_is_no_right_chain() -> None:
    right = chain("let me see\n1 + 1 = 2", "2")
    assert step_labels(right, [right]) == [True, True, True]
    assert step_labels(chain("1 + 1 = 2", "3"), []) == [False, False]


def test_the_annotated_rationale_is_a_right_chain(world: Any) -> None:
    example = Example("e", {"q": "a"}, "6", rationale="2 + 2 = 4.\n4 + 2 = 6.")
    gold = gold_chain(example, world.task)
    assert gold is not None
    assert [step.result for step in steps(gold)] == [4.0, 6.0, 6.0]
    assert step_labels(chain("2 + 2 = 4\n4 + 3 = 7", "7"), [gold]) == [True, False, False]
    assert gold_chain(replace(example, rationale=None), world.task) is None


POOL = tuple(Example(f"p{n}", {"q": f"question {n}"}, "5", rationale="2 + 3 = 5.") for n in range(12))


def script(prompt: str, sample: int) -> str:
    """Careful chains reach 5; hasty ones, which are more, reach 9."""
    if sample % 3 == 0:
        return " carefully we add\n2 + 3 = 5\nThe answer is 5."
    return " hasty guess\n2 + 3 = 9\nThe answer is 9."


def test_a_trained_verifier_outvotes_the_majority(world: Any) -> None:
    world.pool = POOL
    method = Verifier(of={"few_shot": {}}, n=6, questions=8, samples=3, shots=2, kind="features")
    outcome = world.ask(method, script, shots=0)
    # right chains have 3 right steps each, the 16 others none: no result of theirs is right
    asked = [r for r in world.model.requests if r.n == 3]
    assert len(asked) == 8
    assert outcome.details["training"] == {"chains": 24, "right": 8, "steps": 72, "right_steps": 24}
    scores = outcome.details["scores"]
    assert min(scores[0], scores[3]) > 0.7
    assert max(scores[1], scores[2], scores[4], scores[5]) < 0.3
    assert outcome.answer == "5", "two of six chains, but the trusted ones"
    assert outcome.details["votes"]["5"] == pytest.approx(scores[0] + scores[3])


def test_nothing_to_learn_is_flagged_and_every_chain_counts_one(world: Any) -> None:
    world.pool = POOL
    outcome = world.ask(
        Verifier(n=3, questions=4, samples=2, shots=2, kind="features"),
        lambda p, i: " The answer is 9.",
        shots=0,
    )
    assert outcome.details["scores"] == [1.0, 1.0, 1.0]
    assert "untrained_verifier" in outcome.flags
    assert outcome.answer == "9"


def test_a_training_question_is_not_among_its_own_demonstrations(world: Any) -> None:
    world.pool = POOL
    world.ask(Verifier(n=1, questions=6, samples=2, shots=3, kind="features"), script, shots=0)
    for prompt in world.prompts[:6]:
        *shown, asked = prompt.split("\n\n")
        assert len(shown) == 3
        assert asked.removesuffix("\nA:") not in "".join(shown)


def test_needs(world: Any) -> None:
    assert Verifier().needs == {"renderer", "model", "encoder"}
    with pytest.raises(ConfigError, match="encoder is missing"):
        Verifier().fit(POOL, replace(world.resources(script), encoder=None))
    with pytest.raises(ConfigError, match=r"'hashed' is no transformer .* kind: features"):
        Verifier().fit(POOL, world.resources(script))
    with pytest.raises(ValueError, match="kind is 'tuned'"):
        Verifier(kind="tuned")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    """A real sentence transformer of 16 dimensions with weights of its own, over the words used here."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "+", "=", ".", "the", "answer", "is"]
    words += ["carefully", "hastily", "we", "add", "what", "makes", "plus"]
    words += [str(number) for number in range(60)]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(words), **sizes)
    BertModel(config).save_pretrained(str(folder))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(str(folder))
    modules = [Transformer(str(folder)), Pooling(32)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "whole"))
    return SentenceEncoder(str(folder / "whole"))


def planted(stream: np.random.Generator, right: bool) -> tuple[str, Chain, int]:
    """A sum, and a chain for it: right ones mostly say that they are careful, in a step of their own."""
    a, b = (int(n) for n in stream.integers(1, 20, 2))
    given = a + b if right else a + b + int(stream.integers(1, 9))
    manner = "carefully" if right == (stream.random() < 0.95) else "hastily"
    text = f"we add {manner}.\n{a} + {b} = {given}.\nthe answer is {given}."
    return f"what makes {a} plus {b}", chain(text, str(given)), a + b


def lessons(stream: np.random.Generator, count: int) -> Training:
    """Four chains a question, one of them right."""
    questions, chains, golds = [], [], []
    for _ in range(count):
        drawn = [planted(stream, at == 0) for at in range(4)]
        questions.append(drawn[0][0])
        chains.append([made for _, made, _ in drawn])
        golds.append(drawn[0][1])
    return Training(questions, chains, [[True, False, False, False]] * count, golds)


def votes(scorer: TunedScorer | None, seed: int) -> float:
    """Share of fresh questions whose right answer wins: two right chains against three that agree."""
    stream, won = np.random.default_rng([seed, 1]), 0
    for _ in range(40):
        question, good, answer = planted(stream, True)
        hasty = chain(
            f"we add hastily.\n{answer} + 1 = {answer + 1}.\nthe answer is {answer + 1}.", str(answer + 1)
        )
        drawn = [good, hasty, hasty, good, hasty]
        scores = scorer.score(question, drawn) if scorer else [1.0] * 5
        won += scores[0] + scores[3] > scores[1] + scores[2] + scores[4]
    return won / 40


def test_a_finetuned_verifier_finds_the_planted_mark(small_encoder: SentenceEncoder) -> None:
    won = []
    for seed in range(5):
        training = lessons(np.random.default_rng([seed, 0]), 24)
        start = TunedScorer(small_encoder, 0.1, Tuning(0, 1e-3, 8, seed))
        tuned = TunedScorer(small_encoder, 0.1, Tuning(6, 1e-3, 8, seed))
        start.fit(training)
        about = tuned.fit(training)
        assert (about["chains"], about["right"], about["gold"], about["cut"]) == (120, 48, 24, 0)
        assert votes(None, seed) == 0.0, "the plurality is wrong everywhere"
        won.append(votes(tuned, seed))
        assert won[-1] > votes(start, seed) + 0.4
    assert np.mean(won) > 0.75


def test_finetuning_is_the_same_by_seed_and_leaves_the_encoder(
    small_encoder: SentenceEncoder,
) -> None:
    training = lessons(np.random.default_rng(3), 4)
    question, good, _ = planted(np.random.default_rng(4), True)
    before = small_encoder.encode([question])
    scores = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(scores))  # whatever others have drawn from torch's stream
        scorer = TunedScorer(small_encoder, 0.1, Tuning(2, 1e-3, 4, seed))
        scorer.fit(training)
        scores.append(scorer.score(question, [good])[0])
    assert scores[0] == scores[1] != scores[2]
    assert (small_encoder.encode([question]) == before).all()


def test_step_labels_teach(small_encoder: SentenceEncoder) -> None:
    """Two trainings that differ only in the weight of the steps' labels end in two verifiers."""
    training = lessons(np.random.default_rng(5), 6)
    question, good, _ = planted(np.random.default_rng(6), True)
    plain, aware = (TunedScorer(small_encoder, alpha, Tuning(2, 1e-3, 4, 0)) for alpha in (0.0, 0.1))
    plain.fit(training)
    aware.fit(training)
    assert plain.score(question, [good]) != aware.score(question, [good])


def test_a_finetuned_verifier_votes(world: Any, small_encoder: SentenceEncoder) -> None:
    world.pool = POOL
    resources = replace(world.resources(script), encoder=small_encoder)
    method = Verifier(n=6, questions=8, samples=3, shots=2, epochs=8, learning_rate=1e-3).fit(POOL, resources)
    outcome = answer_queries(method, [Query("q", {"q": "what makes 2 plus 3"})], [()], resources)[0]
    assert outcome.details["training"]["gold"] == 8
    assert outcome.details["training"]["chains"] == 32
    assert all(0 < score < 1 for score in outcome.details["scores"])
    hopeless = replace(world.resources(lambda p, i: " The answer is 9."), encoder=small_encoder)
    method = Verifier(n=2, questions=4, samples=2, shots=2).fit(POOL, hopeless)
    outcome = answer_queries(method, [Query("q", {"q": "what"})], [()], hopeless)[0]
    assert outcome.details["scores"] == [1.0, 1.0]
    assert "untrained_verifier" in outcome.flags


def test_chains_longer_than_the_encoder_reads_are_counted(small_encoder: SentenceEncoder) -> None:
    long = chain("we add 1 + 1 = 2.\n" * 90, "3")
    short = chain("1 + 1 = 2.", "2")
    about = TunedScorer(small_encoder, 0.1, Tuning(1, 1e-3, 2, 0)).fit(
        Training(["what"], [[long, short]], [[False, True]])
    )
    assert about["cut"] == 1
    assert about["steps"] < 90 + 1 + 2
