"""Runs an experiment: from checked cells to a run folder, going on where an earlier run ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from icl.encoders import load_encoder
from icl.errors import ContextOverflow, IclError, ModelError, retold
from icl.experiments.asking import pooled
from icl.experiments.asking.conversations import Window
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.folder.manifest import first_manifest
from icl.experiments.folder.placing import TASKS
from icl.experiments.folder.store import Contents, RunFolder
from icl.experiments.folder.texts import TaskTexts
from icl.experiments.grid.cells import PlannedCell, majority_cell
from icl.experiments.grid.check import Checked, tracker
from icl.experiments.grid.trainable import refuse_given
from icl.experiments.records import Cell, CellResult
from icl.experiments.running.grouped import groups
from icl.experiments.running.judge import about_data, judge, majority
from icl.experiments.running.judging import Judging
from icl.experiments.running.live import ProgressFile
from icl.experiments.running.progress import Meter
from icl.experiments.running.restored import let_go
from icl.experiments.running.session import at_work, recorded, said_in_one_line
from icl.experiments.running.tally import Tally
from icl.experiments.running.tracked import Tracked
from icl.experiments.running.turn import Surroundings, Turn
from icl.labels import LABELLED
from icl.protocols import Encoder, LanguageModel, metrics

log = logging.getLogger("icl")

CACHE = ".cache"


class Runner:
    """One session with one experiment. `run` may be called again after it was broken off."""

    def __init__(
        self,
        checked: Checked,
        root: Path,
        *,
        model: LanguageModel | None = None,
        max_memory: int | None = None,
        window: Window | None = None,
        meter: Meter | None = None,
        restart: bool = False,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """about: entries that the manifest begins with beside its own."""
        if model is not None:
            refuse_given(checked.experiment, checked.source)
            pooled.refuse_given(checked.experiment, checked.source)
            if len(checked.experiment.models) > 1:
                raise checked.source.error(
                    ("model",), "names several models, and one is given to the run (model=...): leave one out"
                )
        self.checked = checked
        self.folder = RunFolder(root / checked.experiment.name)
        self.window = window or Window()
        self.meter = meter or Meter()
        self._root = root
        self._given = model
        self._max_memory = max_memory
        self._restart = restart
        self._about = dict(about or {})
        self._texts: dict[str, TaskTexts] = {}
        self._loaded: Encoder | None = None

    def run(self) -> RunFolder:
        """Runs what is not complete. Raises IclError; a broken-off run goes on with the same call.

        KeyboardInterrupt says how much is kept.
        """
        checked, folder = self.checked, self.folder
        try:
            with said_in_one_line(folder, self.meter):
                older = self._begin()
                self.meter.watchers.append(ProgressFile(folder.path))
                if told := {name: tracker(name, given) for name, given in checked.experiment.track.items()}:
                    self.meter.watchers.append(Tracked(told, folder, checked.experiment.resolved))
                self._texts = {name: folder.texts(data.task) for name, data in checked.tasks.items()}
                for (task, _), split in checked.splits.items():
                    self._texts[task].add(split.test)
                if older:
                    self._add_shown()
                self._majority_rows()
                left = [c for c in checked.cells if not self._is_complete(c.cell)]
                total = sum(self._size(c) for c in checked.cells)
                self.meter.start(total, total - sum(self._size(c) for c in left))
                self._note_outside()
                judging = Judging.of(checked, folder)
                if left or (judging is not None and judging.left(folder.cells())):
                    with recorded(folder, self.meter) as session:
                        self._session(left, session, judging)
        finally:
            self.meter.stop()
            folder.close()
        return folder

    def _begin(self) -> bool:
        """Whether the folder is there already, of a format that kept no texts."""
        checked, folder = self.checked, self.folder
        carved = {task for (task, _), split in checked.splits.items() if split.report.carved}
        contents = Contents(
            experiment=checked.experiment.resolved,
            cells=self._all_cells(),
            data=checked.data_fingerprints,
            queries={task: len(split.test) for (task, _), split in checked.splits.items()},
            tasks={name: data.task for name, data in checked.tasks.items()},
            carved=sorted(carved),
            manifest={**first_manifest(checked), **self._about},
        )
        folder.begin(contents, restart=self._restart)
        folder.note_environment()
        return not all((folder.path / TASKS / f"{name}.json").exists() for name in checked.tasks)

    def _add_shown(self) -> None:
        """Texts of predictions that were made before texts were kept."""
        for result in self.folder.results():
            pool = {e.id: e for e in self.checked.splits[result.cell.task, result.cell.seed].pool}
            shown = (pool.get(i) for p in result.predictions for i, _ in p.demonstrations)
            self._texts[result.cell.task].add(e for e in shown if e is not None)

    def _note_outside(self) -> None:
        outside = self.folder.outside
        if outside:
            self.meter.note(
                f"{outside} cells that this grid does not have stay in the folder and are not shown"
            )

    def _is_complete(self, cell: Cell) -> bool:
        """A damaged cell is said to be so, and is not."""
        result = self.folder.result(cell)
        if result.damage:
            log.warning("%s. This cell alone is computed again.", result.damage)
        return result.complete

    def _size(self, cell: PlannedCell) -> int:
        return len(self.checked.splits[cell.cell.task, cell.cell.seed].test)

    def _all_cells(self) -> list[Cell]:
        """Majority rows and the grid, in the order of the grid."""
        cells: dict[Cell, None] = {}
        for checked in self.checked.each:
            for (task, seed), group in groups(checked.cells):
                if self.checked.tasks[task].task.kind in LABELLED:
                    cells[majority_cell(checked.experiment, task, seed)] = None
                cells |= dict.fromkeys(c.cell for c in group)
        return list(cells)

    def _session(self, left: Sequence[PlannedCell], engines: list[str], judging: Judging | None) -> None:
        """One model after another, each gone from memory before the next is opened, the judge's last. One
        that cannot be read or asked does not keep the others back."""
        # Before the model: a cache that cannot be used is found in a moment, a model loads for minutes.
        cache = self._root / CACHE
        team = pooled.team_of(self.checked.experiment, self.checked.source)
        with closing(ResponseStore(cache / "responses.sqlite")) as store, at_work(team, self.folder):
            shared = Surroundings(
                self.folder,
                self._texts,
                store,
                cache,
                self.window,
                self.meter,
                self._encoder,
                engines,
                self._max_memory,
                len(self.checked.experiment.models) > 1,
                team,
            )
            self.folder.update_manifest(untrained={})
            turns = self.checked.each
            failed: list[IclError] = []
            for checked in turns:
                label = checked.experiment.model_label
                mine = [c for c in left if c.cell.model == label]
                if not mine:
                    continue
                try:
                    found = Turn(checked, shared, self._given).take(mine)
                    failed += [retold(error, f"{shared.prefix(label)}{error}") for error in found]
                except (ModelError, ContextOverflow) as error:
                    if not shared.several:
                        raise
                    log.warning("%s%s", shared.prefix(label), error)
                    failed.append(retold(error, f"{shared.prefix(label)}{error}"))  # without what it holds
                if shared.several:
                    let_go()
            if judging is not None:
                if team is not None:
                    team.stop()  # its models are to be gone before the judge's is opened
                cells = self.folder.cells()
                engines += judging.run(cells, store, self.window, self.meter, self._max_memory)
            for first in failed:
                noun = "failures" if shared.several else "tunings failed"
                more = f"; {len(failed) - 1} more {noun}" if len(failed) > 1 else ""
                raise retold(first, f"{first}{more}")

    def _encoder(self) -> Encoder | None:
        if not self.checked.needs_encoder or self._loaded is not None:
            return self._loaded
        name = self.checked.experiment.encoder
        self.meter.note(f"loading encoder {name}")
        encoder = load_encoder(name, cache=self._root / CACHE / "embeddings")
        entry = {"name": name, "origin": encoder.source, "fingerprint": encoder.fingerprint}
        self.folder.check_encoder(entry)
        self._loaded = encoder
        return encoder

    def _majority_rows(self) -> None:
        """The row without a model, from the pool's labels alone."""
        for (task, seed), split in self.checked.splits.items():
            definition = self.checked.tasks[task].task
            cells = [majority_cell(one, task, seed) for one in self.checked.experiment.each]
            if definition.kind not in LABELLED:
                continue
            for cell in cells:
                if self._is_complete(cell):
                    continue
                predictions = majority(split, definition, metrics.create(definition.metric))
                values = judge(Tally.of(predictions), definition, ("accuracy", definition.metric))
                label = {"majority_label": predictions[0].answer, **about_data(split)}
                writer = self.folder.writer(cell, len(split.test))
                writer.finish(CellResult(cell, predictions, metrics=values, notes=label))
