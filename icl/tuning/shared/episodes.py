"""Episodes of in-context learning to train on: k demonstrations of a task, then one more row of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from icl.errors import ConfigError, ContextOverflow
from icl.labels import LABELLED
from icl.prompts.template import render_side
from icl.protocols import Renderer, Tokenizer, TuningResources
from icl.training import TrainingRow
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.forward import Layout, token_logprobs, virtual_length
from icl.tuning.shared.loop import cut
from icl.tuning.shared.tokens import TokenRow, tokenised
from icl.tuning.shared.tuner import AdaptingTuner
from icl.types import Demonstration, Example, Task

Form = Literal["templates", "spaces", "newlines"]
FORMS = ("templates", "spaces", "newlines")
SEPARATORS = {"spaces": (" ", " "), "newlines": ("\n", "\n\n\n")}
"""Between input and output, and between examples, where no template is used."""


@dataclass(frozen=True, slots=True)
class TaskRows:
    """A task to train on: its rows, and how its prompts are written."""

    task: Task
    rows: Sequence[Example]
    renderer: Renderer


@dataclass(frozen=True, slots=True)
class Episode:
    """Which rows stand in a text: of source `source` those at `shown`, in this order, then `target`."""

    source: int
    shown: tuple[int, ...]
    target: int


class Writer:
    """An episode as a training row.

    form: "templates", the prompts of the tasks' own templates; "spaces" and "newlines", inputs and outputs
    with only that between them. channel: the label stands first and the input is learned.
    limit: tokens of the longest text; demonstrations that do not fit go, the first of them first.
    """

    def __init__(
        self, sources: Sequence[TaskRows], resources: TuningResources, settings: AdaptingTuner, form: Form,
        *, channel: bool,
    ) -> None:  # fmt: skip
        self._sources, self._resources, self._settings = sources, resources, settings
        self._form, self._channel = form, channel
        self._limit = settings.limit(resources)

    def row(self, episode: Episode, name: str) -> tuple[TrainingRow, int] | None:
        """The row and how many demonstrations it does without; None where the target alone is too long."""
        source = self._sources[episode.source]
        shown = [source.rows[i] for i in episode.shown]
        target = source.rows[episode.target]
        if self._form == "templates":
            made = self._by_templates(source, shown, target)
        else:
            made = self._joined(source.task, shown, target)
        if made is None:
            return None
        prompt, completion, dropped = made
        return TrainingRow(f"{name}:{target.id}", prompt, completion, source.task.name), dropped

    def _by_templates(
        self, source: TaskRows, shown: Sequence[Example], target: Example
    ) -> tuple[str, str, int] | None:
        renderer, resources = source.renderer, self._resources
        if self._channel:
            completion = renderer.channel_query(target.query) + self._end(source)
        else:
            completion = renderer.answer(target.target, query=target.query) + self._end(source)
        # tokens of a part alone may be one more than within the whole
        reserve = resources.context_length - self._limit + len(resources.tokenizer.encode(completion))
        try:
            prompt = renderer.prompt(
                target.query,
                [Demonstration(example) for example in shown],
                style="channel" if self._channel else "answer",
                reserve=reserve,
                label=target.target if self._channel else "",
            )
        except ContextOverflow:
            return None
        return prompt.text, completion, len(prompt.dropped)

    def _end(self, source: TaskRows) -> str:
        """As of `task_rows`; an input that is learned has none by itself."""
        end = self._settings.end
        written = source.task.kind not in LABELLED and not self._channel
        return source.renderer.end if end == "always" or (end == "auto" and written) else ""

    def _joined(self, task: Task, shown: Sequence[Example], target: Example) -> tuple[str, str, int] | None:
        within, between = SEPARATORS[self._form]
        first, second = self._sides(task, target)
        parts = [within.join(self._sides(task, example)) for example in shown]
        encode = self._resources.tokenizer.encode
        for dropped in range(len(parts) + 1):
            prompt = between.join([*parts[dropped:], first])
            if len(encode(prompt + within + second)) <= self._limit:
                return prompt, within + second, dropped
        return None

    def _sides(self, task: Task, example: Example) -> tuple[str, str]:
        given, answer = plain_sides(task, example)
        return (answer, given) if self._channel else (given, answer)


def plain_sides(task: Task, example: Example) -> tuple[str, str]:
    """(input, output) without a template: inputs and choices one a line, the label's word or the choice."""
    lines = [*example.inputs.values(), *example.choices.values()]
    return "\n".join(lines), example.choices.get(example.target, task.verbalise(example.target))


