"""What stands before every text: prompt tuning, P-tuning, prefix tuning, P-tuning v2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from icl.errors import ConfigError, ModelError
from icl.protocols import tuners
from icl.training import GivenKeysValues, Network, Root, TrainingRow, Tuned, VirtualTokens
from icl.tuning.shared import checkpoint
from icl.tuning.shared.folder import read_about, read_state, save_tuned
from icl.tuning.shared.forward import token_logprobs
from icl.tuning.shared.tokens import TokenRow
from icl.tuning.shared.words import start_ids, start_text
from icl.types import Task, Template
from tests.engine.tiny import ragged, tiny_network
from tests.tuning.planted import (
    RULE,
    TOKENIZER,
    Killed,
    accuracy,
    fresh,
    planted,
    resources,
    stop_at,
)  # fmt: skip

LENGTH = 6
METHODS: dict[str, dict[str, Any]] = {
    "prompt_tuning": {"learning_rate": 0.1},
    "p_tuning": {"learning_rate": 0.03},
    "prefix": {"learning_rate": 0.01, "hidden": 64},
    "p_tuning_v2": {"learning_rate": 0.1},
}
ROWS = [TokenRow(ids, len(ids) - 3, TrainingRow(str(at), "", "", "")) for at, ids in enumerate(ragged(3))]


def made(method: str, **changes: Any) -> Any:
    settings = {"length": LENGTH, "batch_size": 16, "steps": 80} | METHODS[method]
    return tuners.create(method, settings | changes)


def logprobs(network: Network, root: Root | None = None, layout: Any = "padded") -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(token_logprobs(network, ROWS, root, layout))


def after_words(network: Network, words: tuple[int, ...]) -> torch.Tensor:
    """The base on the same rows with words before them, one plain forward each."""
    found = []
    with torch.no_grad():
        for row in ROWS:
            scores = network(torch.tensor([words + row.ids])).logits[0].log_softmax(-1)
            at = torch.arange(row.start, len(row.ids)) + len(words)
            found.append(scores[at - 1, torch.tensor(row.ids[row.start :])])
    return torch.cat(found)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
@pytest.mark.parametrize("method", METHODS)
def test_training_forward_is_pefts_own(method: str, family: str, tmp_path: Path) -> None:
    """peft reads the folder, and both layouts give what it gives."""
    peft = pytest.importorskip("peft")
    attached = made(method).attach(tiny_network(family), resources(network=tiny_network(family)))
    with torch.no_grad():
        for parameter in attached.parameters().values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    found = [logprobs(attached.network, attached.root(), layout) for layout in ("trie", "padded")]
    state, config = attached.kept(), {"tuner": method, "peft": attached.peft_config()}
    save_tuned(Tuned(*attached.finish(), state, config), tmp_path, {})
    model = peft.PeftModel.from_pretrained(tiny_network(family), str(tmp_path)).eval()
    expected = []
    with torch.no_grad():
        for row in ROWS:
            scores = model(input_ids=torch.tensor([row.ids])).logits[0, -len(row.ids) :].log_softmax(-1)
            at = torch.arange(row.start, len(row.ids))
            expected.append(scores[at - 1, torch.tensor(row.ids[row.start :])])
    for layout in found:
        assert torch.allclose(layout, torch.cat(expected), atol=1e-4)
    assert (logprobs(tiny_network(family)) - torch.cat(expected)).abs().max() > 0.1


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("method", ["prompt_tuning", "prefix", "p_tuning_v2"])
def test_starts_as_the_base_behind_the_words_not_as_the_base(method: str, family: str) -> None:
    base = tiny_network(family)
    attached = made(method, text="ab c").attach(tiny_network(family), resources(network=base))
    words = start_ids("ab c", LENGTH, resources(), method)
    found = logprobs(attached.network, attached.root())
    assert torch.allclose(found, after_words(base, words), atol=1e-4)
    assert (found - logprobs(base)).abs().max() > 0.5


@pytest.mark.parametrize(
    ("method", "more"),
    [("p_tuning", {}), ("prefix", {"init": "random"}), ("p_tuning_v2", {"init": "random"}),
     ("prompt_tuning", {"init": "random"}), ("prompt_tuning", {"init": "vocabulary"})],
)  # fmt: skip
def test_starts_that_are_drawn_are_far_from_the_base(method: str, more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    attached = made(method, **more).attach(fresh(), resources())
    assert (logprobs(fresh(), attached.root()) - logprobs(fresh())).abs().max() > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_learns_the_rule_and_reads_it_back(method: str, tmp_path: Path) -> None:
    tuned = made(method).fit(planted(48, length=1), resources())
    assert tuned.notes["layout"] == "trie"
    assert tuned.notes["losses"][-1] < 0.5 * tuned.notes["losses"][0]
    test = planted(24, seed=9, length=1, prefix="t")
    assert accuracy(tuned.network, test, root=tuned.root) > 0.9 > accuracy(fresh(), test)
    assert all(
        torch.equal(a, b) for a, b in zip(tuned.network.parameters(), fresh().parameters(), strict=True)
    )
    assert list(tuned.state) == ["prompt_embeddings"], "what only training needed is gone"
    assert tuned.cost.trainable >= tuned.state["prompt_embeddings"].numel() > 0

    save_tuned(tuned, tmp_path, {})
    about = read_about(tmp_path)
    again = tuners.create(about["tuner"], about["parameters"]).restore(read_state(tmp_path), fresh())
    assert isinstance(
        again.root, VirtualTokens if "prompt" in method or method == "p_tuning" else GivenKeysValues
    )
    assert again.root.length == LENGTH
    assert not any(t.requires_grad for t in tensors(again.root) + tensors(tuned.root))
    assert all(torch.equal(a, b) for a, b in zip(tensors(again.root), tensors(tuned.root), strict=True))


def tensors(root: Any) -> list[torch.Tensor]:
    return [root.embeddings] if isinstance(root, VirtualTokens) else [*root.keys, *root.values]


@pytest.mark.parametrize("method", METHODS)
def test_killed_and_gone_on_with(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    pool, tuner = planted(12), made(method, steps=5)
    whole = tuner.fit(pool, resources())
    with pytest.raises(Killed):
        tuner.fit(pool, resources(folder=tmp_path, report=stop_at(3)))
    after: list[int] = []
    again = tuner.fit(pool, resources(folder=tmp_path, report=lambda step: after.append(step.step)))
    assert after[0] > 1
    assert torch.equal(again.state["prompt_embeddings"], whole.state["prompt_embeddings"])


@pytest.mark.parametrize("method", METHODS)
def test_training_goes_on_from_what_was_kept(method: str) -> None:
    """As a regime's next round does; what made the rows is gone, so the rows themselves are trained."""
    tuned = made(method, steps=2).fit(planted(8), resources())
    attached = made(method).attach(fresh(), resources())
    attached.load(tuned.state)
    assert all(torch.equal(a, b) for a, b in zip(tensors(attached.root()), tensors(tuned.root), strict=True))
    assert all(t.requires_grad for t in tensors(attached.root()))


