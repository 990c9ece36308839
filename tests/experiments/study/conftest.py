"""A planted study: a biased coin, seen in its mean, beside a fair one as the control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from icl.components import check_number
from icl.errors import ConfigError
from icl.mechanism.contract import Claim, Decoder, Figure, Found, Report, Series, Step, Table, Work, studies
from icl.tasks import TaskData


class Coins:
    """Heads of a biased coin and of a fair one."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"throws": 400, "bias": 0.9},
        "paper": {"throws": 40_000, "bias": 0.9},
    }
    needs_model: ClassVar[bool] = False
    done: ClassVar[list[str]] = []
    """Steps that were computed, in order, and not taken from the folder."""
    breaks_at: ClassVar[int | None] = None
    """Throws after which the step is broken off, as if the process were killed."""

    def __init__(self, *, throws: int, bias: float, scale: float = 100.0, task: str = "") -> None:
        check_number("throws", throws, low=1, whole=True)
        check_number("bias", bias, low=0, high=1)
        self.throws, self.bias, self.scale, self.task = throws, bias, scale, task

    def tasks(self) -> tuple[str, ...]:
        return (self.task,) if self.task else ()

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        if self.throws == 13:
            raise ConfigError("throws is 13, a number that brings no luck")

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("biased", self.throws, "throws", ("throws", "bias"), ()),
            Step("fair", self.throws, "throws", ("throws",), ()),
            Step("difference", 1, "differences", ("scale",), ("biased", "fair")),
        )

    def pace(self, step: Step, work: Work) -> float:
        return {"biased": 0.5, "fair": 0.25, "difference": 1.0}[step.name]

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        if step.name == "difference":
            self.done.append(step.name)
            assert set(work.found) == {"biased", "fair"}
            return {"points": self.scale * (work.found["biased"]["share"] - work.found["fair"]["share"])}
        kept = work.folder / "heads"
        heads = [int(digit) for digit in kept.read_text()] if kept.exists() else []
        bias = self.bias if step.name == "biased" else 0.5
        for at in range(len(heads), self.throws):
            heads.append(int(work.generator(step.name, str(at)).random() < bias))
            kept.write_text("".join(map(str, heads)))
            work.progress(at + 1)
            if at + 1 == self.breaks_at:
                raise KeyboardInterrupt
        work.note(f"{step.name}: {sum(heads)} heads")
        self.done.append(step.name)
        return {"share": sum(heads) / len(heads), "nothing": float("nan")}

    def report(self, found: Mapping[str, Found]) -> Report:
        shares = {name: found[name]["share"] for name in ("biased", "fair") if name in found}
        series = tuple(
            Series(name, ("share",), (share,), kind="bars", control=name == "fair")
            for name, share in shares.items()
        )
        figures = (Figure("shares", "Heads", "coin", "share", series),) if series else ()
        table = Table("shares", ("coin", "share", "note"), tuple((k, v, None) for k, v in shares.items()))
        points = found["difference"]["points"] if "difference" in found else None
        claim = Claim(
            "the coin is biased (planted)",
            "not measured yet" if points is None else f"{points:.1f} points",
            f"fair coin: {shares.get('fair', '-')}",
            None if points is None else points > 10,
        )
        return Report((claim,), (table,), figures, ("a planted study",))


class Looking(Coins):
    """The same, and it says that it looks at a model."""

    needs_model: ClassVar[bool] = True


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Coins]]:
    """The class, registered as `coins`, and as `looking` where a model is needed."""
    list(studies)  # icl's own first
    studies.register("coins", paper="none")(Coins)
    studies.register("looking", paper="none")(Looking)
    monkeypatch.setattr(Coins, "done", [])
    yield Coins
    del studies._entries["coins"], studies._entries["looking"]