def shortened(task: Task, example: Example, tokenizer: Tokenizer, limit: int) -> Example | None:
    """The example with its inputs cut at their ends, the longest first, until input and output have at most
    `limit` tokens; None where the output alone has more."""

    def over(example: Example) -> int:
        query, answer = render_side(task, "query", example), render_side(task, "answer", example)
        return len(tokenizer.encode(query + answer)) - limit

    excess = over(example)
    for _ in range(4 * len(example.inputs)):
        if excess <= 0:
            return example
        longest = max(example.inputs, key=lambda name: len(example.inputs[name]))
        text = example.inputs[longest]
        ids = tokenizer.encode(text)
        left = tokenizer.decode(ids[: max(len(ids) - excess, 0)]).rstrip("\ufffd")
        if len(left) >= len(text):
            left = text[: -max(excess, 1)]
        example = replace(example, inputs={**example.inputs, longest: left})
        excess = over(example)
    return example if excess <= 0 else None


class EpisodeWork:
    """Episodes in epochs: every row is a target once an epoch, behind demonstrations drawn for that epoch.

    k: demonstrations. shared: so many targets of one task follow one another behind the same demonstrations,
    none of which is among them. held: so many rows that are never trained on, the tasks in turn; a look asks
    for them behind demonstrations of the others.
    """

    def __init__(
        self, sources: Sequence[TaskRows], writer: Writer, settings: AdaptingTuner,
        resources: TuningResources, *, k: int, shared: int, held: int,
    ) -> None:  # fmt: skip
        self._sources, self._writer, self._settings, self._resources = sources, writer, settings, resources
        self._k, self._shared = k, shared
        self._train, kept = self._split(held)
        self._held = self._held_rows(kept)
        self._epochs: dict[int, list[Episode]] = {}
        self._dropped: dict[int, int] = {}
        self._too_long: dict[int, int] = {}

    def _split(self, held: int) -> tuple[list[list[int]], list[tuple[int, int]]]:
        """(rows to train on of each source, (source, row) of those that are not)."""
        orders = [
            [int(i) for i in self._resources.generator("episodes held", s.task.name).permutation(len(s.rows))]
            for s in self._sources
        ]
        kept = [(at % len(orders), orders[at % len(orders)].pop()) for at in range(held)]
        for source, order in zip(self._sources, orders, strict=True):
            if len(order) < self._k + self._shared:
                raise ConfigError(
                    f"task {source.task.name!r} has {len(order)} rows to train on; an episode takes "
                    f"{self._k} demonstrations and {self._shared} targets"
                )
        return [sorted(order) for order in orders], kept

    def _held_rows(self, kept: Sequence[tuple[int, int]]) -> list[TokenRow]:
        rows = []
        for source, target in kept:
            draw = self._resources.generator("episodes held demonstrations", f"{source}/{target}")
            order = [self._train[source][int(i)] for i in draw.permutation(len(self._train[source]))]
            made = self._writer.row(Episode(source, tuple(order[: self._k]), target), "held")
            rows += [] if made is None else [made[0]]
        return list(self._tokenised(rows))

    def episodes(self, epoch: int) -> list[Episode]:
        """All of an epoch, in order."""
        if epoch not in self._epochs:
            groups: list[tuple[int, list[int]]] = []
            for number, source in enumerate(self._sources):
                rows = self._train[number]
                drawn = self._resources.generator("episodes targets", f"{epoch}/{source.task.name}")
                order = [rows[int(i)] for i in drawn.permutation(len(rows))]
                groups += [
                    (number, order[at : at + self._shared]) for at in range(0, len(order), self._shared)
                ]
            turn = self._resources.generator("episodes order", str(epoch)).permutation(len(groups))
            found: list[Episode] = []
            for place, group in enumerate(turn):
                number, targets = groups[int(group)]
                shown = self._shown(epoch, place, number, targets)
                found += [Episode(number, shown, target) for target in targets]
            self._epochs = {epoch: found}
        return self._epochs[epoch]

    def _shown(self, epoch: int, place: int, source: int, targets: Sequence[int]) -> tuple[int, ...]:
        if self._k == 0:
            return ()
        others = [i for i in self._train[source] if i not in targets]
        draw = self._resources.generator("episodes demonstrations", f"{epoch}/{place}")
        return tuple(others[int(i)] for i in draw.choice(len(others), size=self._k, replace=False))

    # search.Work

    @property
    def of(self) -> str:
        """See search.Work."""
        total = hashlib.blake2b(digest_size=8)
        for source, rows in zip(self._sources, self._train, strict=True):
            for i in rows:
                example = source.rows[i]
                shown = (source.task.name, example.id, sorted(example.inputs.items()), example.target)
                total.update(repr((shown, sorted(example.choices.items()))).encode())
        return total.hexdigest()

    @property
    def sample(self) -> Sequence[TokenRow]:
        """The first few."""
        return self._rows(0)[:4]

    def batch(self, step: int, attached: Attached) -> Sequence[TokenRow]:
        """See search.Work."""
        return self._rows(step)

    def _rows(self, step: int) -> Sequence[TokenRow]:
        size, count = self._settings.batch_size, sum(map(len, self._train))
        rows, dropped, missing = [], 0, 0
        for at in range(step * size, (step + 1) * size):
            made = self._writer.row(self.episodes(at // count)[at % count], str(at))
            if made is None:
                missing += 1
                continue
            rows.append(made[0])
            dropped += made[1]
        found = self._tokenised(rows)
        if not found:
            raise ConfigError(
                f"step {step + 1}: no target of {size} fits into {self._settings.limit(self._resources)} "
                "tokens; allowed: a larger max_tokens, or a smaller max_example_tokens"
            )
        self._dropped[step], self._too_long[step] = dropped, missing + len(rows) - len(found)
        return found

    def _tokenised(self, rows: Sequence[TrainingRow]) -> Sequence[TokenRow]:
        limit = self._settings.limit(self._resources)
        return tokenised(rows, self._resources.tokenizer, limit).rows

    @property
    def can_look(self) -> bool:
        """See search.Work."""
        return bool(self._held)

    def look(self, attached: Attached, layout: Layout) -> tuple[float, int]:
        """The mean log-probability of a token of the answers that are held, each answer counting once."""
        return likelihood(attached, self._held, layout, self._settings.rows_at_once)

    def notes(self, steps: int) -> dict[str, Any]:
        """What a reader should know of the first `steps` batches, the same also after a kill."""
        for step in range(steps):
            if step not in self._dropped:
                self._rows(step)
        count = sum(map(len, self._train))
        dropped = sum(self._dropped[step] for step in range(steps))
        too_long = sum(self._too_long[step] for step in range(steps))
        told: dict[str, Any] = {
            "rows": {s.task.name: len(r) for s, r in zip(self._sources, self._train, strict=True)},
            "epochs": round(steps * self._settings.batch_size / count, 3),
        }
        told |= {"demonstrations_dropped": dropped} if dropped else {}
        return told | ({"targets_too_long": too_long} if too_long else {})


@torch.no_grad()
def likelihood(
    attached: Attached, rows: Sequence[TokenRow], layout: Layout, at_once: int
) -> tuple[float, int]:
    """(mean over rows of the mean log-probability of a learned token, tokens asked)."""
    total, root = 0.0, attached.root()
    for part in cut(rows, at_once):
        total += sum(float(found.mean()) for found in token_logprobs(attached.network, part, root, layout))
    return total / len(rows), sum(len(row.ids) + virtual_length(root) for row in rows)
