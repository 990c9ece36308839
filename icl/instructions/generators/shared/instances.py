"""Instances of instructions as Self-Instruct makes them: first whether it is classification, then examples,
with the output first for classification (so that labels vary) and the input first otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np

from icl.instructions.contract import Work
from icl.instructions.generators.shared.seeds import Seed
from icl.instructions.generators.shared.wording import Wording
from icl.instructions.rows import InstructionRow
from icl.types import GenerateRequest, Generation, Request, Response

KIND_TOKENS = 3
WITH_INPUT = (
    "{instruction}\nInput: {input}\nOutput:",
    "{instruction}\n\nInput: {input}\n\nOutput:",
    "Task: {instruction}\nInput: {input}\nOutput:",
    "{instruction}\n\n{input}\n\nOutput:",
    "{instruction}\n\n{input}",
    "{instruction}\n{input}",
    "Task: {instruction}\n\n{input}",
)
WITHOUT_INPUT = (
    "{instruction} Output:",
    "{instruction}\nOutput:",
    "{instruction}\n\nOutput:",
    "{instruction}",
    "{instruction}\n",
    "Task: {instruction}",
)
"""The published layouts, but for the line ends behind them, which are the trainer's to write."""


def kinds(
    work: Work, seeds: Sequence[Seed], found: Sequence[str], say: Wording
) -> Generator[list[Request], list[Response], list[bool]]:
    """Whether each instruction is a classification task, as the model says after the seeds; greedy."""
    shown = [
        f"{say.task} {seed.instruction}\n{say.is_classification} "
        f"{say.yes if seed.is_classification else say.no}"
        for seed in _shuffled(work, seeds)
    ]
    head = "\n\n".join([say.kinds, *shown])
    asked: list[Request] = []
    for text in found:
        prompt = f"{head}\n\n{say.task} {text}\n{say.is_classification}"
        limit = work.room(prompt, KIND_TOKENS)
        asked.append(GenerateRequest(prompt, max_tokens=limit, stop=("\n", say.task.rstrip(":："))))
    answers = yield asked
    said = []
    for answer in answers:
        assert isinstance(answer, Generation)
        said.append(answer.samples[0].text.strip().lower().startswith(say.yes.lower()))
    return said if any(seed.is_classification for seed in seeds) else [False] * len(said)


def prompts(
    work: Work,
    seeds: Sequence[Seed],
    found: Sequence[str],
    classification: Sequence[bool],
    say: Wording,
    most: int,
    limits: Sequence[int],
) -> list[GenerateRequest]:
    """One request an instruction: its instances, greedy."""
    heads = {flag: _head(work, seeds, flag, say) for flag in (True, False)}
    asked = []
    for text, flag in zip(found, classification, strict=True):
        prompt = f"{heads[flag]}\n\n{say.task} {text}\n"
        limit = work.room(prompt, limits[0] if flag else limits[1])
        asked.append(GenerateRequest(prompt, max_tokens=limit, stop=(f"{say.example} {most + 1}", say.task)))
    return asked


def _head(work: Work, seeds: Sequence[Seed], classification: bool, say: Wording) -> str:
    """The seeds of one kind with their instances."""
    parts = [say.output_first if classification else say.input_first]
    for seed in _shuffled(work, seeds):
        if seed.is_classification != classification:
            continue
        lines = [f"{say.task} {seed.instruction}"]
        for number, (given, output) in enumerate(seed.instances, start=1):
            if classification:
                lines += (
                    [f"{say.label} {output}", f"{say.input}: {given}"] if given else [f"{say.label} {output}"]
                )
                continue
            lines.append(f"{say.example} {number}")
            lines += [f"{say.input}: {given}"] if given else []
            lines.append(f"{say.output}: {output}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _shuffled(work: Work, seeds: Sequence[Seed]) -> list[Seed]:
    return [seeds[int(at)] for at in work.generator("seeds").permutation(len(seeds))]


def read(text: str, *, cut: bool, classification: bool, say: Wording) -> list[tuple[str, str]]:
    """(input, output) of each instance in what the model wrote; the last one is left out where it was cut."""
    found = _by_label(text, say) if classification else _by_example(text, say)
    return found[:-1] if cut else found


def _by_label(text: str, say: Wording) -> list[tuple[str, str]]:
    found = []
    for part in text.split(say.label)[1:]:
        label, _, given = part.strip().partition("\n")
        found.append((_without_name(given.strip(), say.input), label.strip()))
    return found


def _by_example(text: str, say: Wording) -> list[tuple[str, str]]:
    mark = rf"{re.escape(say.example)}\s?\d*\.?"
    output = rf"{re.escape(say.output)}\s*\d*\s*[:：]"
    if re.search(mark, text):
        parts = [part.strip() for part in re.split(mark, text) if part.strip()]
    elif re.search(output, text):
        parts = [text.strip()]
    else:
        return []
    found = []
    for part in parts:
        pieces = re.split(output, part)
        given, answer = (pieces[0], pieces[1]) if len(pieces) > 1 else ("", pieces[0])
        answer = re.split(rf"{re.escape(say.input)}\s*\d*\s*[:：]", answer)[0]
        found.append((_without_name(given.strip(), say.input), answer.strip()))
    return found


def _without_name(text: str, name: str) -> str:
    return re.sub(rf"^{re.escape(name)}\s*\d*\s*[:：]", "", text).strip()


def sound(made: Sequence[tuple[str, str]], reject: Callable[[str, str], None]) -> list[tuple[str, str]]:
    """Instances that can be learned from, each once."""
    if not made:
        reject("no instance could be read", "")
        return []
    kept: list[tuple[str, str]] = []
    for given, output in made:
        if given == output:
            reject("input equals output", output)
        elif not output:
            reject("empty output", given)
        elif given.endswith((":", "：")) or output.endswith((":", "：")):
            reject("ends with a colon", f"{given} {output}")
        elif (given, output) not in kept:
            kept.append((given, output))
    outputs: dict[str, set[str]] = {}
    for given, output in kept:
        outputs.setdefault(given, set()).add(output)
    unlike = next((given for given, said in outputs.items() if given and len(said) > 1), None)
    if unlike is not None:
        reject("one input with several outputs", unlike)
        return []
    return kept


def laid_out(row: InstructionRow, rng: np.random.Generator) -> InstructionRow:
    """The row in one of the published layouts, drawn: its instruction is the whole prompt then."""
    ways = WITH_INPUT if row.input.strip() else WITHOUT_INPUT
    at = int(rng.integers(len(ways)))
    before, _, after = ways[at].partition("{instruction}")
    text = before + row.instruction + after.replace("{input}", row.input, 1)
    return replace(row, instruction=text, input="", made={**row.made, "layout": at})
