"""What a recipe would ask, without asking it: rehearsed with a model that makes its answers up."""

from __future__ import annotations

from dataclasses import dataclass

from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Window
from icl.experiments.asking.models import open_tokenizer
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.corpus.check import CheckedRecipe
from icl.experiments.corpus.making import Bench, MadePart
from icl.experiments.corpus.recipe import model_label
from icl.experiments.plan import RehearsalModel
from icl.experiments.running.progress import Meter
from icl.types import NO_USAGE, Usage


@dataclass(frozen=True, slots=True)
class PartPlan:
    """A part as it would be made."""

    label: str
    by: str
    model: str
    """"" where none is asked."""
    rows: int
    rejected: int
    total: Usage
    """Tokens as the engine would forward them, texts at their limit. Side by side, parts share more."""


def plan_recipe(checked: CheckedRecipe) -> list[PartPlan]:
    """Makes every part without keeping its rows. Raises IclError as making it would.

    Where rows depend on answers, each answer is taken for as many usable rows as the generator asks for, so
    what is asked is at least this much.
    """
    found = []
    for one in checked.parts:
        bench = Bench(checked.place, checked.recipe.seed, checked.leaks, Meter(), rehearsal=True)
        made, total, label = MadePart(one), NO_USAGE, ""
        if one.model is None:
            bench.drive([(made, len)], None, Window(), lambda _: None)
        else:
            label = model_label(one.model)
            rehearsal = RehearsalModel(open_tokenizer(checked.models[label]))
            cached = CachedModel(rehearsal, ResponseStore())
            bench.drive([(made, len)], cached, Window(), lambda _: None)
            total = rehearsal.total
        found.append(
            PartPlan(one.label, one.part.by, label, made.rows, sum(made.rejects.counts.values()), total)
        )
    return found
