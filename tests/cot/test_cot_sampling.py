"""Methods that draw many chains: self-consistency, complexity, diverse prompts, ensembles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icl.cot.complexity import Complexity, decided_by
from icl.cot.diverse_prompts import STRIDE, DiversePrompts
from icl.cot.ensemble import Ensemble
from icl.cot.few_shot import FewShot
from icl.cot.self_consistency import SelfConsistency
from icl.cot.shared.chain import STEP_UNITS, count_steps
from icl.cot.shared.votes import longest
from icl.errors import ConfigError
from icl.experiments.file.axes import Component
from icl.protocols import methods
from icl.types import Example


def says(*answers: str) -> Callable[[str, int], str]:
    """Sample i reaches answers[i]."""
    return lambda prompt, sample: f" So. The answer is {answers[sample]}."


def test_plurality_of_one_request(world: Any) -> None:
    outcome = world.ask(SelfConsistency(of=FewShot(), n=5), says("3", "7", "x", "7", "3"))
    (request,) = world.model.requests
    assert (request.n, request.temperature, request.top_k, request.first_sample) == (5, 0.7, 40, 0)
    assert outcome.answer == "7"  # two votes each, and 7 reached its second vote first
    assert outcome.details["votes"] == {"3": 2.0, "7": 2.0}
    assert [c["answer"] for c in outcome.details["chains"]] == ["3", "7", None, "7", "3"]
    assert outcome.output == " So. The answer is 7."
    assert outcome.flags == ("tied_vote", "chains_unparsed")
    assert "text" not in outcome.details["chains"][0]


def test_in_yaml_and_in_python_it_is_the_same(world: Any) -> None:
    reply = says("3", "7", "7")
    item = Component.model_validate({"self_consistency": {"of": {"few_shot": {"max_tokens": 50}}, "n": 3}})
    assert item.label == 'self_consistency(n=3, of={"few_shot": {"max_tokens": 50}})'
    by_name = world.ask(methods.create(item.name, item.parameters), reply)
    assert by_name == world.ask(SelfConsistency(of=FewShot(max_tokens=50), n=3), reply)
    assert by_name.answer == "7"


def test_over_two_stages(world: Any) -> None:
    def reply(prompt: str, sample: int) -> str:
        if prompt.endswith("numerals) is"):
            return " 4" if "even" in prompt else " 5"
        return " It is even." if sample != 1 else " It is odd."

    outcome = world.ask(SelfConsistency(of="zero_shot", n=3), reply)
    assert outcome.details["votes"] == {"4": 2.0, "5": 1.0}
    assert SelfConsistency(of="zero_shot").needs == {"renderer", "model"}


def test_adaptive_stops_when_the_vote_is_decided(world: Any) -> None:
    sure = world.ask(SelfConsistency(of="few_shot", n=40, adaptive="beta"), says(*["7"] * 40))
    # four of four: 1 - 2^-5 = 0.969 is the first above 0.95
    assert sure.details["adaptive"] == {
        "criterion": "beta",
        "confidence": pytest.approx(0.96875),
        "samples": 4,
        "limit": 40,
        "saved": 36,
    }
    assert [r.first_sample for r in world.model.requests] == [0, 1, 2, 3]
    split = world.ask(SelfConsistency(of="few_shot", n=6, adaptive="beta", step=4), says(*"373737"))
    assert split.details["adaptive"]["samples"] == 6
    assert [(r.first_sample, r.n) for r in world.model.requests] == [(0, 4), (4, 2)]
    whole = world.ask(SelfConsistency(of="few_shot", n=6), says(*"373737"))
    assert split.details["chains"] == whole.details["chains"], "the same samples in rounds as at once"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": 0}, "temperature is 0 and n is 40"),
        ({"of": "few_shoot"}, "of: unknown method 'few_shoot'.*'few_shot'"),
        ({"of": "direct"}, "of is 'direct', which writes no chains.*few_shot.*zero_shot"),
        ({"of": {"few_shot": {"max_token": 3}}}, "of: method 'few_shot' has no parameter 'max_token'"),
        ({"of": {"few_shot": {}, "zero_shot": {}}}, "of is .*allowed: a name"),
        ({"of": 3}, "of is 3"),
        ({"adaptive": "gamma"}, "adaptive is 'gamma'; allowed: beta, dirichlet"),
        ({"n": 0}, "n is 0"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        methods.create("self_consistency", given)


def test_greedy_with_one_chain_is_allowed(world: Any) -> None:
    assert world.ask(SelfConsistency(n=1, temperature=0), says("7")).answer == "7"


def test_complexity_shows_most_steps_last_and_the_longest_vote(world: Any) -> None:
    chains = [
        " The answer is 1.",
        " a\nb\nThe answer is 2.",
        " a\nThe answer is 1.",
        " a\nb\nThe answer is 2.",
    ]
    method = Complexity(shots=2, n=4, top=2)
    outcome = world.ask(method, lambda p, i: chains[i] if i else chains[0])
    # steps of the pool: p3 has 3, p1 has 2, p0 and p2 have 1
    assert outcome.prompt.demonstrations == ("p1", "p3")
    assert [c["steps"] for c in outcome.details["chains"]] == [1, 3, 2, 3]
    assert outcome.details["voters"] == [1, 3]
    assert (outcome.answer, outcome.details["votes"]) == ("2", {"2": 2.0})
    more = world.ask(Complexity(shots=2, n=4, top=4), lambda p, i: chains[i])
    assert (more.answer, more.details["votes"]) == ("1", {"1": 2.0, "2": 2.0})  # a tie; 1 had two first


def test_complexity_without_rationales_asks_about_the_longest_questions(world: Any) -> None:
    world.pool = tuple(replace(example, rationale=None) for example in world.pool)

    def reply(prompt: str, sample: int) -> str:
        if "numerals" in prompt:
            return " 15" if "longer" in prompt else " 2"
        return " Some steps." if prompt.endswith("step.") else " The answer is 7."

    outcome = world.ask(Complexity(shots=2, n=1, temperature=0, top=1), reply)
    # longest first: p3 (15, right), p1 (2, but it is 6), then p0 and p2 (2, right)
    assert outcome.prompt.demonstrations == ("p0", "p3")
    assert "A: Some steps. The answer is 15." in outcome.prompt.text


@pytest.mark.parametrize(
    ("text", "lines", "sentences", "numbered"),
    [
        ("He has 3.5 kg. He buys 2 more! So 5.5 kg.", 1, 3, 0),
        ("1. Take 2.\n2. Add 3.\n\nDone", 3, 3, 0),
        ("Step 1: take 2. Step 2: add 3; step 2 gives 5.", 1, 2, 2),
        ("", 0, 0, 0),
    ],
)
def test_what_a_step_is(text: str, lines: int, sentences: int, numbered: int) -> None:
    assert [count_steps(text, unit) for unit in STEP_UNITS] == [lines, sentences, numbered]


def one_liners(world: Any) -> None:
    """Rationales of one line: p0 of one sentence, p1 of two, p2 of three; the longest question is p0's."""
    world.pool = tuple(
        Example(f"p{at}", {"q": "word " * (5 - at)}, "2", rationale="So it is. " * (at + 1))
        for at in range(3)
    )


