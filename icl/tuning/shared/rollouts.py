"""Rollouts of the model as it stands at each step, and their policy gradient."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from icl.protocols import TuningResources
from icl.training import GivenKeysValues, Root, TrainingRow, VirtualTokens
from icl.tuning.shared.asking import Counted, engine_of
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.checkpoint import Checkpoint
from icl.tuning.shared.forward import Layout
from icl.tuning.shared.positions import Position, advantages, hash_of_positions, reward
from icl.tuning.shared.tokens import TokenRow
from icl.types import GenerateRequest, Generation, Sample, TokenIds


class PolicyGradient:
    """-A mean log p of a rollout's tokens, averaged over all rollouts of a step, whether they have an
    advantage or not. On-policy, one update a sample: no ratio to clip, and no KL."""

    def __init__(self, rollouts: int) -> None:
        self._rollouts = rollouts

    def norm(self, rows: Sequence[TokenRow]) -> float:
        """Rollouts of a step."""
        return float(self._rollouts)

    def of(self, logprobs: Tensor, row: TokenRow) -> Tensor:
        """Of one rollout; its weight is its advantage."""
        return -row.row.weight * logprobs.mean()


@dataclass(frozen=True, slots=True)
class Rolling:
    """How rollouts are drawn and read."""

    prompt: Callable[[str], str]
    """A context as it is asked."""
    marks: tuple[str, str]
    """What stands before an answer and after it."""
    rollouts: int
    max_tokens: int
    temperature: float

    def answer(self, sample: Sample) -> str | None:
        """What stands between the last opening mark and the closing one; None where there is none."""
        _, opened, said = sample.text.rpartition(self.marks[0])
        return said if opened and sample.stop_reason == "stop" else None


@dataclass(slots=True)
class Record:
    """What each step earned and cost, kept beside the checkpoints."""

    kept: Checkpoint
    rewards: dict[int, float] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        held = self.kept.read()
        if held is not None:
            self.rewards = {int(k): v for k, v in held[1]["rewards"].items()}
            self.tokens = {int(k): v for k, v in held[1]["tokens"].items()}

    def add(self, step: int, earned: float, tokens: int) -> None:
        """Of one step; of a step that is done again, the same."""
        self.rewards[step], self.tokens[step] = earned, tokens
        self.kept.write({}, {"rewards": self.rewards, "tokens": self.tokens})


class RolloutWork:
    """Positions in epochs; a step draws a group of rollouts for each of its own and learns by their rewards.

    held: positions that are never learned from; a look asks for one greedy rollout of each.
    """

    def __init__(
        self, positions: Sequence[Position], held: Sequence[Position], rolling: Rolling, per_step: int,
        resources: TuningResources, config: str,
    ) -> None:  # fmt: skip
        self._positions, self._held, self._rolling = positions, held, rolling
        self._per_step, self._resources = per_step, resources
        self._asked: tuple[Attached, Counted] | None = None
        folder = resources.folder
        name = hashlib.blake2b(f"{config} {self.of} {resources.seed}".encode(), digest_size=6).hexdigest()
        path = None if folder is None else folder / f"{name}.rewards.safetensors"
        self.record = Record(Checkpoint(path, f"rewards {config} {self.of} {resources.seed}"))

    # search.Work

    @property
    def of(self) -> str:
        """See search.Work."""
        return hash_of_positions(self._positions)

    @property
    def sample(self) -> Sequence[TokenRow]:
        """Prompts, the last token of each learned."""
        first = self._positions[: min(4, self._per_step)]
        rows = []
        for position in first:
            ids = self._prompt(position)
            rows.append(TokenRow(ids, len(ids) - 1, TrainingRow(position.id, "", "", "prompt")))
        return rows

    def batch(self, step: int, attached: Attached) -> Sequence[TokenRow]:
        """Rollouts with an advantage; where none has one, a single one without weight."""
        chosen = [self._at(number) for number in range(step * self._per_step, (step + 1) * self._per_step)]
        prompts = [self._prompt(position) for position in chosen]
        found, tokens = self._ask(attached, prompts, greedy=False, step=step)
        rows: list[TokenRow] = []
        earned: list[float] = []
        for position, prompt, generation in zip(chosen, prompts, found, strict=True):
            rewards = [self._worth(sample, position) for sample in generation.samples]
            earned += rewards
            for at, (sample, weight) in enumerate(zip(generation.samples, advantages(rewards), strict=True)):
                if sample.token_ids:
                    said = TrainingRow(f"{position.id}/{at}", "", sample.text, "rollout", weight=weight)
                    rows.append(TokenRow((*prompt, *sample.token_ids), len(prompt), said))
        self.record.add(step, sum(earned) / len(earned), tokens)
        return [row for row in rows if row.row.weight] or rows[:1]

    @property
    def can_look(self) -> bool:
        """See search.Work."""
        return bool(self._held)

    def look(self, attached: Attached, layout: Layout) -> tuple[float, int]:
        """The mean reward of greedy rollouts at the positions that are held."""
        found, tokens = self._ask(attached, [self._prompt(p) for p in self._held], greedy=True, step=0)
        worth = [self._worth(g.samples[0], p) for g, p in zip(found, self._held, strict=True)]
        return sum(worth) / len(worth), tokens

    def _at(self, number: int) -> Position:
        epoch, place = divmod(number, len(self._positions))
        order = self._resources.generator("rollout order", str(epoch)).permutation(len(self._positions))
        return self._positions[int(order[place])]

    def _prompt(self, position: Position) -> TokenIds:
        return self._resources.tokenizer.encode(self._rolling.prompt(position.context))

    def _worth(self, sample: Sample, position: Position) -> float:
        answer = self._rolling.answer(sample)
        return 0.0 if answer is None else reward(answer, position)

    def _ask(
        self, attached: Attached, prompts: Sequence[TokenIds], *, greedy: bool, step: int
    ) -> tuple[list[Generation], int]:
        rolling = self._rolling
        requests = [
            GenerateRequest(
                prompt,
                n=1 if greedy else rolling.rollouts,
                max_tokens=rolling.max_tokens,
                temperature=0.0 if greedy else rolling.temperature,
                stop=(rolling.marks[1],),
                seed=int(self._resources.generator("rollouts", f"{step}/{at}").integers(2**31)),
            )
            for at, prompt in enumerate(prompts)
        ]
        model = self._engine(attached)
        before = model.tokens
        attached.network.eval()
        found = model.generate(requests)
        attached.network.train()
        return found, model.tokens - before

    def _engine(self, attached: Attached) -> Counted:
        """An engine sees the weights change; what stands before every text is given to it anew."""
        root: Root | None = attached.root()
        if self._asked is None or self._asked[0] is not attached or root is not None:
            attached.network.eval()
            self._asked = (attached, engine_of(self._resources, attached.network, _at_rest(root)))
        return self._asked[1]


def _at_rest(root: Root | None) -> Root | None:
    """Without gradients."""
    if isinstance(root, VirtualTokens):
        return VirtualTokens(root.embeddings.detach())
    if isinstance(root, GivenKeysValues):
        keys, values = tuple(k.detach() for k in root.keys), tuple(v.detach() for v in root.values)
        return GivenKeysValues(keys, values)
    return None
