"""What an experiment would ask, without running it.

The run is rehearsed with a model that has the real tokenizer and made-up answers: selectors,
orderers and methods do all they would do, so the requests are those of the run wherever they do
not depend on answers; where they do (a search guided by the model), they are as many. Generated
text is counted at its limit. No weights of the language model are read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from icl.engine.fake import FakeModel
from icl.engine.measuring.sizes import Largest
from icl.engine.requests.encoding import encode_scores, encode_texts
from icl.engine.trie.preorder import Trie, as_arrays, build_trie, count_unique
from icl.engine.trie.radix import radix_nodes, slot_tokens
from icl.executors.contract import Kind
from icl.executors.sharing import share
from icl.executors.team import Account
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.asking.judging import grade
from icl.experiments.asking.metered import MeteredModel
from icl.experiments.asking.models import TokenizerOnly, open_tokenizer
from icl.experiments.asking.pooled import executor_of
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.file.judges import judge_of
from icl.experiments.grid.check import Checked
from icl.experiments.grid.choices import Choices
from icl.experiments.records import UNTUNED
from icl.experiments.running.grouped import groups, resources_for
from icl.experiments.running.judging import item_of
from icl.experiments.running.training import expected_training
from icl.judging import Item
from icl.protocols import Encoder, OnGeneration, OnScores
from icl.training import TrainingCost
from icl.types import (
    NO_USAGE,
    GenerateRequest,
    Generation,
    Outcome,
    Request,
    ScoreRequest,
    Scores,
    TokenIds,
    Usage,
)

WORD = " word"
"""Of made-up answers: about a token."""


@dataclass
class Writing:
    """The generating calls of a plan, of which the width decides the pace: a step forwards one token of
    every text that is under way."""

    calls: list[tuple[int, int]] = field(default_factory=list)
    """For each call the tokens of all its texts, and of the longest, at most."""
    _behind: int = 0

    def add(self, texts: Sequence[tuple[int, int]]) -> None:
        """A call; for each text its limit and the length of its prompt, in tokens."""
        self.calls.append((sum(limit for limit, _ in texts), max((limit for limit, _ in texts), default=0)))
        self._behind += sum(limit * prompt for limit, prompt in texts)

    @property
    def context(self) -> int:
        """Tokens of the prompt that stands above a text, on average."""
        return self._behind // max(sum(made for made, _ in self.calls), 1)

    def side_by_side(self, slots: int, share: float) -> int:
        """Texts that are written at once, on average over the steps; 0 where none are written.

        slots: how many can be; share: of its limit that a text takes. One text in a call takes all of it,
        so a call has as many steps as that.
        """
        steps = sum(max(longest, share * made / max(slots, 1)) for made, longest in self.calls)
        return max(round(share * sum(made for made, _ in self.calls) / steps), 1) if steps else 0


class RehearsalModel:
    """`LanguageModel` that counts tokens as the trie engine would and answers like the fake one.

    Every call costs what its requests need together, each shared prefix once.
    """

    def __init__(self, known: TokenizerOnly, workers: int = 1) -> None:
        """workers: that requests would be cut for."""
        self.name = known.name
        self.tokenizer = known.tokenizer
        self.context_length = known.context_length
        self.fingerprint = "rehearsal"
        self.total = NO_USAGE
        self.recomputed = 0
        self.largest = Largest()
        self.writing = Writing()
        self._recomputing = known.recomputing
        self.account = Account()
        self._workers = workers
        self._fake = FakeModel(reply_with=_made_up)

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """Made-up scores; the tokens of the whole call go to `total`."""
        encoded = encode_scores(self.tokenizer, requests)
        # The last token of a continuation is predicted but never forwarded.
        sequences = [(*e.prompt, *c[:-1]) for e in encoded for c in e.continuations]
        unique = count_unique(as_arrays(sequences))
        self._cut("score", requests)
        self.total += Usage(sum(e.flat for e in encoded), unique, 0, 0.0, len(requests))
        if self._recomputing is not None:
            asked = [ScoreRequest(e.prompt, e.continuations, e.relative) for e in encoded]
            self.recomputed += self._recomputing.forwards(asked) - unique
        self._met(Largest(max(map(len, sequences), default=0)))
        flat = [Usage(e.flat, e.flat) for e in encoded]
        results = [replace(r, usage=u) for r, u in zip(self._fake.score(requests), flat, strict=True)]
        self._fake.requests.clear()
        return results

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """Made-up texts; counted as if every sample ran to its limit."""
        prompts = encode_texts(self.tokenizer, [r.prompt for r in requests])
        self._cut("generate", requests)
        trie = build_trie(as_arrays(list(dict.fromkeys(prompts))))
        made = [r.n * r.max_tokens for r in requests]
        ends = [len(p) + r.max_tokens for r, p in zip(requests, prompts, strict=True)]
        kept = sum(r.n * end for r, end in zip(requests, ends, strict=True) if r.continued)
        texts = sum(r.n for r in requests)
        self.writing.add(
            [(r.max_tokens, len(p)) for r, p in zip(requests, prompts, strict=True) for _ in range(r.n)]
        )
        self._met(Largest(max(ends, default=0), texts, _longest_alone(trie, prompts, requests), kept))
        flat = [
            Usage(r.n * len(p) + m, len(p) + m, m) for r, p, m in zip(requests, prompts, made, strict=True)
        ]
        whole = sum(flat, start=NO_USAGE)
        self.total += replace(whole, tokens_unique=trie.rows + sum(made))
        if self._recomputing is not None:
            self.recomputed += self._recomputing.forwards(requests) - trie.rows
        results = [replace(r, usage=u) for r, u in zip(self._fake.generate(requests), flat, strict=True)]
        self._fake.requests.clear()
        return results

    def _cut(self, kind: Kind, requests: Sequence[Request]) -> None:
        if self._workers > 1:
            groups, report = share(kind, requests, self.tokenizer, self._workers)
            self.account.cut(report, len(groups))

    def _met(self, asked: Largest) -> None:
        held = self.largest
        self.largest = Largest(
            max(held.read, asked.read),
            max(held.texts, asked.texts),
            max(held.alone, asked.alone),
            held.kept + asked.kept,  # until the engine's budget for them is full
        )


def _longest_alone(trie: Trie, prompts: Sequence[TokenIds], requests: Sequence[GenerateRequest]) -> int:
    """`slot_tokens` of these requests; trie: of the distinct prompts, as they first appear."""
    samples: Counter[TokenIds] = Counter()
    limits: Counter[TokenIds] = Counter()
    for prompt, request in zip(prompts, requests, strict=True):
        samples[prompt] += request.n
        limits[prompt] = max(limits[prompt], request.max_tokens)
    distinct = list(samples)
    in_order = [distinct[int(i)] for i in trie.order]
    drawn = [samples[p] for p in in_order]
    return slot_tokens(radix_nodes(trie, drawn), drawn, [limits[p] for p in in_order])


def _made_up(prompt: str, sample: int) -> str:
    """A line of words, another for every prompt and sample: components that go on from what the
    model wrote (probes, chains) find a text in it."""
    digest = hashlib.blake2b(f"{sample}\x1f{prompt}".encode(), digest_size=4).digest()
    return f" {int.from_bytes(digest, 'little') % 1_000_000} words that nobody wrote\n"


@dataclass
class TaskPlan:
    """What one task asks, over all seeds."""

    task: str
    cells: int = 0
    predictions: int = 0
    inference: Usage = NO_USAGE
    selection: Usage = NO_USAGE
    """Choosing and ordering demonstrations, fitting methods."""


@dataclass
class Plan:
    """What an experiment asks. `total` counts every distinct request once."""

    tasks: list[TaskPlan] = field(default_factory=list)
    largest: Largest = field(default_factory=Largest)
    writing: Writing = field(default_factory=Writing)
    recomputed: int = 0
    """Tokens that a backend forwards beyond each shared prefix once, not in `total`."""
    recomputes: str = ""
    """Why it does, in words."""
    cut: Account = field(default_factory=Account)
    """What workers would forward more than once; nothing where there are none."""
    judging: Usage = NO_USAGE
    """What the experiment's judge would be asked about these answers, not in `total`."""
    training: Mapping[str, TrainingCost | None] = field(default_factory=dict)
    """Tuning -> what it would cost over all tasks and seeds, not in `total`; None where nobody can tell."""
    fingerprint: str = ""
    """Of the model that a run would load."""

    @property
    def total(self) -> Usage:
        """Everything the engine would be asked."""
        return sum((t.inference + t.selection for t in self.tasks), start=NO_USAGE)

    @property
    def cells(self) -> int:
        """Cells of the grid."""
        return sum(t.cells for t in self.tasks)

    @property
    def predictions(self) -> int:
        """Lines that will be written."""
        return sum(t.predictions for t in self.tasks)


