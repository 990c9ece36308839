"""Is in-context learning gradient descent? In a linear layer by construction, and in a decoder by
comparison."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from icl.components import check_number, check_numbers
from icl.mechanism.contract import Decoder, Found, Report, Step, Work, studies
from icl.mechanism.shared.gradient_descent.decoder import Comparison
from icl.mechanism.shared.gradient_descent.draw import drawn
from icl.mechanism.shared.gradient_descent.layer import descent_layer
from icl.mechanism.shared.gradient_descent.learning import Training, seconds_a_step, train, untrained
from icl.mechanism.shared.gradient_descent.likeness import WRONG, compared
from icl.mechanism.shared.gradient_descent.reading import report
from icl.mechanism.shared.gradient_descent.regression import Regressions, descent, regressions
from icl.mechanism.shared.gradient_descent.tuning import key_value_parts
from icl.mechanism.shared.heads import HeadReader
from icl.mechanism.shared.labelled import Material, check_labelled, check_task_name
from icl.tasks import TaskData

CONSTRUCTED = ((1, 1), (2, 3), (5, 5), (10, 10), (10, 40), (40, 10))
"""(dimension, points) at which the construction is held against a step of gradient descent."""
OF_LAYER = (
    "dimension", "points", "training_steps", "batch_size", "learning_rate", "deviation", "test_tasks",
    "scales",
)  # fmt: skip
OF_SETS = ("task", "shots", "queries", "validation", "tuning_rates", "epochs")


@studies.register(
    "gradient_descent",
    paper="von Oswald et al. 2023, Transformers Learn In-Context by Gradient Descent; "
    "Dai et al. 2023, Why Can GPT Learn In-Context?",
)
class GradientDescent:
    """Is in-context learning gradient descent?

    Three parts. construction: linear self-attention with chosen weights against one step of gradient descent.
    layer: a layer trained on linear regression in context against the best step (loss, predictions,
    sensitivities, weights, the way between them, other scales of x). set 1, 2, ...: a decoder's attention
    outputs, attention and answers after demonstrations were shown, and after its keys and values were
    fine-tuned on them (SimAOU, SimAM, Rec2FTP), beside fine-tuning on shuffled labels and on other examples,
    random updates and other demonstrations.

    dimension, points: of the regression; fewer points than dimensions leave it undetermined, and are refused.
    training_steps, batch_size, learning_rate, deviation: of the layer, see `learning.Training`. test_tasks:
    on which it is compared. scales: of x at that. task: by name or file, with labels. shots, sets:
    demonstrations, and how often they are drawn. queries: of the test split, the same for every set.
    validation: examples on which the learning rate is chosen among `tuning_rates`. epochs: of fine-tuning.
    resamples: of the bootstrap over queries.
    """

    needs_model: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {},
        "paper": {
            "training_steps": 5000, "learning_rate": 0.001, "shots": 32, "queries": 872, "sets": 1,
            "validation": 256,
        },
    }  # fmt: skip

    def __init__(
        self, *, dimension: int = 10, points: int = 10, training_steps: int = 600, batch_size: int = 2048,
        learning_rate: float = 0.01, deviation: float = 0.1, test_tasks: int = 10_000,
        scales: Sequence[float] = (0.5, 1.0, 1.5, 2.0), task: str = "sst2", shots: int = 8, queries: int = 32,
        sets: int = 3, validation: int = 24, tuning_rates: Sequence[float] = (0.0003, 0.001, 0.003, 0.01),
        epochs: int = 1, resamples: int = 2000,
    ) -> None:  # fmt: skip
        check_number("dimension", dimension, low=2, whole=True)
        check_number("points", points, low=1, whole=True)
        if points < dimension:
            raise ValueError(
                f"points is {points} and dimension {dimension}; allowed: at least as many points as "
                "dimensions, as fewer "
                "leave the regression undetermined"
            )
        check_numbers(
            low=1, whole=True, training_steps=training_steps, batch_size=batch_size, shots=shots, sets=sets,
            validation=validation, epochs=epochs,
        )  # fmt: skip
        check_numbers(low=2, whole=True, test_tasks=test_tasks, queries=queries)
        check_number("resamples", resamples, low=100, whole=True)
        _check_positive("learning_rate", learning_rate)
        _check_positive("deviation", deviation)
        for name, values in (("scales", scales), ("tuning_rates", tuning_rates)):
            if not isinstance(values, list | tuple) or not values:
                raise ValueError(f"{name} is {values!r}; allowed: a list of numbers above 0")
            for value in values:
                _check_positive(name, value)
        check_task_name(task)
        self.dimension, self.points = dimension, points
        self.training_steps, self.batch_size = training_steps, batch_size
        self.learning_rate, self.deviation, self.test_tasks = learning_rate, deviation, test_tasks
        self.scales, self.task, self.shots, self.queries = tuple(scales), task, shots, queries
        self.sets, self.validation, self.tuning_rates = sets, validation, tuple(tuning_rates)
        self.epochs, self.resamples = epochs, resamples

    def tasks(self) -> tuple[str, ...]:
        """The one."""
        return (self.task,)

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        """ConfigError for a task without labels or with too few examples; ModelError for a decoder whose
        heads, or whose key and value projections, are not found."""
        check_labelled(
            "gradient_descent", self.task, tasks, shots=self.shots, queries=self.queries, pool=self._pool,
            each=False,
        )  # fmt: skip
        if model is not None:
            HeadReader(model.network)
            key_value_parts(model.network)

    def steps(self) -> tuple[Step, ...]:
        """Construction, layer, sets."""
        units = Comparison.prompts(self.queries)
        sets = (Step(f"set {at + 1}", units, "prompts", OF_SETS, ()) for at in range(self.sets))
        return (
            Step("construction", len(CONSTRUCTED), "sizes", (), ()),
            Step("layer", self.training_steps, "training steps", OF_LAYER, ()),
            *sets,
        )

    def pace(self, step: Step, work: Work) -> float:
        """See Study."""
        if step.name == "construction":
            began = time.perf_counter()
            _difference(*CONSTRUCTED[-1], work)
            return time.perf_counter() - began
        if step.name == "layer":
            return seconds_a_step(self._training, work)
        return self._set(step, work).pace(self.tuning_rates, self.epochs)

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """See Study."""
        if step.name == "construction":
            for at in range(self.sets):
                self._comparison(at, work).check()
            return self._construction(work)
        if step.name == "layer":
            trained, fresh = train(self._training, work), untrained(self._training, work)
            streams = partial(work.generator, "linear attention comparison")
            return compared(
                trained, fresh, streams, points=self.points, count=self.test_tasks, scales=self.scales
            )
        draw = work.generator("random updates", step.name)
        return self._comparison(int(step.name.split()[1]) - 1, work).measure(
            self.tuning_rates, self.epochs, draw
        )

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        return report(found, self.resamples)

    @property
    def _training(self) -> Training:
        return Training(
            self.dimension,
            self.points,
            self.training_steps,
            self.batch_size,
            self.learning_rate,
            self.deviation,
        )

    def _construction(self, work: Work) -> dict[str, Any]:
        rows = []
        for done, (dimension, points) in enumerate(CONSTRUCTED, 1):
            rows.append({"dimension": dimension, "points": points} | _difference(dimension, points, work))
            work.progress(done)
        return {"sizes": rows}

    @property
    def _needed(self) -> int:
        """Examples of a set."""
        return 2 * self.shots + self.validation

    @property
    def _pool(self) -> int:
        """Every set has examples of its own."""
        return self.sets * self._needed

    def _set(self, step: Step, work: Work) -> Comparison:
        return self._comparison(int(step.name.split()[1]) - 1, work)

    def _comparison(self, at: int, work: Work) -> Comparison:
        assert work.model is not None
        material = Material.of(work, self.task, pool=self._pool, queries=self.queries)
        own = material.pool[at * self._needed : (at + 1) * self._needed]
        draw = work.generator("demonstrations", str(at))
        made = drawn(own, material.labels, self.shots, self.validation, draw)
        return Comparison(work.model, material, made, work.progress)


def _difference(dimension: int, points: int, work: Work) -> dict[str, float]:
    """The largest difference of a prediction, in units of the largest, between the construction and one step
    of descent, both in fp64, from weights that are not zero; and that of a construction with another step."""
    tasks = regressions(work.generator("construction", f"{dimension} {points}"), 64, points, dimension)
    tasks = Regressions(*(getattr(tasks, name).double() for name in ("x", "y", "asked", "target")))
    initial = torch.from_numpy(
        work.generator("construction start", str(dimension)).standard_normal(dimension)
    )
    wanted = descent(tasks, 1.0, initial)
    found = {}
    for name, step in (("difference", 1.0), ("wrong step", WRONG)):
        layer = descent_layer(dimension, points, step, initial)
        made = layer.predict(tasks.x, tasks.y, tasks.asked, tasks.asked @ initial)
        found[name] = float((made - wanted).abs().max() / wanted.abs().max())
    return found


def _check_positive(name: str, value: object) -> None:
    """ValueError unless `value` is a finite number above 0."""
    check_number(name, value, low=0)
    if value == 0:
        raise ValueError(f"{name} is {value!r}; allowed: a number > 0")
