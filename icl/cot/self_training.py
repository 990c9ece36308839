"""Training data out of a model's own chains: STaR (Zelikman et al. 2022), LMSI (Huang et al. 2023).

    rows = training_rows(FewShot(manual=True), pool, resources, keep="correct", rationalise=True)
    write_jsonl(rows, "star.jsonl")

Training itself is left to a trainer: a row is a prompt and its completion. STaR trains the base
model anew on the rows of each round.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from icl.components import check_choice, check_number
from icl.cot.shared.annotate import model_of
from icl.cot.shared.chain import Chain, ChainMethod, Chains, Decoding, drive, rationale_of, side_by_side
from icl.cot.shared.hints import hinted, repeats_hint
from icl.cot.shared.nested import chain_method
from icl.cot.shared.sampled import check_sampling, elect
from icl.cot.shared.shown import ShowingMethod
from icl.cot.shared.triggers import reasoning_trigger
from icl.labels import renderer_of
from icl.prompts.answers import equivalent, parse
from icl.prompts.template import render_side
from icl.protocols import Resources
from icl.types import Demonstration, Example

Keep = Literal["correct", "agreement"]
log = logging.getLogger("icl")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One line of the export."""

    id: str
    """Of the pool example."""
    prompt: str
    """The question alone: no demonstrations and no hint."""
    completion: str
    """Rationale and answer, by the task's template."""
    answer: str
    source: Literal["sampled", "rationalised"]
    agreement: float
    """Share of the question's parsed chains that reach the answer."""


def training_rows(
    method: str | Mapping[str, Any] | ChainMethod,
    pool: Sequence[Example],
    resources: Resources,
    *,
    demonstrations: Sequence[Demonstration] = (),
    keep: Keep = "correct",
    n: int = 1,
    temperature: float = 0.0,
    top_k: int = 0,
    agreement: float = 0.7,
    rationalise: bool = False,
) -> list[TrainingRow]:
    """Draws `n` chains of `method` for every pool question and keeps those worth training on.

    keep "correct" (STaR): chains that reach the example's target. "agreement" (LMSI): chains that
    reach the plurality answer where at least `agreement` of the parsed chains do; targets are not
    looked at. STaR draws one near-greedy chain, LMSI many at 0.7.
    rationalise: a question without a right chain is asked again with its answer as a hint, behind
    demonstrations with hints of the same form (`icl.cot.shared.hints`; those that few_shot, auto_cot
    and complexity bring themselves too); a chain that then reaches the answer is kept, and the hint
    is not. A rationale that repeats the hint is left out. Only with "correct".
    Equal rationales of one question are kept once, empty ones not at all; a warning counts what was
    left out. Raises ConfigError for a method that writes no
    chains, ValueError for values out of range.
    """
    check_choice("keep", keep, ("correct", "agreement"))
    check_sampling(n, temperature, top_k)
    check_number("agreement", agreement, low=0, high=1)
    if rationalise and keep != "correct":
        raise ValueError("rationalise hints at targets, which keep: agreement does not look at")
    fitted = chain_method(method, "method").fit(pool, resources)
    decoding = Decoding(n, temperature, top_k)
    drawn = _draw(fitted, pool, demonstrations, resources, decoding)
    rows: list[TrainingRow] = []
    left_out: Counter[str] = Counter()
    failed: list[Example] = []
    for example, chains in zip(pool, drawn, strict=True):
        ballot = elect(chains, resources.task)
        wanted = example.target
        if keep == "agreement":
            if ballot.answer is None or ballot.agreement < agreement:
                continue
            wanted = ballot.answer
        found = _rows(example, chains, wanted, "sampled", resources, left_out)
        if not found:
            failed.append(example)
        rows += found
    if rationalise:
        again = _draw(fitted, failed, demonstrations, resources, decoding, hint=True)
        for example, chains in zip(failed, again, strict=True):
            rows += _rows(example, chains, example.target, "rationalised", resources, left_out)
    if left_out:
        told = ", ".join(f"{count} {why}" for why, count in sorted(left_out.items()))
        log.warning("training_rows: right chains that were left out: %s", told)
    return rows


def write_jsonl(rows: Sequence[TrainingRow], path: Path | str) -> None:
    """One row a line, keys as the fields of `TrainingRow`."""
    with Path(path).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def _draw(
    method: ChainMethod,
    examples: Sequence[Example],
    demonstrations: Sequence[Demonstration],
    resources: Resources,
    decoding: Decoding,
    *,
    hint: bool = False,
) -> list[list[Chain]]:
    """Chains of each example's question, which is never shown to itself."""
    talks = []
    for example in examples:
        others = [d for d in demonstrations if d.example.id != example.id]
        if hint:
            talks.append(_hinted_chains(method, example, others, resources, decoding))
        else:
            talks.append(method.chains(example.query, others, resources, decoding))
    return drive(side_by_side(talks), model_of(resources))


def _hinted_chains(
    method: ChainMethod,
    example: Example,
    demonstrations: Sequence[Demonstration],
    resources: Resources,
    decoding: Decoding,
) -> Chains:
    """Chains of a question with its answer hinted at, read as answers to the question without."""
    task = resources.task
    query = hinted(example, task).query
    if isinstance(method, ShowingMethod):
        # Chosen for the question as it is: a hint would hide that it is one of them.
        shown = method.shown(example.query, demonstrations)
        kept = tuple(replace(d, example=hinted(d.example, task)) for d in shown.kept)
        chains = yield from method.written(query, replace(shown, kept=kept), resources, decoding)
    else:
        kept = tuple(replace(d, example=hinted(d.example, task)) for d in demonstrations)
        chains = yield from method.chains(query, kept, resources, decoding)
    if task.kind != "multiple_choice":
        return chains
    # The mark stands behind the text of a choice, and an answer may be that text.
    return [replace(c, answer=parse(c.output, task, example.query, where="trigger").answer) for c in chains]


def _rows(
    example: Example,
    chains: Sequence[Chain],
    wanted: str,
    source: Literal["sampled", "rationalised"],
    resources: Resources,
    left_out: Counter[str],
) -> list[TrainingRow]:
    """The rows of one question; right chains that give none are counted in `left_out`."""
    parsed = [c for c in chains if c.answer is not None]
    right = [c for c in parsed if equivalent(c.answer, wanted, resources.task)]
    trigger = reasoning_trigger(resources.task)
    texts: dict[str, None] = {}
    for chain in right:
        text = rationale_of(chain.text)
        if not re.search(r"\w", text.replace(trigger, "")):
            left_out["without a rationale"] += 1
        elif source == "rationalised" and repeats_hint(chain.text, text, example, resources.task):
            left_out["that repeat the hint"] += 1
        else:
            texts[text] = None
    prompt = renderer_of(resources).prompt(example.query, ()).text
    share = len(right) / len(parsed) if parsed else 0.0
    rows = []
    for text in texts:
        completion = render_side(resources.task, "rationale", replace(example, rationale=text, target=wanted))
        rows.append(TrainingRow(example.id, prompt, completion, wanted, source, share))
    return rows
