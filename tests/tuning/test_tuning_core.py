"""The parts of every tuning by hand: rows, losses, layouts, schedule, the loop, the search, checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from icl.errors import ConfigError, ModelError
from icl.protocols import tuners
from icl.training import GivenKeysValues, Network, Root, TrainingRow, TrainingStep, Tuned, VirtualTokens
from icl.tuning.full import Full
from icl.tuning.lora import Lora
from icl.tuning.shared import loop as loop_module
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.checkpoint import Checkpoint
from icl.tuning.shared.forward import choose_layout, token_logprobs
from icl.tuning.shared.loop import cut, train
from icl.tuning.shared.objective import NegativeLogLikelihood
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.settings import TrainingSettings
from icl.tuning.shared.tokens import TokenRow, seam, tokenised
from icl.types import Task, Template, TokenIds
from tests.engine.tiny import tiny_network
from tests.tuning.planted import RULE, TOKENIZER, Killed, fresh, planted, renderer_for, resources


def row_of(ids: Sequence[int], start: int, weight: float = 1.0) -> TokenRow:
    return TokenRow(tuple(ids), start, TrainingRow("r", "", "", "test", weight=weight))


ROWS = [
    row_of([2, 11, 12, 13, 14, 15], 4),
    row_of([2, 11, 12, 13, 14, 16, 17], 5),
    row_of([2, 11, 12, 20, 21], 2),
    row_of([2, 30, 31, 32, 33, 34, 35, 36], 7),
    row_of([2, 11, 12, 13, 14, 15], 5),
]


# rows and tokens


class Merging:
    """Characters, but "ab" is one token, as is ": y"."""

    fingerprint = "merging"
    eos_ids = frozenset({1})

    def encode(self, text: str) -> TokenIds:
        text = text.replace("ab", "\x01").replace(": y", "\x02")
        return (2, *(3 + ord(c) for c in text))

    def decode(self, ids: Sequence[int]) -> str:
        raise NotImplementedError

    def chat(self, messages: Any) -> str:
        raise NotImplementedError


def test_the_seam_is_where_the_joint_tokens_leave_the_prompts() -> None:
    made = tokenised([TrainingRow("1", "say: ", "yes", "t"), TrainingRow("2", "xa", "b", "t")], Merging(), 99)
    first, second = made.rows
    assert first.ids == Merging().encode("say: yes")
    assert first.start == 4, "':' and ' ' went into ': y': three letters and the BOS are the prompt's"
    assert first.learned == 3
    assert (second.start, second.learned) == (2, 1)
    assert seam((1, 2, 3), (1, 2, 3, 4)) == 3
    assert seam((1, 2, 3), (1, 9, 3, 4)) == 1


def test_rows_that_cannot_be_trained_on_are_counted_and_never_cut() -> None:
    rows = [
        TrainingRow("1", "abc", "d", "t"),
        TrainingRow("2", "abcdefg", "h", "t"),
        TrainingRow("3", "a", "", "t"),
    ]
    made = tokenised(rows, TOKENIZER, 6)
    assert [row.row.id for row in made.rows] == ["1"]
    assert made.notes == {"rows_too_long": 1, "rows_without_completion": 1}
    pool = [*planted(30), *planted(4, length=30, prefix="long")]
    tuned = tuners.create("lora", {"steps": 1, "max_tokens": 12}).fit(pool, resources())
    assert tuned.notes["rows_too_long"] == 4
    assert tuned.notes["rows"] == 30
    with pytest.raises(ConfigError, match="no row of 4 can be trained on: 4 longer than 12 tokens"):
        tuners.create("lora", {"steps": 1, "max_tokens": 12}).fit(pool[-4:], resources())


def test_rows_are_the_prompts_that_are_asked_and_the_end_is_learned_where_answers_are_written() -> None:
    (row,) = task_rows(planted(1), RULE, renderer_for(RULE))
    prompt = renderer_for(RULE).prompt(planted(1)[0].query, ()).text
    assert (row.prompt, row.completion, row.source) == (prompt, "A", "rule")
    written = Task("w", "string", Template("{{ text }}:", answer="{{ answer }}", separator="\n"), ("text",))
    ends = {
        end: task_rows(planted(1), task, renderer_for(task), end)[0].completion
        for task, end in ((written, "auto"), (written, "never"), (RULE, "always"))  # type: ignore[arg-type]
    }
    assert ends == {"auto": "A\n", "never": "A", "always": "A\n"}


# losses


def test_the_loss_by_token_and_by_example_by_hand() -> None:
    rows = [row_of([2, 3, 4], 2), row_of([2, 3, 4, 5, 6], 2, weight=2.0)]
    found = [torch.tensor([-1.0]), torch.tensor([-1.0, -2.0, -6.0])]

    def loss(kind: Any) -> float:
        objective = NegativeLogLikelihood(kind)
        total = sum(float(objective.of(x, row)) for x, row in zip(found, rows, strict=True))
        return total / objective.norm(rows)

    assert loss("per_token") == pytest.approx((1 + 2 * 9) / 4)
    assert loss("per_example") == pytest.approx((1 + 2 * 3) / 2)


# layouts


def gradients(
    network: Network, rows: Sequence[TokenRow], layout: Any, root: Root | None = None
) -> dict[str, Tensor]:
    network.zero_grad()
    sum(x.sum() for x in token_logprobs(network, rows, root, layout)).backward()  # type: ignore[union-attr]
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def plain_logprobs(network: Network, row: TokenRow) -> Tensor:
    """One plain forward, transformers' own labels."""
    ids = torch.tensor([row.ids])
    logits = network(ids, use_cache=False).logits[0, :-1].log_softmax(-1)
    return logits.gather(1, ids[0, 1:, None])[row.start - 1 :, 0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_trie_padded_and_plain_forwards_agree_with_their_gradients(family: str) -> None:
    network = tiny_network(family)
    plain = [plain_logprobs(network, row) for row in ROWS]
    sum(x.sum() for x in plain).backward()  # type: ignore[union-attr]
    expected = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    labels = torch.tensor([[-100] * ROWS[0].start + list(ROWS[0].ids[ROWS[0].start :])])
    theirs = network(torch.tensor([ROWS[0].ids]), labels=labels, use_cache=False).loss
    assert float(theirs.detach()) == pytest.approx(-float(plain[0].mean().detach()), abs=1e-5)
    for layout in ("trie", "padded"):
        found = token_logprobs(network, ROWS, None, layout)
        gaps = [float((a - b).abs().max().detach()) for a, b in zip(found, plain, strict=True)]
        assert max(gaps) < 1e-4, layout
        for name, gradient in gradients(network, ROWS, layout).items():
            assert torch.allclose(gradient, expected[name], atol=1e-3, rtol=1e-3), (layout, name)
    assert choose_layout(network, ROWS, None) == ("trie", "")


def test_a_sliding_window_shorter_than_the_texts_falls_back_to_padding() -> None:
    network = tiny_network("mistral")
    long = [row_of(range(2, 22), 18), row_of([*range(2, 12), 40, 41, 42], 11)]
    layout, why = choose_layout(network, long, None)
    assert layout == "padded"
    assert "longer than its window of 8" in why
    found = token_logprobs(network, long, None, "padded")
    for a, row in zip(found, long, strict=True):
        assert torch.allclose(a, plain_logprobs(network, row), atol=1e-4)
    assert choose_layout(network, [row_of(range(2, 9), 5)], None)[0] == "trie"


def roots(network: Network) -> list[Root]:
    draw = torch.Generator().manual_seed(0)
    config = network.config
    shape = (config.num_key_value_heads, 3, config.hidden_size // config.num_attention_heads)
    keys, values = (
        tuple(torch.randn(shape, generator=draw) for _ in range(config.num_hidden_layers)) for _ in range(2)
    )
    return [
        VirtualTokens(torch.randn((3, config.hidden_size), generator=draw)),
        GivenKeysValues(keys, values),
    ]


@pytest.mark.parametrize("kind", [0, 1])
def test_what_stands_before_every_text_is_the_same_in_both_layouts(kind: int) -> None:
    network = tiny_network("llama")
    root = roots(network)[kind]
    with torch.no_grad():
        bare = token_logprobs(network, ROWS, None, "trie")
        packed, padded = (token_logprobs(network, ROWS, root, layout) for layout in ("trie", "padded"))  # type: ignore[arg-type]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(packed, padded, strict=True))
    assert any((a - b).abs().max() > 1e-2 for a, b in zip(packed, bare, strict=True))


# the loop


def settings(**given: Any) -> Lora:
    return Lora(**{"steps": 6, "batch_size": 2, "learning_rate": 1e-2, **given})


def trained_on(rows: Sequence[TokenRow], made: Lora, **given: Any) -> tuple[Attached, Any]:
    torch.manual_seed(0)
    attached = made.attach(fresh(), None)
    done = train(attached, lambda step: rows, NegativeLogLikelihood(made.loss), made, 1e-2, seed=0, **given)
    return attached, done


def test_memory_that_ends_halves_a_part_with_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = trained_on(ROWS, settings(steps=2))
    sizes: list[int] = []
    plain = loop_module.token_logprobs

    def short_of_memory(network: Network, rows: Sequence[TokenRow], *more: Any) -> list[Tensor]:
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        return plain(network, rows, *more)

    monkeypatch.setattr(loop_module, "token_logprobs", short_of_memory)
    halved, second = trained_on(ROWS, settings(steps=2))
    assert sizes[:4] == [5, 3, 2, 1]
    assert second.losses == pytest.approx(first.losses, abs=1e-5)
    for name, tensor in whole.state().items():
        assert torch.allclose(tensor, halved.state()[name], atol=1e-4), name
    _, third = trained_on(ROWS, settings(steps=2, rows_at_once=9))
    assert third.losses == pytest.approx(first.losses, abs=1e-5)
    monkeypatch.setattr(loop_module, "token_logprobs", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        trained_on(ROWS, settings())


def test_batches_are_cut_by_the_tokens_that_are_forwarded() -> None:
    lengths = [[len(row.ids) for row in part] for part in cut(ROWS, 13)]
    assert lengths == [[6, 6], [7, 5], [8]]
    assert [len(part) for part in cut(ROWS, 13, shares=True)] == [4, 1]
    assert [len(part) for part in cut(ROWS, 1, shares=True)] == [1] * 5
    for layout, forwarded in (("trie", 6 + 2 + 2 + 7), ("padded", 32)):
        _, done = trained_on(ROWS, settings(steps=1), layout=layout)
        assert (done.cost.tokens, done.cost.tokens_forwarded) == (32, forwarded), layout


def test_rates_of_the_schedules() -> None:
    def rates(**given: Any) -> list[float]:
        made = TrainingSettings(steps=4, **given)
        return [round(made.rate_at(step, 8.0), 4) for step in range(4)]

    assert rates(schedule="constant") == [8, 8, 8, 8]
    assert rates(schedule="linear") == [8, 6, 4, 2]
    assert rates(schedule="cosine") == [8, 6.8284, 4, 1.1716]
    assert rates(schedule="linear", warmup=1) == [4, 8, 5.3333, 2.6667]
    assert rates(schedule="constant", warmup=3) == [2, 4, 6, 8]


def test_training_stops_after_looks_without_gain_and_keeps_the_best_weights() -> None:
    seen: list[dict[str, Tensor]] = []
    values = iter([0.5, 0.9, 0.9, 0.7, 0.99])
    made = settings(steps=10, evaluate_every=2, patience=2)
    torch.manual_seed(0)
    attached = made.attach(fresh(), None)

    def look() -> tuple[float, int]:
        seen.append(attached.state())
        return next(values), 7

    done = train(attached, lambda step: ROWS, NegativeLogLikelihood(), made, 1e-2, seed=0, look=look)
    assert done.looks == [(2, 0.5), (4, 0.9), (6, 0.9), (8, 0.7)]
    assert (done.best_step, len(done.losses), done.cost.tokens_validation) == (4, 8, 28)
    assert all(torch.equal(seen[1][name], tensor) for name, tensor in attached.state().items())


# the search


def fit(**given: Any) -> Tuned:
    where = {name: given.pop(name) for name in ("folder", "report", "seed", "network") if name in given}
    return tuners.create("lora", {"steps": 6, "batch_size": 4, "learning_rate": 1e-2, **given}).fit(
        planted(40), resources(**where)
    )


def test_the_better_rate_is_kept_and_all_runs_are_counted() -> None:
    runs: list[str] = []
    tuned = fit(learning_rate=[1e-6, 1e-2], validation=8, steps=12, report=lambda s: runs.append(s.run))
    assert tuned.notes["learning_rate"] == 1e-2
    assert tuned.notes["tried"]["0.01"] > tuned.notes["tried"]["1e-06"]
    assert list(dict.fromkeys(runs)) == ["learning_rate=1e-06", "learning_rate=0.01"]
    assert tuned.notes["rows"] == 32
    alone = fit(steps=12)
    assert tuned.cost.steps == 24
    assert tuned.cost.tokens == 2 * alone.cost.tokens
    assert tuned.cost.tokens_validation == 2 * 8 * 2 * len(TOKENIZER.encode("abc:A"))
    assert tuned.cost.trainable == alone.cost.trainable


def test_the_chosen_rate_is_trained_once_more_on_everything() -> None:
    tuned = fit(learning_rate=[1e-6, 1e-2], validation=8, refit=True)
    plain = fit(learning_rate=1e-2)
    assert tuned.notes["learning_rate"] == 1e-2
    assert tuned.cost.steps == 18
    assert all(torch.equal(tuned.state[name], plain.state[name]) for name in plain.state)


def test_a_rate_that_diverges_is_said_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "icl"):
        tuned = tuners.create("full", {"steps": 5, "batch_size": 4, "learning_rate": [1e30, 1e-3],
                                       "validation": 8, "clip": 0}).fit(planted(40), resources())  # fmt: skip
    assert tuned.notes["learning_rate"] == 1e-3
    assert tuned.notes["tried"]["1e+30"] is None
    assert "not finite" in tuned.notes["diverged"]
    assert "learning rate 1e+30" in caplog.text
    alone = tuners.create("full", {"steps": 5, "batch_size": 4, "learning_rate": 1e-3, "clip": 0})
    cheap = alone.fit(planted(32), resources()).cost
    assert tuned.cost.steps == cheap.steps + 1, "the run that diverged at its second step is counted"
    assert tuned.cost.tokens == cheap.tokens * 7 // 5


def test_where_all_rates_diverge_one_line_says_so() -> None:
    with pytest.raises(ModelError, match="not finite at step") as caught:
        tuners.create("full", {"steps": 5, "learning_rate": 1e30, "clip": 0}).fit(planted(40), resources())
    assert "\n" not in str(caught.value)


def test_pools_that_cannot_teach_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no rows to train on"):
        Lora().fit([], resources())
    with pytest.raises(ConfigError, match="1 examples for the 2 labels of 'rule'"):
        Lora().fit(planted(1), resources())
    with pytest.raises(ConfigError, match="validation: 16 of a pool of 10"):
        Lora(learning_rate=[1e-3, 1e-4]).fit(planted(10), resources())


def test_the_validation_split_is_balanced_and_drawn_by_the_seed() -> None:
    made = Lora(learning_rate=[1e-3, 1e-4], validation=6)
    skewed = [e for e in planted(40) if e.target == "A" or int(e.id[1:]) < 12]
    kept, held = made.split(skewed, resources())
    assert sorted(e.target for e in held) == list("AAABBB")
    assert {e.id for e in kept} | {e.id for e in held} == {e.id for e in skewed}
    assert [e.id for e in made.split(skewed, resources())[1]] == [e.id for e in held]
    assert [e.id for e in made.split(skewed, resources(seed=1))[1]] != [e.id for e in held]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = fit(dropout=0.1), fit(dropout=0.1), fit(dropout=0.1, seed=1)
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert any(not torch.equal(first.state[name], other.state[name]) for name in first.state)


def test_a_state_of_other_settings_is_refused() -> None:
    tuned = fit(rank=2, steps=1)
    with pytest.raises(ModelError, match="of another model or of other settings"):
        Lora(rank=4).restore(tuned.state, fresh())
    with pytest.raises(ModelError, match="is not in"):
        Full().restore(tuned.state, fresh())


# checkpoints


def interrupted(folder: Path, **given: Any) -> None:
    def kill(step: TrainingStep) -> None:
        if step.step == 4:
            raise Killed

    with pytest.raises(Killed):
        fit(folder=folder, report=kill, **given)


def first_step(folder: Path, **given: Any) -> int:
    steps: list[int] = []
    fit(folder=folder, report=lambda s: steps.append(s.step), **given)
    return steps[0]


@pytest.fixture
def _at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icl.tuning.shared.checkpoint.EVERY", 0.0)


@pytest.mark.usefixtures("_at_every_step")
def test_damaged_and_foreign_checkpoints_are_passed_over(tmp_path: Path) -> None:
    interrupted(tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    assert first_step(tmp_path, rank=4) == 1, "other settings"
    assert first_step(tmp_path, seed=3) == 1, "another seed"
    assert path.read_bytes() == whole
    for damaged in (whole[: len(whole) // 2], b"", whole[:8] + b"x" + whole[9:], b"\xff" * 64):
        path.write_bytes(damaged)
        assert first_step(tmp_path) == 1
    path.write_bytes(whole)
    assert first_step(tmp_path) == 4
    assert list(tmp_path.iterdir()) == [], "a complete run leaves nothing"


def test_a_checkpoint_is_of_one_run(tmp_path: Path) -> None:
    path = tmp_path / "kept.safetensors"
    Checkpoint(path, "one").write({"a": torch.ones(2)}, {"done": 3})
    held = Checkpoint(path, "one").read()
    assert held is not None
    assert (held[0]["a"].tolist(), held[1]) == ([1, 1], {"done": 3})
    assert Checkpoint(path, "another").read() is None
    assert Checkpoint(None, "one").read() is None


@pytest.mark.usefixtures("_at_every_step")
def test_a_search_that_was_killed_goes_on_with_the_same_outcome(tmp_path: Path) -> None:
    given: dict[str, Any] = {"learning_rate": [1e-3, 1e-2], "validation": 8, "evaluate_every": 2}
    whole = fit(**given)
    seen: list[tuple[str, int]] = []

    def kill(step: TrainingStep) -> None:
        seen.append((step.run, step.step))
        if len(seen) == 9:
            raise Killed

    with pytest.raises(Killed):
        fit(folder=tmp_path, report=kill, **given)
    again: list[tuple[str, int]] = []
    resumed = fit(folder=tmp_path, report=lambda s: again.append((s.run, s.step)), **given)
    assert again[0] == ("learning_rate=0.01", 3)
    assert resumed.notes == whole.notes
    assert all(torch.equal(whole.state[name], resumed.state[name]) for name in whole.state)
    assert replace(resumed.cost, seconds=0, peak_bytes=0) == replace(whole.cost, seconds=0, peak_bytes=0)
