"""What a study is given, and what it owes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from icl import seeding
from icl.registry import Registry

if TYPE_CHECKING:
    import torch

    from icl.protocols import LanguageModel, Tokenizer
    from icl.tasks import TaskData
    from icl.training import Network

Found: TypeAlias = Mapping[str, Any]
"""What a step found: plain JSON (numbers, texts, lists, mappings), kept in the study's folder."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line, one cloud of points or one row of bars of a figure."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float | None]
    """None where nothing was measured."""
    low: Sequence[float | None] = ()
    """Of 95 % intervals, with `high`; empty where there are none."""
    high: Sequence[float | None] = ()
    kind: Literal["line", "points", "bars"] = "line"
    control: bool = False
    """Drawn apart: what would be seen without the effect."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What is drawn, as data: by matplotlib in the folder, by the page in a browser."""

    name: str
    """Of its file."""
    title: str
    x: str
    """What the axis says, with its unit."""
    y: str
    series: tuple[Series, ...] = ()
    cells: Sequence[Sequence[float | None]] = ()
    """In place of series a map of colours: rows of y, from 0 up, by columns of x."""
    log_x: bool = False
    log_y: bool = False
    highest: float | None = None
    """Of y that is drawn from 0 up; what is above is cut off, and the axis says so. Not with log_y."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a result."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """An expectation of the paper, what was measured, and the control beside it."""

    said: str
    """What is expected, with its source: "ablating top heads costs more than random ones (Olsson 2022)"."""
    measured: str
    """With figures, intervals and n."""
    control: str
    """What the control gave, or why there is none."""
    holds: bool | None
    """None where what was measured does not settle it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a study found, to be read."""

    claims: tuple[Claim, ...]
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    """What was dropped, cut or fell short."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a study that is done whole or not at all: what it finds is kept and not computed again."""

    name: str
    units: int
    """How many pieces of work it has."""
    unit: str
    """Of which kind: "training steps", "sequences"."""
    parameters: tuple[str, ...] | None = None
    """Names of those that its result depends on, None: all. A change of another leaves what it found."""
    after: tuple[str, ...] | None = None
    """Steps before it whose findings it reads, None: all of them. `work.found` holds no others."""


@dataclass(frozen=True)
class Decoder:
    """A decoder that is looked at: transformers' own network, and the engine over the same weights."""

    name: str
    network: Network
    tokenizer: Tokenizer
    engine: Callable[[], LanguageModel]
    """Made once, when first asked. It sees it where the network is changed in place, by hooks too."""
    fingerprint: str = ""
    """Of weights, tokenizer and precision."""
    context_length: int | None = None
    """Tokens of the longest text; None where whoever made it did not say."""


@dataclass
class Work:
    """A study at work."""

    seed: int
    folder: Path
    """For checkpoints of the step at work; emptied when it is done."""
    progress: Callable[[int], None]
    """Told how many units of the step are done."""
    note: Callable[[str], None]
    """A line for whoever watches, kept in the folder."""
    model: Decoder | None = None
    """None for studies that look at none."""
    tasks: Mapping[str, TaskData] = field(default_factory=dict)
    """By the names that the study asked for."""
    device: torch.device | None = None
    """Of networks that the study trains itself."""
    found: Mapping[str, Found] = field(default_factory=dict)
    """Of the steps before, by their names."""

    def generator(self, purpose: str, item: str = "") -> np.random.Generator:
        """A stream of its own for each purpose and item."""
        return seeding.generator(self.seed, f"study {purpose}", item)


class Study(Protocol):
    """An experiment on the mechanism. The constructor checks and stores; sizes are its parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Parameters by preset: `quick` (under 8 minutes on 2 cores, direction), `paper` (published sizes)."""
    needs_model: ClassVar[bool]
    """Whether it looks at a decoder."""

    def tasks(self) -> tuple[str, ...]:
        """Names or files of the tasks that it asks about."""
        ...

    def steps(self) -> tuple[Step, ...]:
        """In the order in which they are done; later ones may read what earlier ones found."""
        ...

    def pace(self, step: Step, work: Work) -> float:
        """Seconds that one unit of the step takes here, measured on a few; their results are thrown away."""
        ...

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """What the step finds, plain JSON. After a kill it goes on from `work.folder` if it can.

        Depends on parameters, seed, weights and data alone.
        """
        ...

    def report(self, found: Mapping[str, Found]) -> Report:
        """Of all steps, or of those that are done."""
        ...


@runtime_checkable
class Checks(Protocol):
    """What a study has besides that looks at a decoder or at tasks."""

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        """Whatever is wrong, in one IclError line. Called with None before a model loads, and after."""
        ...


studies: Registry[Study] = Registry("study", ("icl.mechanism",), Study)
