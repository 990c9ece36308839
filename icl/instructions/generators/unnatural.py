"""A fourth example after three: instruction, input, constraints; then its output, then paraphrases."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from icl.components import check_choice, check_number
from icl.instructions.contract import Asking, Place, Work, row_generators
from icl.instructions.generators.shared.filters import tidied
from icl.instructions.generators.shared.parsing import fields
from icl.instructions.generators.shared.rounds import Progress, Sampling, was_cut
from icl.instructions.generators.shared.seeds import OWN, Seed, read_seeds, seeds_digest
from icl.instructions.generators.shared.wording import Wording, wording
from icl.instructions.rows import InstructionRow
from icl.tasks.duplicates import normalise
from icl.types import GenerateRequest, Generation, Request, Response

SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Item:
    instruction: str
    input: str
    constraints: str
    name: str


@row_generators.register("unnatural", paper="Honovich et al. 2023, Unnatural Instructions")
@dataclass(kw_only=True)
class Unnatural(Sampling):
    """Three demonstrations elicit a fourth, whose output is written greedily in a second call.

    seeds: a file of seed tasks with constraints, or "icl" for those of the package. sets: of three, drawn;
    prompts take turns (published: 5 sets, 15 seeds). rows: of the core, paraphrases besides. paraphrases: of
    each instruction (published: 2), with the same input and output. output_tokens: of an output. language:
    "en" or "zh". Then of sampling: per_round, patience, max_tokens, temperature, top_p (published: nucleus
    sampling with 0.99), top_k. Left out: malformed, a demonstration again, the same instruction and input
    again, no output.
    """

    asks = True
    seeds: str = OWN
    sets: int = 5
    rows: int = 100
    paraphrases: int = 2
    output_tokens: int = 256
    language: str = "en"
    per_round: int = 20
    max_tokens: int = 256
    top_p: float = 0.99

    def __post_init__(self) -> None:
        self.check_sampling()
        for name in ("sets", "rows", "output_tokens"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("paraphrases", self.paraphrases, low=0, whole=True)
        check_choice("language", self.language, ("en", "zh"))

    def check(self, place: Place) -> None:
        """See RowGenerator."""
        read_seeds(place, self.seeds, least=SHOWN * self.sets)

    def reads(self, place: Place) -> str:
        """See RowGenerator."""
        return seeds_digest(place, self.seeds)

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        seeds = read_seeds(work.place, self.seeds, least=SHOWN * self.sets)
        order = work.generator("sets").permutation(len(seeds)).tolist()
        sets = [[seeds[at] for at in order[SHOWN * n : SHOWN * (n + 1)]] for n in range(self.sets)]
        progress = Progress(self.rows, self.patience)
        seen: set[str] = set()
        while progress.going_on:
            items = yield from self._examples(work, sets, seen, progress)
            kept = yield from self._outputs(work, items[: self.rows - progress.kept])
            if self.paraphrases:
                yield from self._paraphrased(work, seeds, kept)
            progress.round_over(len(kept))
        progress.note(work)

    def _examples(
        self, work: Work, sets: list[list[Seed]], seen: set[str], progress: Progress
    ) -> Generator[list[Request], list[Response], list[_Item]]:
        """New instructions with input and constraints."""
        say = wording(self.language)
        asked: list[Request] = []
        for at in range(self.per_round):
            shown = sets[(progress.rounds * self.per_round + at) % len(sets)]
            blocks = [_block(say, n, _item(seed)) for n, seed in enumerate(shown, start=1)]
            prompt = "\n\n".join([*blocks, f"{say.example} {SHOWN + 1}\n{say.instruction}:"])
            asked.append(self.request(work, prompt, (f"\n{say.example}",), "examples", progress.rounds, at))
        answers = yield asked
        known = {normalise(f"{seed.instruction} {given}") for one in sets for seed in one
                 for given, _ in seed.instances[:1]}  # fmt: skip
        found = []
        for at, answer in enumerate(answers):
            assert isinstance(answer, Generation)
            name = f"{progress.rounds}.{at}"
            if work.rehearsal:
                found.append(_Item(f"rehearsed instruction {name}", "an input", "none", name))
                continue
            (sample,) = answer.samples
            parts = fields(sample.text, (say.instruction, say.input, say.constraints))
            if parts is None or was_cut(sample) or not parts[say.instruction] or not parts[say.constraints]:
                work.reject("malformed", sample.text)
                continue
            given = "" if parts[say.input].lower() == say.no_input else parts[say.input]
            item = _Item(tidied(parts[say.instruction]), given, parts[say.constraints], name)
            key = normalise(f"{item.instruction} {item.input}")
            if key in known:
                work.reject("a demonstration again", item.instruction)
            elif key in seen:
                work.reject("the same instruction and input again", item.instruction)
            else:
                seen.add(key)
                found.append(item)
        return found

    def _outputs(
        self, work: Work, items: Sequence[_Item]
    ) -> Generator[list[Request], list[Response], list[InstructionRow]]:
        """Their outputs, greedy; the rows that were kept."""
        if not items:
            return []
        say = wording(self.language)
        asked: list[Request] = []
        for item in items:
            prompt = f"{_lines(say, item)}\n{say.output}:"
            limit = work.room(prompt, self.output_tokens)
            stop = (f"\n{say.instruction}", f"\n{say.input}:", f"\n{say.example}")
            asked.append(GenerateRequest(prompt, max_tokens=limit, stop=stop))
        kept = []
        for item, answer in zip(items, (yield asked), strict=True):
            assert isinstance(answer, Generation)
            (sample,) = answer.samples
            output = sample.text.strip()
            if was_cut(sample) and not work.rehearsal:
                work.reject("output cut by its length", item.instruction)
            elif not output:
                work.reject("empty output", item.instruction)
            else:
                about = {"by": "unnatural", "constraints": item.constraints}
                name = f"{work.name}/{item.name}"
                row = InstructionRow(name, item.instruction, item.input, output, source=work.name, made=about)
                if work.keep(row):
                    kept.append(row)
        return kept

    def _paraphrased(self, work: Work, seeds: Sequence[Seed], kept: Sequence[InstructionRow]) -> Asking:
        """Rows with the instruction in other words."""
        say = wording(self.language)
        shown = [
            f"{say.original}: {seed.instruction}\n{say.alternative}: {seed.paraphrase}"
            for seed in seeds
            if seed.paraphrase
        ][:SHOWN]
        asked: list[Request] = []
        for row in kept:
            last = f"{say.original}: {row.instruction}\n{say.alternative}:"
            prompt = "\n\n".join([say.rephrase, *shown, last])
            limit = work.room(prompt, self.max_tokens)
            asked.append(
                GenerateRequest(
                    prompt,
                    n=self.paraphrases,
                    max_tokens=limit,
                    temperature=self.temperature,
                    top_p=self.top_p,
                    top_k=self.top_k,
                    stop=("\n",),
                    seed=work.request_seed("paraphrases", row.id),
                )
            )
        if not asked:
            return
        for row, answer in zip(kept, (yield asked), strict=True):
            assert isinstance(answer, Generation)
            taken = {normalise(row.instruction)}
            for number, sample in enumerate(answer.samples):
                text = tidied(sample.text)
                if not text or normalise(text) in taken:
                    work.reject("paraphrase that says nothing new", text or row.instruction)
                    continue
                taken.add(normalise(text))
                about = {**row.made, "paraphrase_of": row.id}
                work.keep(
                    InstructionRow(
                        f"{row.id}/{number + 1}", text, row.input, row.output, source=row.source, made=about
                    )
                )


def _item(seed: Seed) -> _Item:
    return _Item(seed.instruction, seed.instances[0][0], seed.constraints, seed.id)


def _block(say: Wording, number: int, item: _Item) -> str:
    return f"{say.example} {number}\n{_lines(say, item)}"


def _lines(say: Wording, item: _Item) -> str:
    """The three fields, a line each."""
    return (
        f"{say.instruction}: {item.instruction}\n{say.input}: {item.input or say.no_input}\n"
        f"{say.constraints}: {item.constraints}"
    )
