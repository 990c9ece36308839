"""What can a small decoder learn in context? Classes of functions, trained from nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch

from icl.components import check_choice, check_flag, check_number, check_numbers
from icl.mechanism.contract import Found, Report, Step, Work, studies
from icl.mechanism.shared.functions.classes import KINDS, Shape
from icl.mechanism.shared.functions.learner import Lesson, errors, predictions
from icl.mechanism.shared.functions.prompts import NONE, SHIFTS, SHUFFLED, Prompts, prompts
from icl.mechanism.shared.functions.reading import report
from icl.mechanism.shared.functions.rivals import rivals
from icl.mechanism.shared.small import Size, VectorDecoder
from icl.mechanism.shared.training import Schedule, seconds_a_step, train
from icl.seeding import stream_key
from icl.tuning.shared.checkpoint import Checkpoint

PACED_PROMPTS = 64
"""Prompts on which the estimators are timed, as many of them at once are cheaper."""
ASKING = (
    "dimension", "points", "many_points", "sparsity", "hidden", "depth", "prompts", "scales", "noise",
    "resamples",
)  # fmt: skip
"""Parameters that everything depends on."""
LEARNING = (
    "layers", "width", "heads", "deviation", "training_steps", "batch_size", "learning_rate", "warmup",
    "schedule", "clip", "first_dimension", "grow_every", "compiled",
)  # fmt: skip
"""Those of the decoder."""


@studies.register(
    "functions",
    paper="Garg et al. 2022, What Can Transformers Learn In-Context? A Case Study of Simple Function Classes",
)
class Functions:
    """What can a small decoder learn in context? Linear, sparse linear, two-layer network, tree.

    For each class a decoder is trained from nothing on prompts x1, f(x1), x2, f(x2), ... of fresh
    functions, and asked for f(x) after 0, 1, ... examples: as in training and with other inputs and
    labels, beside least squares, ridge, 3-NN, averaging and estimators made for the class, and beside the
    same network untrained.

    kinds: classes. dimension: of x. points: of a prompt of linear and sparse functions, what is asked
    counted; not more than `dimension` points never reach the number from which least squares is exact,
    and are refused. many_points: of networks and trees. sparsity, hidden, depth: see `classes.Shape`.
    layers, width, heads, deviation: of the decoder and its first weights. training_steps, batch_size,
    learning_rate, warmup, schedule, clip: see `training.Schedule`. first_dimension, grow_every:
    curriculum, see `learner.Lesson`. prompts: that are asked. scales: of x. noise: deviation of noisy
    labels; ridge's penalty is its square. lasso: its alpha. resamples: of the bootstrap over prompts.
    compiled: training by torch.compile.
    """

    needs_model: ClassVar[bool] = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {},
        "paper": {
            "dimension": 20, "points": 41, "many_points": 101, "sparsity": 3, "hidden": 100, "depth": 4,
            "layers": 12, "width": 256, "heads": 8, "deviation": 0.02, "training_steps": 500_000,
            "batch_size": 64, "learning_rate": 1e-4, "warmup": 0, "schedule": "constant", "clip": 0.0,
            "first_dimension": 5, "grow_every": 2000, "prompts": 1280, "scales": [1 / 3, 0.5, 2.0, 3.0],
        },
    }  # fmt: skip

    def __init__(
        self, *, kinds: Sequence[str] = KINDS, dimension: int = 3, points: int = 9, many_points: int = 9,
        sparsity: int = 1, hidden: int = 16, depth: int = 2, layers: int = 3, width: int = 32, heads: int = 4,
        deviation: float = 0.15, training_steps: int = 1600, batch_size: int = 64,
        learning_rate: float = 0.005, warmup: int = 80,
        schedule: Literal["constant", "linear", "cosine", "inverse_root"] = "cosine", clip: float = 1.0,
        first_dimension: int = 1, grow_every: int = 300, prompts: int = 256,
        scales: Sequence[float] = (0.5, 2.0), noise: float = 1.0, lasso: float = 0.01, resamples: int = 1000,
        compiled: bool = False,
    ) -> None:  # fmt: skip
        if not isinstance(kinds, list | tuple) or not kinds or len(set(map(str, kinds))) < len(kinds):
            raise ValueError(f"kinds is {kinds!r}; allowed: a list of different ones of {', '.join(KINDS)}")
        for kind in kinds:
            check_choice("kinds", kind, KINDS)
        check_numbers(
            low=1, whole=True, dimension=dimension, hidden=hidden, depth=depth, batch_size=batch_size,
        )  # fmt: skip
        for name, value in (("points", points), ("many_points", many_points)):
            check_number(name, value, low=1, whole=True)
            if value <= dimension:
                raise ValueError(
                    f"{name} is {value} and dimension {dimension}; allowed: more points than dimensions, as "
                    "fewer leave a linear function undetermined"
                )
        check_number("sparsity", sparsity, low=1, high=dimension, whole=True)
        check_number("first_dimension", first_dimension, low=1, high=dimension, whole=True)
        check_number("grow_every", grow_every, low=0, whole=True)
        check_number("prompts", prompts, low=2, whole=True)
        check_number("resamples", resamples, low=100, whole=True)
        check_numbers(low=1e-12, deviation=deviation, noise=noise, lasso=lasso)
        if not isinstance(scales, list | tuple):
            raise ValueError(f"scales is {scales!r}; allowed: a list of numbers above 0")
        for scale in scales:
            check_number("scales", scale, low=1e-12)
        check_flag("compiled", compiled)
        Size(layers, width, heads, 2 * max(points, many_points))
        Schedule(training_steps, learning_rate, warmup, schedule, clip=clip)
        self.kinds, self.dimension = tuple(kinds), dimension
        self.points, self.many_points = points, many_points
        self.sparsity, self.hidden, self.depth = sparsity, hidden, depth
        self.layers, self.width, self.heads, self.deviation = layers, width, heads, deviation
        self.training_steps, self.batch_size, self.learning_rate = training_steps, batch_size, learning_rate
        self.warmup, self.schedule, self.clip = warmup, schedule, clip
        self.first_dimension, self.grow_every, self.prompts = first_dimension, grow_every, prompts
        self.scales, self.noise, self.lasso = tuple(scales), noise, lasso
        self.resamples, self.compiled = resamples, compiled

    def tasks(self) -> tuple[str, ...]:
        """None."""
        return ()

    def steps(self) -> tuple[Step, ...]:
        """For each class: learning, then the estimators it is compared with."""
        asked = self.prompts * len(self._shifts)
        pairs = (
            (
                Step(f"learn {kind}", self.training_steps, "training steps", (*ASKING, *LEARNING), ()),
                Step(f"rivals {kind}", asked, "prompts", (*ASKING, "lasso"), ()),
            )
            for kind in self.kinds
        )
        return tuple(step for pair in pairs for step in pair)

    def pace(self, step: Step, work: Work) -> float:
        """See Study."""
        what, kind = step.name.split()
        if what == "learn":
            lesson = self._lesson(kind, work)
            return seconds_a_step(self._network(kind, work), lesson.loss, self._schedule, self.compiled)
        self._of_rivals(kind, NONE, self._prompts(kind, NONE, work, 2), work)  # loads what they need
        number = min(PACED_PROMPTS, self.prompts)
        asked = self._prompts(kind, NONE, work, number)
        began = time.perf_counter()
        self._of_rivals(kind, NONE, asked, work)
        return (time.perf_counter() - began) / number

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """See Study."""
        what, kind = step.name.split()
        if what == "learn":
            return self._learn(kind, work)
        found = {}
        for done, shift in enumerate(self._shifts, 1):
            found[shift] = self._of_rivals(kind, shift, self._prompts(kind, shift, work), work)
            work.progress(done * self.prompts)
        return {"shifts": found}

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        return report(found, self.dimension, self.resamples)

    def _learn(self, kind: str, work: Work) -> dict[str, Any]:
        network, lesson = self._network(kind, work), self._lesson(kind, work)
        untrained = self._errors(partial(predictions, network.eval()), kind, NONE, work)
        checkpoint = Checkpoint(work.folder / f"{kind}.safetensors", repr((self._learning, kind, work.seed)))
        course = train(
            network, lesson.loss, self._schedule, checkpoint=checkpoint, progress=work.progress,
            compiled=self.compiled,
        )  # fmt: skip
        predict = partial(predictions, network)
        shifts = {shift: self._errors(predict, kind, shift, work) for shift in self._shifts}
        return {
            "examples": list(self._examples(kind)), "losses": course.losses, "untrained": untrained,
            "shifts": shifts,
        }  # fmt: skip

    def _errors(self, predict: Any, kind: str, shift: str, work: Work) -> dict[str, Any]:
        return errors(
            predict, self._prompts(kind, shift, work), self._examples(kind), self._variance(kind, shift),
            self.resamples,
        )  # fmt: skip

    def _of_rivals(self, kind: str, shift: str, asked: Prompts, work: Work) -> dict[str, Any]:
        seed = stream_key(work.seed, "study two-layer network")
        others = rivals(kind, self._shape, ridge=self.noise**2, lasso=self.lasso, seed=seed)
        variance, examples = self._variance(kind, shift), self._examples(kind)
        return {
            name: errors(rival, asked, examples, variance, self.resamples) for name, rival in others.items()
        }

    @property
    def _learning(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*ASKING, *LEARNING)}

    @property
    def _shape(self) -> Shape:
        return Shape(self.dimension, self.sparsity, self.hidden, self.depth)

    @property
    def _schedule(self) -> Schedule:
        return Schedule(self.training_steps, self.learning_rate, self.warmup, self.schedule, clip=self.clip)

    @property
    def _shifts(self) -> tuple[str, ...]:
        scaled = (f"scale {scale:.3g}" for scale in self.scales)
        return (NONE, *scaled, *SHIFTS)

    def _points(self, kind: str) -> int:
        return self.points if kind in ("linear", "sparse") else self.many_points

    def _examples(self, kind: str) -> range:
        return range(self._points(kind))

    def _variance(self, kind: str, shift: str) -> float:
        scaled = shift.startswith("scale ")
        return self._shape.variance(kind, float(shift.removeprefix("scale ")) if scaled else 1.0)

    def _prompts(self, kind: str, shift: str, work: Work, number: int | None = None) -> Prompts:
        # What is shuffled are the very prompts of training's distribution, so that errors compare in pairs.
        rng = work.generator(f"functions asked {kind}", NONE if shift == SHUFFLED else shift)
        return prompts(
            kind, shift, rng, number or self.prompts, self._points(kind) - 1, self._shape, self.noise
        )

    def _lesson(self, kind: str, work: Work) -> Lesson:
        return Lesson(
            kind, self._shape, self._points(kind), self.batch_size, self.first_dimension, self.grow_every,
            work.generator,
        )  # fmt: skip

    def _network(self, kind: str, work: Work) -> VectorDecoder:
        size = Size(self.layers, self.width, self.heads, 2 * self._points(kind))
        seed = stream_key(work.seed, "study functions weights", kind)
        network = VectorDecoder(size, self.dimension, 1, seed, self.deviation)
        return network.to(work.device or torch.device("cpu"))