def test_complexity_says_where_lines_tell_nothing_apart(world: Any) -> None:
    one_liners(world)
    chains = [" One. The answer is 1.", " One. Two. The answer is 2.", " The answer is 1."]
    by_line = world.ask(Complexity(shots=1, n=3, top=2), lambda p, i: chains[i])
    assert by_line.prompt.demonstrations == ("p0",), "the longest question"
    assert {"demonstrations_not_by_steps", "vote_not_by_steps"} <= set(by_line.flags)
    assert by_line.details["voters"] == [0, 1], "the first two"
    by_sentence = world.ask(Complexity(shots=1, n=3, top=1, steps="sentence"), lambda p, i: chains[i])
    assert by_sentence.prompt.demonstrations == ("p2",)
    assert by_sentence.answer == "2"
    assert not {"demonstrations_not_by_steps", "vote_not_by_steps"} & set(by_sentence.flags)
    assert [c["steps"] for c in by_sentence.details["chains"]] == [2, 3, 1], "so curves count alike"
    assert by_sentence.details["voters_by_steps"] == 1


def test_complexity_that_leaves_nobody_out_has_nothing_to_flag(world: Any) -> None:
    one_liners(world)
    outcome = world.ask(Complexity(shots=3, n=2, top=2), lambda p, i: " The answer is 1.")
    assert outcome.flags == ()


@pytest.mark.parametrize(("steps", "by_steps"), [([3, 1, 2, 1], 2), ([2, 2, 2, 1], 0), ([1, 1, 1, 1], 0)])
def test_how_many_were_chosen_by_their_steps(steps: list[int], by_steps: int) -> None:
    assert decided_by(steps, longest(steps, 2)) == by_steps
    assert decided_by(steps, [0, 1, 2, 3]) == 4, "nobody is left out"