def test_words_are_the_tasks_own_repeated_or_cut() -> None:
    told = Task("t", "classification", Template("{{ x }}"), ("x",), labels=("1", "2"),
                verbalisers={"1": "good"}, instruction="Say it.")  # fmt: skip
    assert start_text(told) == "Say it. good, 2"
    assert start_text(RULE) == "A, B"
    given = resources()
    bos, *ab = TOKENIZER.encode("ab")
    assert start_ids("ab", 6, given, "prefix") == (bos, *ab, *ab, ab[0])
    assert start_ids("ab", 2, given, "prefix") == (bos, ab[0])
    assert start_ids("", 5, given, "prefix") == TOKENIZER.encode("A, B")


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ConfigError, match=r"length is 300, which leaves nothing .* allowed: 1 to 254"):
        made("prefix", length=300).fit(planted(8), resources())
    with pytest.raises(ConfigError, match="length is 0; allowed: an integer >= 1"):
        made("prompt_tuning", length=0)
    with pytest.raises(ConfigError, match=r"init is 'texts'.*allowed: text, random"):
        made("p_tuning_v2", init="texts")
    kept = made("prefix", steps=1).fit(planted(8), resources()).state
    with pytest.raises(ModelError, match=r"of another model or of other settings: prompt_embeddings is"):
        made("prefix", length=4).restore(kept, fresh())


def test_a_window_shorter_than_the_words_is_refused() -> None:
    network = tiny_network("mistral")
    with pytest.raises(
        ConfigError, match=r"length is 12, and layers of \w+ see 8 tokens back; allowed: 1 to 7"
    ):
        made("prefix", length=12).attach(network, resources(network=network))
