"""Reinforcement pre-training: reasoning before the next token, rewarded by the text itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from icl.components import check_flag, check_number, check_texts
from icl.errors import ConfigError
from icl.protocols import TuningResources, tuners
from icl.tasks import TaskData
from icl.training import TrainingCost, Tuned
from icl.tuning.shared.corpus import plain_texts
from icl.tuning.shared.positions import Position, positions_of
from icl.tuning.shared.regime import Regime
from icl.tuning.shared.rollouts import PolicyGradient, Rolling, RolloutWork
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tuner import check_pool
from icl.types import Example, Task

FIELD = "{context}"
PROMPT = (
    "Here is the beginning of a text. Think about how it goes on, then write its next word or piece, exactly "
    "as it stands in the text, between <next> and </next>.\n\nText:\n{context}\n\nThoughts:"
)


@tuners.register("rpt", paper="Dong et al. 2025, Reinforcement Pre-Training")
@dataclass(kw_only=True)
class RPT(Regime):
    """Rollouts reason about a text and say how it goes on; those that are right are made more likely.

    The reward is 1 where the answer's bytes are an exact beginning of what follows and end where a token of
    it ends; advantages are relative to the rollouts of one position, the policy gradient has no KL term.
    file: JSONL or JSON rows with text, or prompt and completion. pool: whether the pool's prompts and answers
    are texts too. entropy: positions at which the base model's next token is less open are left out (nats, of
    its 16 most likely tokens). positions: at most so many, drawn by the seed; 0 is all. context_tokens: of a
    text, only its first so many are used. rollouts, rollout_tokens, temperature: of a position. prompt: how a
    context is asked, `{context}` in it. chat: whether the prompt is a turn of a chat. marks: what stands
    around an answer. batch_size of the inner method counts positions.
    """

    name = "rpt"
    example_parameters: ClassVar[dict[str, Any]] = {"pool": True}
    file: str | None = None
    pool: bool = False
    entropy: float = 1.0
    positions: int = 0
    context_tokens: int = 256
    rollouts: int = 8
    rollout_tokens: int = 128
    temperature: float = 1.0
    prompt: str = PROMPT
    chat: bool = False
    marks: Sequence[str] = ("<next>", "</next>")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_refit()
        check_flag("pool", self.pool)
        check_flag("chat", self.chat)
        if self.file is not None and not (isinstance(self.file, str) and self.file.strip()):
            raise ValueError(f"file is {self.file!r}; allowed: the name of a JSONL or JSON file")
        if self.file is None and not self.pool:
            raise ValueError("no texts: give file, or pool: true")
        check_number("entropy", self.entropy, low=0)
        check_number("positions", self.positions, low=0, whole=True)
        check_number("rollouts", self.rollouts, low=2, whole=True)
        for name in ("context_tokens", "rollout_tokens"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("temperature", self.temperature, low=0)
        if self.temperature == 0:
            raise ValueError("temperature is 0: rollouts would be all alike; allowed: a number > 0")
        check_texts("marks", self.marks)
        if len(self.marks) != 2 or not all(self.marks):
            raise ValueError(f"marks is {list(self.marks)!r}; allowed: two texts, before and after an answer")
        if not isinstance(self.prompt, str) or FIELD not in self.prompt:
            raise ValueError(f"prompt is {self.prompt!r}; allowed: a text with {FIELD} in it")
        if len(self.inner.rates) > 1:
            raise ValueError("with: learning_rate is a list, and each would sample anew; allowed: a number")

    @property
    def uses_pool(self) -> bool:
        """Whether its texts are trained on."""
        return self.pool

    @property
    def keeps(self) -> int:
        """Positions are, not examples."""
        return 0

    def check(self, task: Task, load: Callable[[str], TaskData]) -> None:
        """Whether every row of the file holds a text."""
        if self.file is not None:
            plain_texts(Path(self.file))

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """See protocols.Tuner. Raises DataError for a file that cannot be used, ConfigError where no position
        is open enough."""
        found, forwarded = self._positions(pool, resources)
        order = resources.generator("rpt positions").permutation(len(found))
        mixed = [found[int(i)] for i in order]
        count = self.inner.validation if self.inner.chooses else 0
        if count >= len(mixed):
            raise ConfigError(
                f"tuner {self.name!r}: validation: {count} of {len(mixed)} positions leaves none to train on"
            )
        held, kept = mixed[:count], mixed[count:]
        kept = kept[: self.positions] if self.positions else kept
        rolling = Rolling(
            lambda context: self._asked(context, resources), (self.marks[0], self.marks[1]),
            self.rollouts, self.rollout_tokens, self.temperature,
        )  # fmt: skip
        per_step = self.inner.batch_size
        config = json.dumps(self.config, sort_keys=True, default=str)
        work = RolloutWork(kept, held, rolling, per_step, resources, config)
        notes = {
            "positions": len(kept),
            "entropy_of_positions": round(sum(p.entropy for p in kept) / len(kept), 4),
        }
        tuned = self.learn(work, resources, notes, objective=PolicyGradient(per_step * self.rollouts))
        record = work.record
        record.kept.clear()
        rewards = [round(record.rewards[step], 5) for step in sorted(record.rewards)]
        sampled = TrainingCost(tokens_validation=forwarded + sum(record.tokens.values()))
        return replace(tuned, cost=tuned.cost + sampled, notes={**tuned.notes, "rewards": rewards})

    def _asked(self, context: str, resources: TuningResources) -> str:
        before, _, after = self.prompt.partition(FIELD)
        text = before + context + after
        return resources.tokenizer.chat([{"role": "user", "content": text}]) if self.chat else text

    def _positions(self, pool: Sequence[Example], resources: TuningResources) -> tuple[list[Position], int]:
        """All that are open enough and leave room for a rollout, and the tokens that finding them took."""
        found: list[Position] = []
        tokens, highest = 0, 0.0
        room = self.inner.limit(resources) - self.rollout_tokens
        for name, text in self._texts(pool, resources):
            some, forwarded, most = positions_of(
                name, text, resources.network, resources.tokenizer,
                entropy=self.entropy, most_tokens=min(self.context_tokens, max(room, 2)),
            )  # fmt: skip
            tokens, highest = tokens + forwarded, max(highest, most)
            encode = resources.tokenizer.encode
            found += [p for p in some if len(encode(self._asked(p.context, resources))) <= room]
        if not found:
            raise ConfigError(
                f"tuner {self.name!r}: no position has an entropy of {self.entropy:g} nats and room for "
                f"{self.rollout_tokens} tokens; the most open one has {highest:.3g}"
            )
        return found, tokens

    def _texts(self, pool: Sequence[Example], resources: TuningResources) -> list[tuple[str, str]]:
        """(name, text) of all texts."""
        found = []
        if self.file is not None:
            path = Path(self.file)
            found += [(f"{path.name}:{at}", text.strip()) for at, text in enumerate(plain_texts(path))]
        if self.pool:
            check_pool(self.name, pool, resources)
            rows = task_rows(pool, resources.task, resources.renderer, self.inner.end)
            found += [(row.id, (row.prompt + row.completion).strip()) for row in rows]
        return found