def test_complexity_of_a_file(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"question": f"{n}?", "rationale": "x\n" * n, "answer": str(n)} for n in (1, 3, 2)]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("ICL_DATA", str(tmp_path))
    method = Complexity(shots=2, prompts="$ICL_DATA/pool.jsonl", n=1, temperature=0, top=1)
    assert world.ask(method, says("7")).prompt.demonstrations == ("pool/2", "pool/1")


def test_diverse_prompts_take_turns(world: Any) -> None:
    method = DiversePrompts(prompts=2, samples=2, shots=2)
    seen: dict[str, None] = {}

    def reply(prompt: str, sample: int) -> str:
        seen.setdefault(prompt)
        return f" The answer is {10 * list(seen).index(prompt) + sample % STRIDE}."

    outcome = world.ask(method, reply)
    assert len(world.model.requests) == 2
    assert [(r.n, r.first_sample) for r in world.model.requests] == [(2, 0), (2, STRIDE)]
    assert len(set(world.prompts)) == 2
    assert [c["answer"] for c in outcome.details["chains"]] == ["0", "10", "1", "11"]


def test_diverse_prompts_in_parts_give_the_same_chains(world: Any) -> None:
    reply = lambda prompt, sample: f" The answer is {len(prompt) * 100 + sample}."  # noqa: E731
    of = DiversePrompts(prompts=3, samples=4, shots=2)
    whole = world.ask(SelfConsistency(of=of, n=7), reply)
    parts = world.ask(SelfConsistency(of=of, n=7, adaptive="beta", step=2), reply)
    assert parts.details["chains"] == whole.details["chains"]


def test_too_few_rationales_are_flagged_and_no_sample_counts_twice(world: Any) -> None:
    world.pool = world.pool[:1]
    reply = lambda prompt, sample: f" The answer is {sample}."  # noqa: E731
    outcome = world.ask(DiversePrompts(prompts=3, samples=1, shots=2), reply, shots=0)
    assert len(set(world.prompts)) == 1
    assert len(outcome.details["votes"]) == 3
    assert "fewer_demonstrations" in outcome.flags
    assert "fewer_demonstrations" in world.ask(Complexity(shots=2, n=1, top=1), says("1"), shots=0).flags


def test_ensemble_over_orders(world: Any) -> None:
    def reply(prompt: str, sample: int) -> str:
        return " The answer is 3." if prompt.startswith("Q: one") else " The answer is 7."

    outcome = world.ask(Ensemble(n=8, decode="greedy"), reply)
    starts = [prompt.startswith("Q: one") for prompt in world.prompts]
    assert 0 < sum(starts) < 8, "both orders of the two demonstrations occur"
    assert outcome.details["votes"].get("3") == sum(starts)
    assert {r.temperature for r in world.model.requests} == {0.0}
    sampled = world.ask(Ensemble(n=4), reply)
    assert [(r.temperature, r.first_sample) for r in world.model.requests] == [(0.7, i) for i in range(4)]
    assert sampled.answer in ("3", "7")


def test_ensemble_over_rationales(world: Any) -> None:
    def reply(prompt: str, sample: int) -> str:
        if prompt.endswith("Q: one and one\nA:"):
            return f" Way {sample}. The answer is {2 if sample else 3}."  # ways 1 and 2 are right
        if prompt.endswith("two and two and two\nA:"):
            return " The answer is 9."  # never right: its own rationale stays
        return " The answer is 7."

    outcome = world.ask(Ensemble(vary="rationales", decode="greedy", n=6, rationales=3), reply)
    first_round, members = world.prompts[:2], world.prompts[2:]
    assert (
        first_round[0]
        == "Q: two and two and two\nA: 2 + 2 = 4.\n4 + 2 = 6. The answer is 6.\n\nQ: one and one\nA:"
    )
    ways = {member.split("\n")[1] for member in members}
    assert ways == {"A: Way 1. The answer is 2.", "A: Way 2. The answer is 2."}
    assert all("4 + 2 = 6. The answer is 6." in member for member in members)
    assert outcome.answer == "7"


def test_ensemble_refuses_what_does_not_vary() -> None:
    with pytest.raises(ConfigError, match="fixed with decode: greedy has one member"):
        methods.create("ensemble", {"vary": "fixed", "decode": "greedy"})
    with pytest.raises(ConfigError, match=r"zero_shot.*shows no demonstrations.*few_shot"):
        methods.create("ensemble", {"of": "zero_shot"})
