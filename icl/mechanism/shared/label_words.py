"""What flows and blockings of many prompts say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared.anchors import CONDITIONS, ENDS, WAYS, WORDS, agreement
from icl.mechanism.shared.flows import FLOWS
from icl.mechanism.shared.intervals import Estimate, mean_of_few

Floats = NDArray[np.float64]
INTO, OUT, ELSEWHERE = range(3)
"""Columns of flows."""
KINDS = {"labels": "label words", "random": "random words", "shuffled": "shuffled labels"}
SMALLEST = 1e-30


def read(steps: Sequence[Found], blocked_layers: int) -> Report:
    """Claims, tables and figures of the prompts that are done."""
    flowing = [row for step in steps if step["what"] == "flow" for row in step["prompts"]]
    blocking = [row for step in steps if step["what"] == "blocking" for row in step["prompts"]]
    claims: list[Claim] = []
    tables: list[Table] = []
    figures: list[Figure] = []
    notes = ["intervals are over prompts (Student's t), each of another query and other demonstrations"]
    if len(flowing) > 1:
        seen = {
            name: {kind: np.array([row[name][kind] for row in flowing]) for kind in KINDS}
            for name in ("saliency", "attention")
        }
        claims += _flow_claims(seen["saliency"], flowing)
        tables.append(_flow_table(seen))
        figures += [_flow_figure(name, seen[name]) for name in seen]
        notes.append(
            "the last layer is in no third: what other tokens attend to in it cannot reach the answer, so "
            "that S_wp is 0 there whatever the model does"
        )
    if len(blocking) > 1:
        claims += _blocking_claims(blocking, blocked_layers)
        tables.append(_blocking_table(blocking))
        figures.append(_blocking_figure(blocking, blocked_layers))
    tokens = max((row["label_tokens"] for row in (*flowing, *blocking)), default=1)
    if tokens > 1:
        notes.append(f"labels have up to {tokens} tokens: the first stands for a label, also in the loss")
    return Report(tuple(claims), tuple(tables), tuple(figures), tuple(notes))


def thirds(layers: int) -> tuple[slice, slice]:
    """The first third of layers, and the last one without the last layer, where there are so many."""
    third = max(1, layers // 3)
    end = layers - 1 if layers > 2 else layers
    return slice(0, third), slice(end - third, end)


def _log(values: Floats, part: slice, flow: int) -> Floats:
    """[prompts]: log of a flow's mean over a part of the layers, of [prompts, layers, flows]."""
    return np.asarray(np.log(np.maximum(values[:, part, flow].mean(axis=1), SMALLEST)))


def _times(logs: Floats) -> str:
    """A mean of logarithms as a factor."""
    found = mean_of_few(logs)
    return str(Estimate(*(float(np.exp(v)) for v in (found.value, found.low, found.high))))


def _all_above(*values: Floats) -> bool | None:
    """True where all means are above zero, False where one is below, None where an interval holds zero."""
    found = [mean_of_few(value).above_zero for value in values]
    return False if False in found else None if None in found else True


