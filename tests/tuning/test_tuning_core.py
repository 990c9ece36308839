"""The parts of every tuning by hand: rows, losses, layouts, schedule, the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from icl.errors import ConfigError
from icl.protocols import tuners
from icl.training import GivenKeysValues, Network, Root, TrainingRow, VirtualTokens
from icl.tuning.lora import Lora
from icl.tuning.shared import loop as loop_module
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.forward import choose_layout, token_logprobs
from icl.tuning.shared.loop import cut, train
from icl.tuning.shared.objective import NegativeLogLikelihood
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.settings import TrainingSettings
from icl.tuning.shared.tokens import TokenRow, seam, tokenised
from icl.types import Task, Template, TokenIds
from tests.engine.tiny import tiny_network
from tests.tuning.planted import RULE, TOKENIZER, fresh, planted, renderer_for, resources


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
