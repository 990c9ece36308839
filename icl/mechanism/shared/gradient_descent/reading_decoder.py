"""What showing demonstrations and training on them do to a decoder: sets of them taken together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from icl.mechanism.contract import Claim, Figure, Found, Series, Table
from icl.mechanism.shared import intervals
from icl.mechanism.shared.gradient_descent.updates import Flags, Floats
from icl.mechanism.shared.intervals import Estimate

AOU = {
    "same": "fine-tuned on the demonstrations",
    "shuffled": "fine-tuned on them with shuffled labels",
    "others": "fine-tuned on other examples",
    "normal": "random, every direction as likely",
    "uniform": "random, uniform on [0, 1)",
    "demonstrations": "other examples shown instead",
}
AM = {
    "zero": "before fine-tuning",
    "same": "after",
    "shuffled": "after, shuffled labels",
    "others": "after, others",
}
RIGHT = {
    "zero": "no demonstrations",
    "shown": "demonstrations",
    "demonstrations": "other demonstrations",
    "same": "fine-tuned on the demonstrations",
    "shuffled": "fine-tuned on them with shuffled labels",
    "others": "fine-tuned on other examples",
}


class Sets:
    """Sets of demonstrations over the same queries; intervals are over queries, sets are averaged."""

    def __init__(self, found: Sequence[Found], resamples: int) -> None:
        self._found, self._resamples = found, resamples
        self._queries = len(found[0]["queries"])

    def _values(self, measure: str, name: str) -> Floats:
        """[queries, layers], the mean over sets."""
        sets = np.asarray([one[measure][name] for one in self._found], dtype=np.float64)
        return np.asarray(sets.mean(axis=0))

    def _right(self, name: str) -> Flags:
        """[sets, queries]."""
        return np.asarray([one["right"][name] for one in self._found], dtype=bool)

    def _mean(self, measure: str, name: str, less: str | None = None) -> Estimate:
        """Over layers and queries, perhaps less that of another column, paired."""
        values = self._values(measure, name)
        if less is not None:
            values = values - self._values(measure, less)
        return intervals.mean(values.mean(axis=1), self._resamples)

    def _recall(self, name: str) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
        """(Rec2FTP, what it is where the two have nothing to do with one another, their difference)."""
        zero, shown, tuned = self._right("zero"), self._right("shown"), self._right(name)
        righted = (~zero & tuned).sum(axis=0)
        both, wrong, anyway = (
            (~zero & tuned & shown).sum(axis=0),
            (~zero).sum(axis=0),
            (~zero & shown).sum(axis=0),
        )
        return (
            intervals.share(both, righted, self._resamples),
            intervals.share(anyway, wrong, self._resamples),
            intervals.share_difference(both, righted, anyway, wrong, self._resamples),
        )

    def claims(self) -> tuple[Claim, ...]:
        """What Dai et al. 2023 say, and what their controls leave open."""
        n = f"{len(self._found)} sets x {self._queries} queries"
        same = self._mean("sim_aou", "same")
        shuffled, others = self._mean("sim_aou", "same", "shuffled"), self._mean("sim_aou", "same", "others")
        lots, moved = self._mean("sim_aou", "same", "normal"), self._mean("sim_am", "same", "zero")
        recall, anyway, gain = self._recall("same")
        return (
            Claim(
                "demonstrations and fine-tuning on them move a decoder's attention outputs alike: SimAOU is "
                "above that of "
                "random updates (Dai 2023, table 3)",
                f"SimAOU {same}, {n}; less that of normal random updates {lots}",
                f"normal {self._mean('sim_aou', 'normal')}, uniform as in the authors' code "
                f"{self._mean('sim_aou', 'uniform')}",
                lots.above_zero,
            ),
            Claim(
                "if so because both learn from these demonstrations, fine-tuning on shuffled labels or on "
                "other examples "
                "is less alike (not asked by Dai 2023)",
                f"SimAOU less that of shuffled labels {shuffled}, less that of other examples {others}, {n}",
                f"shuffled labels {self._mean('sim_aou', 'shuffled')}, other examples "
                f"{self._mean('sim_aou', 'others')}; demonstrations against other demonstrations "
                f"{self._mean('sim_aou', 'demonstrations')}",
                _both(shuffled.above_zero, others.above_zero),
            ),
            Claim(
                "after fine-tuning attention to the query's tokens is more like that with demonstrations "
                "(Dai 2023, SimAM)",
                f"SimAM {self._mean('sim_am', 'same')}, less that before {moved}, {n}",
                f"before {self._mean('sim_am', 'zero')}; gain with shuffled labels "
                f"{self._mean('sim_am', 'shuffled', 'zero')}, on other examples "
                f"{self._mean('sim_am', 'others', 'zero')}",
                moved.above_zero,
            ),
            Claim(
                "demonstrations set right most of what fine-tuning sets right (Dai 2023, Rec2FTP)",
                f"Rec2FTP {_said(recall)}, {n}, {int((~self._right('zero') & self._right('same')).sum())} "
                "answers set "
                f"right; less the control {_said(gain)}",
                f"of all answers that are wrong without demonstrations these set right {_said(anyway)}; "
                "Rec2FTP of shuffled "
                f"labels {_said(self._recall('shuffled')[0])}",
                None if gain is None else gain.above_zero,
            ),
        )

    def tables(self) -> tuple[Table, ...]:
        """Accuracies, and similarities with their intervals."""
        accuracy = [
            (text, intervals.mean(self._right(name).mean(axis=0), self._resamples))
            for name, text in RIGHT.items()
        ]
        rows = [
            (measure, text, self._mean(key, name))
            for measure, key, names in (("SimAOU", "sim_aou", AOU), ("SimAM", "sim_am", AM))
            for name, text in names.items()
        ]
        return (
            Table(
                "accuracy",
                ("answered", "accuracy", "low", "high"),
                tuple((text, *_rounded(estimate)) for text, estimate in accuracy),
            ),
            Table(
                "similarity to demonstrations, mean over layers",
                ("measure", "of", "mean", "low", "high"),
                tuple((measure, text, *_rounded(estimate)) for measure, text, estimate in rows),
            ),
        )

    def figures(self) -> tuple[Figure, ...]:
        """Both similarities by layer."""
        return (
            Figure(
                "gradient_descent_sim_aou",
                "Updates of attention outputs: demonstrations against ...",
                "layer",
                "SimAOU (cosine)",
                tuple(self._by_layer("sim_aou", name, text, name != "same") for name, text in AOU.items()),
            ),
            Figure(
                "gradient_descent_sim_am",
                "Attention to the query's tokens: with demonstrations against ...",
                "layer",
                "SimAM (cosine)",
                tuple(self._by_layer("sim_am", name, text, name != "same") for name, text in AM.items()),
            ),
        )

    def _by_layer(self, measure: str, name: str, text: str, control: bool) -> Series:
        columns = self._values(measure, name).T
        found = [intervals.mean(column, self._resamples) for column in columns]
        return Series(
            text,
            list(range(len(found))),
            [e.value for e in found],
            [e.low for e in found],
            [e.high for e in found],
            control=control,
        )

    def notes(self) -> tuple[str, ...]:
        """The rates that won, and what they gained."""
        lines = []
        for at, one in enumerate(self._found, 1):
            best = one["validation"][f"{one['rate']:g}"]
            lines.append(
                f"set {at}: fine-tuned with rate {one['rate']:g}; log-probability of the right label on "
                "validation "
                f"{one['untuned']:.3f} before, {best:.3f} after"
            )
            diverged = [rate for rate, value in one["validation"].items() if value is None]
            if diverged:
                lines.append(f"set {at}: diverged with rates {', '.join(diverged)}")
        return tuple(lines)


def _rounded(estimate: Estimate) -> tuple[float, float, float]:
    return round(estimate.value, 4), round(estimate.low, 4), round(estimate.high, 4)


def _said(estimate: Estimate | None) -> str:
    return "not defined (nothing set right)" if estimate is None else str(estimate)


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return True if one and other else None
