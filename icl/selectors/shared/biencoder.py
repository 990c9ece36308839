"""Two encoders trained together: one for queries, one for examples (a bi-encoder with two towers).

Two towers and not one: relevance is not symmetric, and a tower that serves both sides must place
a query near the examples that share its words, helpful or not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.encoders.cache import CachedEncoder, FingerprintedEncoder
from icl.encoders.sentence import SentenceEncoder
from icl.errors import DataError
from icl.protocols import Encoder
from icl.selectors.shared.keeping import Keeper, Lasted, agreement

SCALE = 20.0
"""Inverse temperature of cosines in the loss: the default of sentence-transformers."""
MAX_TOKENS = 256
ABOUT = "towers.json"
TOWERS = ("queries", "examples")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One contrast: the query should be nearer to `positive` than to `negative`."""

    query: str
    positive: str
    negative: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """An item that is not trained on, some examples as the examples' tower reads them, and how
    well each did on the model."""

    query: str
    examples: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train. `learning_rate` None: 1e-4 for a transformer, 0.01 for a projection.

    `patience`: epochs without a better `agreement` after which training ends."""

    batch_size: int
    learning_rate: float | None
    clip: float
    seed: int
    patience: int = 10


class ProjectionEncoder:
    """Another encoder's vectors through a matrix [d, d], scaled to unit length again."""

    def __init__(self, base: Encoder, matrix: NDArray[np.float32]) -> None:
        self.base = base
        self.matrix = np.ascontiguousarray(matrix, dtype=np.float32)

    @property
    def name(self) -> str:
        """Names the encoder that it projects."""
        return f"{self.base.name}+projection"

    @property
    def source(self) -> str:
        """Where it came from, for the manifest."""
        return f"{self.name} trained on scores of a language model"

    @property
    def fingerprint(self) -> str:
        """Changes whenever a vector may change."""
        digest = hashlib.blake2b(self.matrix.tobytes(), digest_size=8).hexdigest()
        return f"{getattr(self.base, 'fingerprint', self.base.name)}+{digest}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, d] unit rows."""
        rows = self.base.encode(texts) @ self.matrix
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


