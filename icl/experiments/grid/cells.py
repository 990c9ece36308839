"""The grid: every combination once, and the rows that every leaderboard needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from icl.errors import IclError
from icl.experiments.file.axes import Component, Pattern
from icl.experiments.file.config import Experiment
from icl.experiments.file.models import ModelChoice
from icl.experiments.records import UNTUNED, Cell
from icl.protocols import methods

ZERO_SHOT = Component.model_validate("zero_shot")
AS_SELECTED = Component.model_validate("as_selected")
MAJORITY = "majority_class"
BASE = Component.model_validate(UNTUNED)
NONE = "-"


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell with the components that make it."""

    cell: Cell
    selector: Component
    orderer: Component
    method: Component
    tuning: Component = BASE
    model: ModelChoice | None = None

    @property
    def shots(self) -> int:
        """Demonstrations asked for."""
        return self.cell.shots


def plan_cells(experiment: Experiment, tasks: Sequence[str]) -> list[PlannedCell]:
    """The cells of the named tasks in a stable order: model, tuning, task, seed, then the file's order of the
    axes.

    A model as it is comes before its tunings: it is gone from memory before one is trained. Zero shots are
    the same whatever the selector and the orderer: they are one row, which is there for every method even if
    the file does not ask for it, and the only one of a method that shows none of the selector's
    demonstrations; so under every tuning. A method that never asks the model is run once, without tuning.
    Every other row runs under all seeds, also where no component draws at random, since the seed draws the
    pool.
    """
    return [cell for one in experiment.each for cell in _of_model(one, tasks)]


def _of_model(experiment: Experiment, tasks: Sequence[str]) -> Iterator[PlannedCell]:
    choice = experiment.choice
    for tuning in (BASE, *(item for item in experiment.grid.tuning if item != BASE)):
        methods = [m for m in experiment.grid.method if _runs_under(tuning, m, experiment)]
        settings = _settings(experiment, methods)
        for task in tasks:
            for seed in experiment.seeds:
                for selector, shots, orderer, method in settings:
                    cell = Cell(
                        model=choice.label,
                        task=task,
                        selector=selector.label,
                        shots=shots,
                        orderer=orderer.label,
                        method=method.label,
                        seed=seed,
                        tuning=tuning.label,
                    )
                    planned = PlannedCell(cell, selector, orderer, method, tuning, choice)
                    if not experiment.grid.only or any(fits(planned, p) for p in experiment.grid.only):
                        yield planned


def fits(planned: PlannedCell, pattern: Pattern) -> bool:
    """Whether a cell has the values of a pattern: its components by their names or whole labels."""
    for axis, values in pattern.named.items():
        item = planned.shots if axis == "shots" else getattr(planned, axis)
        if not ({item} if isinstance(item, int) else {item.label, item.name}) & set(values):
            return False
    return True


def _runs_under(tuning: Component, method: Component, experiment: Experiment) -> bool:
    if tuning == BASE:
        return BASE in experiment.grid.tuning or not _says(method, "asks_model")
    return _says(method, "asks_model")


def majority_cell(experiment: Experiment, task: str, seed: int) -> Cell:
    """The row that answers every query with the most frequent label of the pool. experiment: of one model."""
    return Cell(experiment.model_label, task, MAJORITY, 0, NONE, NONE, seed)


Setting = tuple[Component, int, Component, Component]


def _settings(experiment: Experiment, methods: Sequence[Component]) -> list[Setting]:
    """Zero-shot first. The grid's items differ by label (see `config`), so the product does too."""
    zero = [(ZERO_SHOT, 0, AS_SELECTED, method) for method in methods]
    return [*zero, *_product(experiment, [m for m in methods if shows_selected(m)])]


def _product(experiment: Experiment, methods: Sequence[Component]) -> Iterator[Setting]:
    grid = experiment.grid
    for selector in grid.selector:
        for shots in grid.shots:
            if shots == 0 or selector.name == ZERO_SHOT.name:
                continue
            for orderer in grid.orderer:
                for method in methods:
                    yield selector, shots, orderer, method


def shows_selected(method: Component) -> bool:
    """Whether the selector's demonstrations stand in the method's prompts. True for one that cannot be
    built, which `check` refuses in its own words."""
    return _says(method, "shows_selected")


def _says(method: Component, attribute: str) -> bool:
    try:
        built = methods.create(method.name, method.parameters)
    except IclError:
        return True
    return bool(getattr(built, attribute, True))
