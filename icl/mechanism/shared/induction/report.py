"""What a study of induction heads found, to be read: what is lost without the heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared.induction.scored import Scores
from icl.mechanism.shared.intervals import Estimate, mean_of_few
from icl.mechanism.shared.paired import sign_flip

Floats = NDArray[np.float64]


def read(found: Mapping[str, Found], heads: int) -> Report:
    """Of the steps that are done."""
    if "scores" not in found:
        return Report(())
    scores = Scores(found["scores"], heads)
    claims, tables = [scores.claim(), *scores.copying(), scores.previous()], [scores.table()]
    figures, notes = list(scores.figures()), list(scores.notes())
    if "repeated" in found:
        repeated = Ablated(found["repeated"], "later")
        claims.append(repeated_claim(repeated))
        figures.append(lines(repeated, "repeated", "Loss on repeated random tokens, by position"))
        notes += taken_notes(found["repeated"])
    if "running" in found:
        running = Ablated(found["running"], "icl")
        claims += [icl_claim(running), icl_ablated(running)]
        figures.append(lines(running, "running", "Loss on running text, by position"))
        notes.append(
            f"a running text is {found['running']['rows']:.1f} rows on average, joined by blank lines: none "
            "of the "
            "rows is as long as the paper's texts"
        )
    if "accuracy" in found:
        accuracy = Ablated(found["accuracy"], "right")
        claims.append(accuracy_claim(accuracy))
        figures.append(bars(accuracy))
    if set(found) - {"scores"}:
        tables.append(losses_table(found))
    return Report(tuple(claims), tuple(tables), tuple(figures), tuple(notes))


@dataclass(frozen=True)
class Ablated:
    """One measure under every set of heads that is taken away."""

    found: Found
    measure: str

    def rows(self, name: str) -> Floats:
        """Of the texts, or of queries by sets of demonstrations."""
        return np.array(self.found["found"][name][self.measure], dtype=np.float64)

    @property
    def randoms(self) -> list[str]:
        """Names of the random sets."""
        return [name for name in self.found["found"] if name.startswith("random")]

    @property
    def random(self) -> Floats:
        """[draws, ...] rows of all random sets."""
        return np.stack([self.rows(name) for name in self.randoms])

    @property
    def beyond(self) -> tuple[Estimate, Estimate]:
        """How much more it is without the top heads than without random ones: over texts, the random sets
        averaged; over random sets, the texts averaged."""
        top = self.rows("top")
        texts = mean_of_few(top - self.random.mean(axis=0))
        return texts, mean_of_few(top.mean() - self.random.mean(axis=1))

    def words(self, digits: int = 2) -> str:
        """The means without any, the top, and the random heads."""
        spread = self.random.reshape(len(self.random), -1).mean(axis=1)
        return (
            f"{self.rows('none').mean():.{digits}f} with all heads, {self.rows('top').mean():.{digits}f} "
            "without the "
            f"top {len(self.found['taken']['top'])}, {spread.mean():.{digits}f} without random ones "
            f"({spread.min():.{digits}f} to {spread.max():.{digits}f} in {len(spread)} draws)"
        )


def agreed(*estimates: Estimate) -> bool | None:
    """Above zero, or below, by all of them; else None."""
    verdicts = {estimate.above_zero for estimate in estimates}
    return verdicts.pop() if len(verdicts) == 1 else None


def repeated_claim(repeated: Ablated) -> Claim:
    """That repeated tokens are foretold by these heads."""
    texts, draws = repeated.beyond
    first = np.mean(repeated.found["found"]["none"]["first"])
    return Claim(
        "without the top heads repeated tokens are foretold worse than without as many random heads "
        "(Olsson 2022)",
        f"loss from the second repeat on {repeated.words()}; first repeat, all heads, {first:.2f}",
        f"top less random heads {texts} nats over {repeated.random.shape[1]} sequences, {draws} over draws",
        agreed(texts, draws),
    )


def icl_claim(running: Ablated) -> Claim:
    """That later tokens are foretold better."""
    score = mean_of_few(running.rows("none"))
    return Claim(
        "tokens late in a text are foretold better than early ones (in-context-learning score below 0; "
        "Olsson 2022)",
        f"{score} nats over {len(running.rows('none'))} texts",
        "none: the late tokens are others than the early ones, in texts joined in random order",
        None if score.above_zero is None else not score.above_zero,
    )


def icl_ablated(running: Ablated) -> Claim:
    """That these heads make the difference."""
    texts, draws = running.beyond
    return Claim(
        "without the top heads the in-context-learning score is nearer to zero than without random heads "
        "(Olsson 2022)",
        f"score {running.words()}",
        f"top less random heads {texts} nats over texts, {draws} over draws",
        agreed(texts, draws),
    )


def accuracy_claim(accuracy: Ablated) -> Claim:
    """That they make learning from demonstrations; a query counts once, however many sets of demonstrations
    it is asked with."""
    top, none, random = accuracy.rows("top"), accuracy.rows("none"), accuracy.random.mean(axis=0)
    tests = []
    for other, name in ((none, "all heads"), (random, "random heads")):
        rows = (top - other).mean(axis=0)
        by_set = mean_of_few((top - other).mean(axis=1))
        tests.append(
            (f"top less {name}: {mean_of_few(rows)}, p {sign_flip(rows):.3f}; over sets {by_set}", rows)
        )
    rows = tests[1][1]
    holds = None if sign_flip(rows) >= 0.05 else bool(rows.mean() < 0)
    sets, queries = top.shape
    return Claim(
        "without the top heads fewer queries are answered right by demonstrations than without random heads",
        f"accuracy {accuracy.words(3)}; {queries} queries x {sets} sets of demonstrations",
        f"{'; '.join(words for words, _ in tests)} (intervals over queries; sign-flip test over queries, "
        "two-sided, "
        "for these sets of demonstrations)",
        holds,
    )


def taken_notes(found: Found) -> Iterator[str]:
    """How heads were taken away."""
    what = {"zero": "zero", "mean": "its mean over the running texts"}[found["ablation"]]
    yield f"a head is taken away by putting {what} in the place of what it hands to the output projection"
    if found["moved"]:
        yield (
            f"{found['moved']} of the random heads of each draw are from the nearest other layers: those of "
            "the top "
            "heads have too few others"
        )


def losses_table(found: Mapping[str, Found]) -> Table:
    """All measures by set of heads."""
    measures = {"repeated": ("first", "later"), "running": ("icl",), "accuracy": ("right",)}
    words = {
        "first": "loss, first repeat",
        "later": "loss, later repeats",
        "icl": "ICL score",
        "right": "accuracy",
    }
    wanted = [(step, name) for step, names in measures.items() if step in found for name in names]
    steps = [found[step] for step, _ in wanted]
    rows = tuple(
        (name, *(float(np.mean(found[step]["found"][name][measure])) for step, measure in wanted))
        for name in steps[0]["found"]
    )
    return Table("heads taken away", ("heads", *(words[measure] for _, measure in wanted)), rows)


def lines(ablated: Ablated, name: str, title: str) -> Figure:
    """Loss by position under every set of heads."""
    series = []
    for condition, about in ablated.found["found"].items():
        losses = about["by_position"]
        places = [float(at + 2) for at in range(len(losses))]
        series.append(Series(condition, places, losses, control=condition.startswith("random")))
    return Figure(name, title, "token", "loss, nats", tuple(series))


def bars(accuracy: Ablated) -> Figure:
    """Accuracy under every set of heads, with intervals over queries."""
    names = list(accuracy.found["found"])
    rows = [mean_of_few(accuracy.rows(name).mean(axis=0)) for name in names]
    own = [(n, r) for n, r in zip(names, rows, strict=True) if n not in accuracy.randoms]
    control = [(n, r) for n, r in zip(names, rows, strict=True) if n in accuracy.randoms]
    parts = (("all heads, and without the top", own, False), ("without random heads", control, True))
    series = [
        Series(
            label, [n for n, _ in part], [r.value for _, r in part], [r.low for _, r in part],
            [r.high for _, r in part], "bars", is_control,
        )
        for label, part, is_control in parts
    ]  # fmt: skip
    return Figure("accuracy", "Accuracy by demonstrations", "heads taken away", "accuracy", tuple(series))
