"""What every method that draws many chains checks, and how it reports them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from icl.components import check_number
from icl.cot.shared.chain import Chain
from icl.cot.shared.votes import Vote, same_answer, vote
from icl.types import Outcome, Task


def check_sampling(n: object, temperature: object, top_k: object) -> None:
    """ValueError for numbers out of range, and for many chains at temperature 0: they would be one."""
    check_number("n", n, low=1, whole=True)
    check_number("temperature", temperature, low=0)
    check_number("top_k", top_k, low=0, whole=True)
    if temperature == 0 and n != 1:
        raise ValueError(
            f"temperature is 0 and n is {n}: greedy chains are all alike; allowed: temperature > 0, or n: 1"
        )


def elect(
    chains: Sequence[Chain],
    task: Task,
    weights: Sequence[float] | None = None,
    voters: Sequence[int] | None = None,
) -> Vote:
    """The vote of `voters` (indices into `chains`; None: all), weighted by `weights` (one a chain)."""
    who = list(range(len(chains))) if voters is None else list(voters)
    given = None if weights is None else [weights[i] for i in who]
    ballot = vote([chains[i].answer for i in who], given, same=same_answer(task))
    first = None if ballot.chain is None else who[ballot.chain]
    return Vote(ballot.answer, first, ballot.totals, ballot.tied)


def elected(
    chains: Sequence[Chain], ballot: Vote, details: Mapping[str, Any] | None = None, *, texts: bool = False
) -> Outcome:
    """The outcome of a vote: the output of the first chain with the winning answer, all chains' answers.

    Flags: those of that chain; unparsed (no chain was parsed); tied_vote; chains_unparsed and
    chains_cut_by_length, where any chain was.
    """
    chosen = chains[ballot.chain or 0]
    counts = Counter(flag for chain in chains for flag in chain.flags)
    flags = [f for f in chosen.flags if f != "unparsed"]
    if ballot.answer is None:
        flags.append("unparsed")
    if ballot.tied:
        flags.append("tied_vote")
    if any(chain.answer is None for chain in chains):
        flags.append("chains_unparsed")
    if counts["cut_by_length"]:
        flags.append("chains_cut_by_length")
    notes = [chain.note | ({"text": chain.output} if texts else {}) for chain in chains]
    told = {
        "chains": notes,
        "votes": dict(ballot.totals),
        "agreement": ballot.agreement,
        "chosen": ballot.chain,
        "flag_counts": dict(sorted(counts.items())),
        "readings": chosen.readings or {},
        **(details or {}),
    }
    return Outcome(ballot.answer, chosen.prompt, chosen.output, flags=tuple(flags), details=told)
