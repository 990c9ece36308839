"""The grid: every combination once, and the rows that every leaderboard needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from icl.errors import IclError
from icl.experiments.file.config import Component, Experiment
from icl.experiments.records import Cell
from icl.protocols import methods

ZERO_SHOT = Component.model_validate("zero_shot")
AS_SELECTED = Component.model_validate("as_selected")
MAJORITY = "majority_class"
NONE = "-"


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell with the components that make it."""

    cell: Cell
    selector: Component
    orderer: Component
    method: Component

    @property
    def shots(self) -> int:
        """Demonstrations asked for."""
        return self.cell.shots


def plan_cells(experiment: Experiment, tasks: Sequence[str]) -> list[PlannedCell]:
    """The cells of the named tasks in a stable order: task, then seed, then the file's order of the axes.

    Zero shots are the same whatever the selector and the orderer: they are one row, which is
    there for every method even if the file does not ask for it, and the only one of a method that shows
    none of the selector's demonstrations. Every other row runs under all
    seeds, also where no component draws at random, since the seed draws the pool.
    """
    cells = []
    for task in tasks:
        for seed in experiment.seeds:
            for selector, shots, orderer, method in _settings(experiment):
                cell = Cell(
                    model=experiment.model_label,
                    task=task,
                    selector=selector.label,
                    shots=shots,
                    orderer=orderer.label,
                    method=method.label,
                    seed=seed,
                )
                cells.append(PlannedCell(cell, selector, orderer, method))
    return cells


def majority_cell(experiment: Experiment, task: str, seed: int) -> Cell:
    """The row that answers every query with the most frequent label of the pool."""
    return Cell(experiment.model_label, task, MAJORITY, 0, NONE, NONE, seed)


Setting = tuple[Component, int, Component, Component]


def _settings(experiment: Experiment) -> list[Setting]:
    """Zero-shot first. The grid's items differ by label (see `config`), so the product does too."""
    zero = [(ZERO_SHOT, 0, AS_SELECTED, method) for method in experiment.grid.method]
    return [*zero, *_product(experiment)]


def _product(experiment: Experiment) -> Iterator[Setting]:
    grid = experiment.grid
    for selector in grid.selector:
        for shots in grid.shots:
            if shots == 0 or selector.name == ZERO_SHOT.name:
                continue
            for orderer in grid.orderer:
                for method in grid.method:
                    if shows_selected(method):
                        yield selector, shots, orderer, method


def shows_selected(method: Component) -> bool:
    """Whether the selector's demonstrations stand in the method's prompts. True for one that cannot be
    built, which `check` refuses in its own words."""
    try:
        built = methods.create(method.name, method.parameters)
    except IclError:
        return True
    return bool(getattr(built, "shows_selected", True))