def _flow_claims(values: Mapping[str, Floats], rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
    own, lot, dealt = (values[kind] for kind in KINDS)
    first, last = thirds(own.shape[1])
    n = f"{len(rows)} prompts"
    right = [float(np.mean([row["right"][kind] for row in rows])) for kind in ("labels", "shuffled")]
    early = [_log(own, first, INTO) - _log(own, first, other) for other in (OUT, ELSEWHERE)]
    early_lot = _log(own, first, INTO) - _log(lot, first, INTO)
    late = [_log(own, last, OUT) - _log(own, last, other) for other in (INTO, ELSEWHERE)]
    late_lot = _log(own, last, OUT) - _log(lot, last, OUT)
    mixed, beside = (_log(own, last, flow) - _log(dealt, last, flow) for flow in (OUT, ELSEWHERE))
    return [
        Claim(
            "in the first third of layers information flows from the text into label words: S_wp is "
            "above S_pq and S_ww (Wang et al. 2023)",
            f"S_wp is {_times(early[0])} times S_pq and {_times(early[1])} times S_ww; {n}",
            f"S_wp of label words is {_times(early_lot)} times that of random words in their place",
            _all_above(*early, early_lot),
        ),
        Claim(
            "in the last third of layers it flows from label words to the end: S_pq is above S_wp and "
            "S_ww (Wang et al. 2023)",
            f"S_pq is {_times(late[0])} times S_wp and {_times(late[1])} times S_ww; {n}",
            f"S_pq of label words is {_times(late_lot)} times that of random words in their place",
            _all_above(*late, late_lot),
        ),
        Claim(
            "what flows out of label words in the last third depends on the labels being right",
            f"S_pq with right labels is {_times(mixed)} times that with "
            f"labels of one another; accuracy {right[0]:.3f} and {right[1]:.3f}; {n}",
            f"S_ww, which should not: {_times(beside)} times",
            _all_above(mixed, mixed - beside),
        ),
    ]


def _flow_table(seen: Mapping[str, Mapping[str, Floats]]) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = []
    for name, kinds in seen.items():
        for kind, values in kinds.items():
            first, last = thirds(values.shape[1])
            shares = _shares(values)
            means = [shares[:, part].mean(axis=1) for part in (first, last)]  # [prompts, flows]
            rows.append(
                (name, KINDS[kind], *(str(mean_of_few(m[:, flow])) for m in means for flow in range(3)))
            )
    columns = [f"{symbol}, {where} third" for where in ENDS for symbol in ("S_wp", "S_pq", "S_ww")]
    return Table("flows, as shares of their sum", ("of", "words", *columns), tuple(rows))


def _shares(values: Floats) -> Floats:
    """[prompts, layers, flows] of their sum."""
    return np.asarray(values / np.maximum(values.sum(axis=2, keepdims=True), SMALLEST))


def _flow_figure(name: str, kinds: Mapping[str, Floats]) -> Figure:
    series = []
    for kind in KINDS:
        shares = _shares(kinds[kind])
        for flow, said in enumerate(FLOWS if kind == "labels" else FLOWS[:2]):
            rows = [mean_of_few(shares[:, layer, flow]) for layer in range(shares.shape[1])]
            series.append(
                Series(
                    said if kind == "labels" else f"{said} ({KINDS[kind]})",
                    list(range(1, len(rows) + 1)),
                    [row.value for row in rows],
                    [row.low for row in rows],
                    [row.high for row in rows],
                    control=kind != "labels",
                )
            )
    title = f"Where {'the loss reads' if name == 'saliency' else 'attention goes'}, layer by layer"
    return Figure(f"label_words_{name}", title, "layer", f"share of mean {name}", tuple(series))


def _divergences(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], tuple[Floats, Floats]]:
    """By condition ([prompts] same answer, [prompts] KL)."""
    found = {}
    for one in CONDITIONS:
        pairs = [agreement(row["blocked"], " ".join(one)) for row in rows]
        found[one] = (np.array([same for same, _ in pairs]), np.array([kl for _, kl in pairs]))
    return found


def _blocking_claims(rows: Sequence[Mapping[str, Any]], layers: int) -> list[Claim]:
    found = _divergences(rows)
    claims = []
    for way, end, said in (
        ("into", "first", "label words that see nothing before them"),
        ("out of", "last", "label words that nothing after them sees"),
    ):
        other = ENDS[1 - ENDS.index(end)]
        same, moved = found[way, end, "labels"]
        same_lot, lot = found[way, end, "random"]
        elsewhere = found[way, other, "labels"][1]
        claims.append(
            Claim(
                f"{said} in the {end} {layers} layers change the answer more than random words do, and "
                f"more than in the {other} {layers} layers (Wang et al. 2023)",
                f"KL {mean_of_few(moved)} nats, the same answer in {same.mean():.3f} of {len(rows)} prompts",
                f"random words: KL {mean_of_few(lot)}, same answer {same_lot.mean():.3f}, labels less "
                f"random {mean_of_few(moved - lot)}; {other} layers: KL {mean_of_few(elsewhere)}, "
                f"{end} less {other} {mean_of_few(moved - elsewhere)}",
                _all_above(moved - lot, moved - elsewhere),
            )
        )
    return claims


def _blocking_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    lines: list[tuple[str | float | int | None, ...]] = []
    golds = np.array([row["gold"] for row in rows])
    for one, (same, moved) in _divergences(rows).items():
        answers = np.array([np.argmax(row["blocked"][" ".join(one)]) for row in rows])
        lines.append(
            (*one, str(mean_of_few(moved)), str(mean_of_few(same)), float((answers == golds).mean()))
        )
    plain = np.array([np.argmax(row["blocked"]["nothing"]) for row in rows])
    lines.append(("nothing", None, None, None, None, float((plain == golds).mean())))
    return Table(
        "blocking", ("blocked", "layers", "words", "KL (nats)", "same answer", "accuracy"), tuple(lines)
    )


def _blocking_figure(rows: Sequence[Mapping[str, Any]], layers: int) -> Figure:
    found = _divergences(rows)
    series = []
    for words in WORDS:
        estimates = [mean_of_few(found[way, end, words][1]) for way in WAYS for end in ENDS]
        series.append(
            Series(
                KINDS[words],
                [f"{way}, {end} {layers}" for way in WAYS for end in ENDS],
                [one.value for one in estimates],
                [one.low for one in estimates],
                [one.high for one in estimates],
                kind="bars",
                control=words == "random",
            )
        )
    title = "How far answers move when words are blocked"
    return Figure(
        "label_words_blocking", title, "what is blocked, in which layers", "KL (nats)", tuple(series)
    )