def plan(
    checked: Checked,
    encoder: Encoder | None,
    window: Window | None = None,
    *,
    note: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Rehearses an experiment of one model; `note` is told of every step.

    Raises ContextOverflow where prompts do not fit, ModelError if the tokenizer cannot be read.
    """
    known = open_tokenizer(checked.experiment)
    executor = executor_of(checked.experiment, checked.source)
    rehearsal = RehearsalModel(known, (executor.workers if executor else None) or 1)
    judging = _Judging(checked)
    models: dict[str, MeteredModel] = {}  # one tuning's answers are not another's
    plans = {task: TaskPlan(task) for task in checked.tasks}
    for (task, seed), cells in groups(checked.cells):
        tuning = cells[0].cell.tuning
        words = f"{task}, seed {seed}" if tuning == UNTUNED else f"{tuning}, {task}, seed {seed}"
        note(f"{words}: rehearsing")
        if tuning not in models:
            models[tuning] = MeteredModel(CachedModel(rehearsal, ResponseStore()))
        model = models[tuning]
        entry = plans[task]
        before = rehearsal.total
        choices = Choices(
            checked.splits[task, seed],
            resources_for(checked, task, seed, model, encoder, rehearsal=True),
            model,
        )
        ready = [(choices.demonstrations(c)[0], choices.method(c.method)[0]) for c in cells]
        chosen = rehearsal.total

        def talks(choices: Choices = choices, ready: list = ready) -> Iterator[Conversation[str]]:  # type: ignore[type-arg]
            for index, query in enumerate(choices.queries):
                for demonstrations, method in ready:
                    solve = method.solve(query, demonstrations[index], choices.resources)
                    yield Conversation(query.id, solve)

        # answers of a rehearsal mean nothing: a judge is asked about as many, as long as they may be
        given = partial(judging.answered, task, seed)
        converse(talks(), model, window or Window(), given)
        entry.cells += len(cells)
        entry.predictions += len(cells) * len(choices.queries)
        entry.selection += _minus(chosen, before)
        entry.inference += _minus(rehearsal.total, chosen)
    training = expected_training(checked, known.tokenizer, known.context_length)
    return Plan(
        list(plans.values()),
        rehearsal.largest,
        rehearsal.writing,
        rehearsal.recomputed,
        "" if known.recomputing is None else known.recomputing.recomputes,
        rehearsal.account,
        judging.asked(),
        training,
        known.fingerprint,
    )


class _Judging:
    """What an experiment's judge would be asked; nothing without one."""

    def __init__(self, checked: Checked) -> None:
        self._checked = checked
        self._choice = judge_of(checked.experiment, checked.source)
        self._items: list[Item] = []
        self._test = {key: {e.id: e for e in split.test} for key, split in checked.splits.items()}

    def answered(self, task: str, seed: int, conversation: Conversation[str], outcome: Outcome) -> None:
        """One made-up answer. Written ones are taken to be as long as the task lets them be."""
        if self._choice is None:
            return
        example = self._test[task, seed][conversation.tag]
        definition = self._checked.tasks[task].task
        text = definition.verbalise(outcome.answer or "")
        if outcome.output:
            text = f"{len(self._items)}{WORD * definition.max_answer_tokens}"
        self._items.append(item_of(example, definition, text))

    def asked(self) -> Usage:
        """All answers together, each shared prefix once. ModelError if the tokenizer cannot be read."""
        if self._choice is None or not self._items:
            return NO_USAGE
        rehearsal = RehearsalModel(open_tokenizer(self._choice.experiment))
        grade(self._choice.build(), self._items, rehearsal, ResponseStore())
        return rehearsal.total


def _minus(a: Usage, b: Usage) -> Usage:
    return Usage(
        a.tokens_flat - b.tokens_flat,
        a.tokens_unique - b.tokens_unique,
        a.tokens_generated - b.tokens_generated,
        0.0,
        a.requests - b.requests,
    )
