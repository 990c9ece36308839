"""Episodes worked out by hand, their draws, and what a tiny model learns from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.errors import ConfigError, DataError
from icl.protocols import Renderer, TuningResources, tuners
from icl.training import TrainingStep
from icl.tuning.lora import Lora
from icl.tuning.shared.episodes import Episode, EpisodeWork, TaskRows, Writer, shortened
from icl.types import Example, Task, Template
from tests.tuning.planted import RULE, TOKENIZER, Killed, fresh, planted, renderer_for, resources

ECHO = Task("echo", "string", Template("say {{ a }}{{ b }}:", separator="\n"), ("a", "b"))
ROWS = [Example(f"r{i}", {"text": "abcdef"[i] * 2}, "AB"[i % 2]) for i in range(6)]


def writer(task: Task = RULE, rows: Sequence[Example] = tuple(ROWS), *, form: Any = "templates",
           channel: bool = False, **settings: Any) -> Writer:  # fmt: skip
    source = TaskRows(task, rows, renderer_for(task))
    return Writer([source], resources(), Lora(**settings), form, channel=channel)


def text_of(made: Writer, *shown: int, target: int) -> tuple[str, str, int]:
    found = made.row(Episode(0, shown, target), "x")
    assert found is not None
    return found[0].prompt, found[0].completion, found[1]


def test_an_episode_by_hand() -> None:
    assert text_of(writer(), 3, 0, target=4) == ("dd:B\naa:A\nee:", "A", 0)
    assert text_of(writer(end="always"), 1, target=0) == ("bb:B\naa:", "A\n", 0)


def test_channel_puts_the_label_first_and_learns_the_input() -> None:
    assert text_of(writer(channel=True), 3, 0, target=4) == ("B:dd\nA:aa\nA:", "ee", 0)


def test_forms_without_a_template() -> None:
    assert text_of(writer(form="spaces"), 3, 0, target=4) == ("dd B aa A ee", " A", 0)
    assert text_of(writer(form="newlines"), 3, target=4) == ("dd\nB\n\n\nee", "\nA", 0)
    assert text_of(writer(form="spaces", channel=True), 3, target=4) == ("B dd A", " ee", 0)


def test_written_answers_are_learned_with_their_end() -> None:
    rows = [Example("e0", {"a": "x", "b": "y"}, "xy"), Example("e1", {"a": "z", "b": ""}, "z")]
    assert text_of(writer(ECHO, rows), 0, target=1) == ("say xy: xy\nsay z:", " z\n", 0)


@pytest.mark.parametrize("form", ["templates", "spaces"])
def test_what_does_not_fit_goes_the_first_first(form: str) -> None:
    prompt, completion, dropped = text_of(writer(form=form, max_tokens=11), 3, 0, 1, target=4)
    assert dropped == 2
    assert prompt + completion == ("bb:B\nee:A" if form == "templates" else "bb B ee A")
    assert writer(form=form, max_tokens=4).row(Episode(0, (), 4), "x") is None


def test_inputs_are_cut_at_their_end_and_outputs_never() -> None:
    row = Example("e", {"a": "abcdefgh", "b": "xyz"}, "right")
    whole = TOKENIZER.encode("say abcdefghxyz: right")
    assert shortened(ECHO, row, TOKENIZER, len(whole)) is row
    cut = shortened(ECHO, row, TOKENIZER, len(whole) - 6)
    assert cut is not None
    assert (cut.inputs, cut.target) == ({"a": "ab", "b": "xyz"}, "right")
    assert shortened(ECHO, row, TOKENIZER, 9) is None


def work(*, k: int = 2, shared: int = 1, batch_size: int = 4, held: int = 0, seed: int = 0) -> EpisodeWork:
    sources = [TaskRows(RULE, ROWS, renderer_for(RULE)), TaskRows(RULE, planted(5), renderer_for(RULE))]
    given = resources(seed=seed)
    settings = Lora(batch_size=batch_size)
    made = Writer(sources, given, settings, "templates", channel=False)
    return EpisodeWork(sources, made, settings, given, k=k, shared=shared, held=held)


def test_every_row_is_a_target_once_an_epoch_with_fresh_demonstrations() -> None:
    first, second = work().episodes(0), work().episodes(1)
    everything = {(0, i) for i in range(6)} | {(1, i) for i in range(5)}
    for epoch in (first, second):
        assert Counter((e.source, e.target) for e in epoch) == Counter(everything)
        assert all(len(set(e.shown)) == 2 and e.target not in e.shown for e in epoch)
    shown = {(e.source, e.target): e.shown for e in first}
    assert any(shown[e.source, e.target] != e.shown for e in second)
    assert work().episodes(0) == first
    assert work(seed=1).episodes(0) != first


def test_a_batch_does_not_depend_on_those_before_it() -> None:
    forward, alone = work(), work()
    batches = [forward._rows(step) for step in range(6)]
    assert [alone._rows(step) for step in (5, 2, 0)] == [batches[step] for step in (5, 2, 0)]


def test_targets_that_share_demonstrations_stand_side_by_side() -> None:
    epoch = work(shared=2).episodes(0)
    groups = Counter((e.source, e.shown) for e in epoch)
    assert sorted(groups.values()) == [1, 2, 2, 2, 2, 2]
    behind: dict[tuple[int, tuple[int, ...]], set[int]] = {}
    for e in epoch:
        behind.setdefault((e.source, e.shown), set()).add(e.target)
    assert all(not targets & set(shown) for (_, shown), targets in behind.items())


def test_rows_held_for_choosing_are_never_trained_on() -> None:
    made = work(held=3)
    assert len(made._held) == 3
    seen = {(e.source, i) for e in made.episodes(0) for i in (*e.shown, e.target)}
    assert len(seen) == 11 - 3


def test_a_task_with_too_few_rows_is_said() -> None:
    with pytest.raises(ConfigError, match="takes 5 demonstrations and 1 targets"):
        work(k=5)


SWAP = Task("swap", "classification", Template("{{ text }}:", answer="{{ answer }}", separator="\n"),
            ("text",), labels=("A", "B"), verbalisers={"A": "Q", "B": "Z"})  # fmt: skip


def opener(name: str) -> tuple[Task, Sequence[Example], Renderer]:
    tasks = {"swap": SWAP, "rule": RULE}
    if name not in tasks:
        raise DataError(f"there is no task {name!r}")
    return tasks[name], planted(40, seed=5), renderer_for(tasks[name])


def given(**more: Any) -> TuningResources:
    return resources(**{"open_task": opener, **more})


def test_the_task_that_is_asked_is_refused() -> None:
    with pytest.raises(ConfigError, match="tasks holds 'rule', the task that is asked"):
        tuners.create("metaicl", {"tasks": ["swap", "rule"]}).fit([], given())
    with pytest.raises(DataError, match="no task 'trek'"):
        tuners.create("metaicl", {"tasks": ["trek"]}).fit([], given())
    with pytest.raises(ConfigError, match="each once"):
        tuners.create("metaicl", {"tasks": ["swap", "swap"]})


def parameters(**changes: Any) -> dict[str, Any]:
    lora = {"steps": 30, "batch_size": 16, "learning_rate": 1e-2, "schedule": "constant"}
    return {"tasks": ["swap"], "k": 3, "with": {"lora": lora}, **changes}


@pytest.mark.parametrize("more", [{"shared_demonstrations": 4}, {"multitask": True}])
def test_another_task_is_learned_without_a_look_at_the_pool(more: dict[str, Any]) -> None:
    tuner = tuners.create("metaicl", parameters(**more))
    tuned = tuner.fit([], given())
    losses = tuned.notes["losses"]
    assert sum(losses[-5:]) / 5 < 0.25 * losses[0]
    assert tuned.notes["rows"] == {"swap": 40}
    again = tuner.restore(tuned.state, fresh())
    ids = torch.tensor([TOKENIZER.encode("abc:Q\nfab:")])
    assert torch.allclose(again.network(ids).logits, tuned.network(ids).logits, atol=1e-5)
    if "shared_demonstrations" in more:
        assert tuned.cost.tokens_forwarded < 0.6 * tuned.cost.tokens


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icl.tuning.shared.checkpoint.EVERY", 0.0)
    lora = {"steps": 8, "batch_size": 4, "dropout": 0.1, "learning_rate": 1e-2}
    tuner = tuners.create("metaicl", parameters(**{"with": {"lora": lora}}))
    whole = tuner.fit([], given())

    def kill(step: TrainingStep) -> None:
        if step.step == 5:
            raise Killed

    with pytest.raises(Killed):
        tuner.fit([], given(folder=tmp_path, report=kill))
    steps: list[int] = []
    resumed = tuner.fit([], given(folder=tmp_path, report=lambda s: steps.append(s.step)))
    assert steps[0] > 1
    assert all(torch.equal(whole.state[name], resumed.state[name]) for name in whole.state)
    assert resumed.notes["losses"] == whole.notes["losses"]
