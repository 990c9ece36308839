"""Which data make a decoder learn in context rather than in its weights? Bursty and skewed classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch

from icl.components import check_flag, check_number, check_numbers
from icl.mechanism.contract import Found, Report, Step, Work, studies
from icl.mechanism.shared.bursty.data import PAIRS, World
from icl.mechanism.shared.bursty.learner import LENGTH, PairDecoder, Setting
from icl.mechanism.shared.bursty.reading import report
from icl.mechanism.shared.small import Size
from icl.mechanism.shared.training import Schedule, seconds_a_step, train
from icl.seeding import stream_key
from icl.tuning.shared.checkpoint import Checkpoint

SHARED = (
    "classes", "labels", "dimension", "within", "layers", "width", "heads", "deviation", "batch_size",
    "learning_rate", "warmup", "schedule", "clip", "every_label", "sequences", "compiled",
)  # fmt: skip
"""Parameters that every training depends on."""


@studies.register(
    "bursty",
    paper="Chan et al. 2022, Data Distributional Properties Drive Emergent In-Context Learning in "
    "Transformers; Singh et al. 2023, The Transient Nature of Emergent In-Context Learning in Transformers",
)
class Bursty:
    """Which data make a decoder learn in context, and does that last? Burstiness and Zipf's exponent.

    A decoder is trained from nothing to name the class of a query after 8 pairs of features and label: once
    for each share of bursty sequences and each exponent. While it learns it is asked in context (fresh
    classes, labels 0 and 1 by context, 2-way 4-shot) and from its weights (trained classes whose label is
    absent from the context). The first of both lists is trained longest, to see whether what is learned in
    context goes away.

    bursty: shares of sequences with three of the query's class and three of one other. zipf: exponents of the
    classes' frequencies. classes: that are trained. labels: of the classes, 0: one each; fewer are shared.
    dimension, within: of features; deviation within a class over that between classes. layers, width, heads,
    deviation: of the decoder and its first weights. training_steps: of each training; long_steps: of the
    first. looks: how often each is asked, over training_steps. batch_size, learning_rate, warmup, schedule,
    clip: see `training.Schedule`; a schedule that ends with the training (linear, cosine) is refused, as
    trainings of two lengths would not compare. every_label: train on the
    label of every pair, not of the query alone. sequences: that are asked. compiled: by torch.compile.
    """

    needs_model: ClassVar[bool] = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {},
        "paper": {
            "bursty": [0.9, 0.0], "zipf": [0.0, 1.0], "classes": 1600, "labels": 0, "dimension": 64,
            "layers": 12, "width": 64, "heads": 8, "deviation": 0.02, "training_steps": 500_000,
            "long_steps": 5_000_000, "looks": 50, "batch_size": 32, "learning_rate": 3e-4, "warmup": 4000,
            "schedule": "inverse_root", "clip": 0.0, "every_label": False, "sequences": 2000,
        },
    }  # fmt: skip

    def __init__(
        self, *, bursty: Sequence[float] = (0.9, 0.0), zipf: Sequence[float] = (0.0, 1.0),
        classes: int = 5120, labels: int = 32, dimension: int = 16, within: float = 0.1, layers: int = 2,
        width: int = 64, heads: int = 4, deviation: float = 0.125, training_steps: int = 1500,
        long_steps: int = 5000, looks: int = 6, batch_size: int = 64, learning_rate: float = 0.003,
        warmup: int = 100, schedule: Literal["constant", "inverse_root"] = "constant", clip: float = 1.0,
        every_label: bool = True, sequences: int = 500, compiled: bool = False,
    ) -> None:  # fmt: skip
        for name, values, high in (("bursty", bursty, 1.0), ("zipf", zipf, None)):
            if not isinstance(values, list | tuple) or not values:
                raise ValueError(f"{name} is {values!r}; allowed: a list of numbers")
            for value in values:
                check_number(name, value, low=0, high=high)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {values!r}; allowed: a list of different numbers")
        check_number("classes", classes, low=PAIRS + 1, whole=True)
        check_number("labels", labels, low=0, high=classes, whole=True)
        if labels == 1:
            raise ValueError("labels is 1; allowed: 0 (one a class) or at least 2")
        check_numbers(low=1, whole=True, dimension=dimension, batch_size=batch_size, looks=looks)
        check_number("within", within, low=0)
        check_number("deviation", deviation, low=1e-12)
        check_number("sequences", sequences, low=10, whole=True)
        check_flag("every_label", every_label)
        check_flag("compiled", compiled)
        Size(layers, width, heads, LENGTH)
        if schedule not in ("constant", "inverse_root"):
            raise ValueError(f"schedule is {schedule!r}; allowed: constant, inverse_root")
        Schedule(training_steps, learning_rate, warmup, schedule, clip=clip)
        check_number("looks", looks, low=1, high=training_steps, whole=True)
        check_number("long_steps", long_steps, low=training_steps, whole=True)
        self.bursty, self.zipf, self.classes, self.labels = tuple(bursty), tuple(zipf), classes, labels
        self.dimension, self.within, self.layers, self.width = dimension, within, layers, width
        self.heads, self.deviation, self.training_steps = heads, deviation, training_steps
        self.long_steps, self.looks, self.batch_size = long_steps, looks, batch_size
        self.learning_rate, self.warmup, self.schedule, self.clip = learning_rate, warmup, schedule, clip
        self.every_label, self.sequences, self.compiled = every_label, sequences, compiled

    def tasks(self) -> tuple[str, ...]:
        """None."""
        return ()

    def steps(self) -> tuple[Step, ...]:
        """A training for each share and exponent."""
        names = (*SHARED, "training_steps", "looks")
        pairs = [(share, exponent) for share in self.bursty for exponent in self.zipf]
        return tuple(
            Step(
                self._name(*pair), self._length(at), "training steps",
                names if at else (*names, "long_steps"), (),
            )
            for at, pair in enumerate(pairs)
        )  # fmt: skip

    def pace(self, step: Step, work: Work) -> float:
        """See Study."""
        setting, network = self._setting(step, work), self._network(work)
        world = setting.world()
        return seconds_a_step(
            network, lambda net, at: setting.loss(net, at, world), self._schedule(step), self.compiled
        )

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """See Study."""
        setting, network = self._setting(step, work), self._network(work)
        world = setting.world()
        course = train(
            network, lambda net, at: setting.loss(net, at, world), self._schedule(step),
            checkpoint=Checkpoint(work.folder / "decoder.safetensors", repr((self._known, step, work.seed))),
            progress=work.progress, looks=self._asked(step.units),
            look=lambda net, _: setting.look(net, world, self.sequences), compiled=self.compiled,
        )  # fmt: skip
        return {
            "bursty": setting.bursty, "zipf": setting.zipf, "losses": course.losses, "looks": course.looks,
            "chance": self._chance(world),
        }  # fmt: skip

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        if not found:
            return Report((), notes=("nothing is trained yet",))
        return report(found, self.training_steps, self.sequences)

    @property
    def _known(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*SHARED, "training_steps", "looks", "long_steps")}

    @property
    def _labels(self) -> int:
        return self.labels or self.classes

    def _name(self, share: float, exponent: float) -> str:
        return f"bursty {share:g} zipf {exponent:g}"

    def _length(self, at: int) -> int:
        return self.training_steps if at else self.long_steps

    def _schedule(self, step: Step) -> Schedule:
        return Schedule(step.units, self.learning_rate, self.warmup, self.schedule, clip=self.clip)

    def _asked(self, steps: int) -> list[int]:
        """After how many steps: evenly to training_steps, and as far apart from there on."""
        apart = self.training_steps // self.looks
        return sorted({*range(0, steps + 1, apart), self.training_steps, steps})

    def _setting(self, step: Step, work: Work) -> Setting:
        pairs = {
            self._name(share, exponent): (share, exponent) for share in self.bursty for exponent in self.zipf
        }
        share, exponent = pairs[step.name]
        return Setting(
            share, exponent, self.classes, self._labels, self.dimension, self.within, self.batch_size,
            self.every_label, lambda purpose, item: work.generator(f"bursty {purpose}", item),
        )  # fmt: skip

    def _network(self, work: Work) -> PairDecoder:
        """The same first weights for every training."""
        seed = stream_key(work.seed, "study bursty weights")
        size = Size(self.layers, self.width, self.heads, LENGTH)
        network = PairDecoder(size, self.dimension, self._labels, seed, self.deviation)
        return network.to(work.device or torch.device("cpu"))

    def _chance(self, world: World) -> float:
        """In weights, of who knows the frequencies alone: that of the most frequent label."""
        return float(
            torch.bincount(torch.from_numpy(world.labels), torch.from_numpy(world.frequencies)).max()
        )