@dataclass(frozen=True, slots=True)
class Towers:
    """The encoders of the two sides; each can be used alone, wherever an encoder is asked for."""

    queries: FingerprintedEncoder
    examples: FingerprintedEncoder

    def save(self, folder: Path | str) -> None:
        """Writes both towers. Of transformers, each sub-folder is a sentence-transformers model that
        an experiment can name as its encoder."""
        root = Path(folder)
        for name, tower in zip(TOWERS, (self.queries, self.examples), strict=True):
            (root / name).mkdir(parents=True, exist_ok=True)
            if isinstance(tower, ProjectionEncoder):
                np.save(root / name / "matrix.npy", tower.matrix)
            else:
                assert isinstance(tower, SentenceEncoder)
                tower._model.save_pretrained(str(root / name), create_model_card=False)
        linear = isinstance(self.queries, ProjectionEncoder)
        base = self.queries.base.name if isinstance(self.queries, ProjectionEncoder) else ""
        about = {"kind": "projection" if linear else "transformer", "base": base}
        (root / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def load_towers(folder: Path | str, base: Encoder) -> Towers:
    """What `Towers.save` wrote. DataError where it cannot be read, or is a projection of another
    encoder than `base`."""
    root = Path(folder)
    try:
        about = json.loads((root / ABOUT).read_text(encoding="utf-8"))
        if about["kind"] == "transformer":
            return Towers(*(SentenceEncoder(str(root / name)) for name in TOWERS))
        matrices = [np.load(root / name / "matrix.npy") for name in TOWERS]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: no trained encoder of the epr selector: {error}") from error
    dimension = base.encode(["dimension"]).shape[1]
    if about["base"] != base.name or matrices[0].shape[0] != dimension:
        raise DataError(
            f"{folder}: a projection of encoder {about['base']!r} with {matrices[0].shape[0]} dimensions; "
            f"here it is {base.name!r} with {dimension}"
        )
    return Towers(*(ProjectionEncoder(base, matrix) for matrix in matrices))


def untrained_towers(base: Encoder) -> Towers:
    """Both towers as `base` has them: a projection by the identity."""
    identity = np.eye(base.encode(["dimension"]).shape[1], dtype=np.float32)
    return Towers(ProjectionEncoder(base, identity), ProjectionEncoder(base, identity))


def train_towers(
    base: Encoder,
    lessons: Sequence[Sequence[Lesson]],
    schedule: Schedule,
    held: Sequence[HeldOut] = (),
) -> tuple[Towers, Lasted | None]:
    """Trains both towers by InfoNCE over in-batch examples and each lesson's own hard negative.

    `lessons`: one sequence an epoch. Both towers start from `base`: its own weights where it is a
    sentence-transformers model, else a linear projection of its vectors that starts as the identity.
    The epoch that does best on `held` by `agreement` is kept, the start among them; with nothing
    held out it is the last, and nothing is known of it (None).
    """
    inner = base.encoder if isinstance(base, CachedEncoder) else base
    if isinstance(inner, SentenceEncoder):
        with _no_bars():
            return _train_transformers(inner.location, lessons, schedule, held)
    return _train_projections(base, lessons, schedule, held)


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Loading and writing two small models draws no bars."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _train_projections(
    base: Encoder, lessons: Sequence[Sequence[Lesson]], schedule: Schedule, held: Sequence[HeldOut]
) -> tuple[Towers, Lasted | None]:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    texts = list(
        dict.fromkeys(t for epoch in lessons for x in epoch for t in (x.query, x.positive, x.negative))
    )
    texts = list(dict.fromkeys([*texts, *(t for item in held for t in (item.query, *item.examples))]))
    place = {text: at for at, text in enumerate(texts)}
    vectors = torch.from_numpy(np.array(base.encode(texts), dtype=np.float32))
    size = vectors.shape[1]
    left, right = (torch.eye(size, requires_grad=True) for _ in TOWERS)
    optimiser = torch.optim.Adam([left, right], lr=schedule.learning_rate or 0.01)

    def copies() -> tuple[NDArray[np.float32], ...]:
        return tuple(tower.detach().numpy().copy() for tower in (left, right))

    def measure() -> float:
        with torch.no_grad():
            asked = normalize(vectors[[place[item.query] for item in held]] @ left)
            shown = [normalize(vectors[[place[t] for t in item.examples]] @ right) for item in held]
            near = [(one @ row).numpy() for one, row in zip(shown, asked, strict=True)]
            return agreement(near, [item.scores for item in held])

    keeper = Keeper(copies(), measure(), schedule.patience) if held else None
    for epoch in lessons:
        for start in range(0, len(epoch), schedule.batch_size):
            batch = epoch[start : start + schedule.batch_size]
            asked = [place[lesson.query] for lesson in batch]
            shown = [place[x.positive] for x in batch] + [place[x.negative] for x in batch]
            scores = SCALE * normalize(vectors[asked] @ left) @ normalize(vectors[shown] @ right).T
            # A text that is another row's positive too is no negative of this one.
            same = torch.tensor([[s == shown[row] for s in shown] for row in range(len(batch))])
            same[torch.arange(len(batch)), torch.arange(len(batch))] = False
            loss = cross_entropy(scores.masked_fill(same, -torch.inf), torch.arange(len(batch)))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([left, right], schedule.clip)
            optimiser.step()
        if keeper is not None and not keeper.offer(copies(), measure()):
            break
    matrices = copies() if keeper is None else keeper.weights
    towers = Towers(*(ProjectionEncoder(base, matrix) for matrix in matrices))
    return towers, None if keeper is None else keeper.lasted


def _train_transformers(
    location: str, lessons: Sequence[Sequence[Lesson]], schedule: Schedule, held: Sequence[HeldOut]
) -> tuple[Towers, Lasted | None]:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Router
    from sentence_transformers.training_args import BatchSamplers
    from transformers.trainer_callback import PrinterCallback

    towers: list[Any] = [SentenceTransformer(location, device="cpu") for _ in TOWERS]
    for tower in towers:
        tower.max_seq_length = min(MAX_TOKENS, tower.max_seq_length or MAX_TOKENS)
    # The router holds the towers' own modules: training it trains them.
    both = SentenceTransformer(
        modules=[Router.for_query_document(*(list(tower.children()) for tower in towers))], device="cpu"
    )
    rows = [lesson for epoch in lessons for lesson in epoch]
    columns = {
        "anchor": [x.query for x in rows],
        "positive": [x.positive for x in rows],
        "negative": [x.negative for x in rows],
    }
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=1,  # the rows hold every epoch, each with hard examples of its own
            per_device_train_batch_size=schedule.batch_size,
            learning_rate=schedule.learning_rate or 1e-4,
            max_grad_norm=schedule.clip,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            router_mapping={"anchor": "query", "positive": "document", "negative": "document"},
            seed=schedule.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            use_cpu=True,
        )
        loss = MultipleNegativesRankingLoss(both, scale=SCALE)
        data = Dataset.from_dict(columns)
        trainer = SentenceTransformerTrainer(model=both, args=arguments, train_dataset=data, loss=loss)
        # They print the loss and draw a bar; the run's own progress is all that is shown.
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(trainer.model_card_callback_class)
        watch = _Watch(both, towers, len(lessons), schedule, held) if held else None
        if watch is not None:
            trainer.add_callback(watch.callback())
        trainer.train()
        if watch is not None:
            both.load_state_dict(watch.keeper.weights)
        trained = []
        for name, tower in zip(TOWERS, towers, strict=True):
            tower.save_pretrained(str(Path(folder) / name), create_model_card=False)
            trained.append(SentenceEncoder(str(Path(folder) / name), name=f"epr-{name}", source="epr"))
    return Towers(*trained), None if watch is None else watch.keeper.lasted


class _Watch:
    """Measures transformers in training after every epoch, and keeps the best."""

    def __init__(
        self, both: Any, towers: Sequence[Any], epochs: int, schedule: Schedule, held: Sequence[HeldOut]
    ) -> None:
        self._both, self._towers, self._held, self._epochs = both, towers, held, epochs
        self.keeper = Keeper(self._copy(), self._measure(), schedule.patience)

    def callback(self) -> Any:
        """What the trainer calls after each step: its one long epoch holds all of ours."""
        from transformers.trainer_callback import TrainerCallback

        watch = self

        class AfterEpoch(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                """Offers the weights once an epoch; ends the training where no better ones are to be had."""
                done, before = (
                    n * watch._epochs // state.max_steps for n in (state.global_step, state.global_step - 1)
                )
                if done > before and not watch.keeper.offer(watch._copy(), watch._measure()):
                    control.should_training_stop = True

        return AfterEpoch()

    def _copy(self) -> dict[str, Any]:
        return {name: tensor.detach().clone() for name, tensor in self._both.state_dict().items()}

    def _measure(self) -> float:
        def encode(tower: Any, texts: Sequence[str]) -> NDArray[np.float32]:
            rows = tower.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
            return np.asarray(rows, np.float32)

        asked = encode(self._towers[0], [item.query for item in self._held])
        shown = list(dict.fromkeys(text for item in self._held for text in item.examples))
        rows = dict(zip(shown, encode(self._towers[1], shown), strict=True))
        near = [
            np.stack([rows[text] for text in item.examples]) @ query
            for item, query in zip(self._held, asked, strict=True)
        ]
        return agreement(near, [item.scores for item in self._held])
