"""A recipe as a run: parts made or found, rows drawn, the card; broken off, it goes on with the same call."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, IclError
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Window
from icl.experiments.asking.models import model_source, open_model
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.corpus.check import CheckedPart, CheckedRecipe
from icl.experiments.corpus.folder import CARD, ROWS, CorpusFolder, DraftFile
from icl.experiments.corpus.making import Bench, make_parts
from icl.experiments.corpus.mixing import Mixture
from icl.experiments.corpus.recipe import model_label
from icl.experiments.running.parts import held, session_in
from icl.experiments.running.progress import Meter
from icl.instructions.card import Rejects, card_of
from icl.instructions.card_text import to_markdown
from icl.instructions.rows import InstructionRow, to_line
from icl.protocols import LanguageModel

log = logging.getLogger("icl")

CACHE = ".cache"


@dataclass(frozen=True)
class Corpus:
    """What a recipe made."""

    path: Path
    """The folder."""
    card: dict[str, Any]

    @property
    def rows(self) -> Path:
        """The rows, JSONL."""
        return self.path / ROWS

    @property
    def card_file(self) -> Path:
        """The card, Markdown."""
        return self.path / CARD


class Builder:
    """One session with one recipe."""

    def __init__(
        self,
        checked: CheckedRecipe,
        root: Path,
        *,
        model: LanguageModel | None = None,
        max_memory: int | None = None,
        window: Window | None = None,
        meter: Meter | None = None,
        restart: bool = False,
    ) -> None:
        """model: in place of those that the recipe names, loaded already."""
        self.checked = checked
        self.folder = CorpusFolder(root / checked.recipe.name)
        self.meter = meter or Meter()
        self.meter.noun = "rows"
        self._root, self._given, self._max_memory = root, model, max_memory
        self._window, self._restart = window or Window(), restart

    def run(self) -> Corpus:
        """Makes what is not there. Raises IclError; finished parts stay, and so do answers."""
        recipe = self.checked.recipe.resolved
        first = {"source": self.checked.source.name, "recipe": recipe}
        with held(self.folder, self.meter, "parts") as lock:
            self.folder.begin(lock, recipe, restart=self._restart)
            with session_in(self.folder, self.meter, first):
                left = [one for one in self.checked.parts if not self._complete(one)]
                self.meter.start(sum(_wanted(one) for one in left), 0)
                self._make(left)
                return self._corpus()

    def _complete(self, one: CheckedPart, fingerprint: str | None = None) -> bool:
        """Whether a part is there as it would be made now; said where it is there and is not."""
        about = self.folder.about(one.label)
        if about is None:
            return False
        same = about.get("digest") == self.checked.digest(one)
        same = same and (fingerprint is None or about.get("fingerprint") == fingerprint)
        if not same:
            self.meter.note(f"part {one.label}: the recipe, its data or its model have changed; made anew")
            self.folder.forget(one.label)
        return same

    def _make(self, left: list[CheckedPart]) -> None:
        checked = self.checked
        bench = Bench(checked.place, checked.recipe.seed, checked.leaks, self.meter)
        for one in left:
            if one.model is None:
                self.meter.note(f"part {one.label}")
                make_parts(bench, self.folder, [(one, checked.digest(one))], None, self._window)
        asked = [one for one in left if one.model is not None]
        if not asked:
            return
        with closing(ResponseStore(self._root / CACHE / "responses.sqlite")) as store:
            for label in dict.fromkeys(model_label(one.model) for one in asked if one.model is not None):
                self._ask(label, asked, bench, store)

    def _ask(self, label: str, asked: list[CheckedPart], bench: Bench, store: ResponseStore) -> None:
        """The parts of one model, which is gone from memory afterwards."""
        checked = self.checked
        self.meter.note(f"loading {label}")
        experiment = checked.models[label]
        model = self._given or open_model(experiment, max_memory=self._max_memory)
        origin = "given by the caller" if self._given else model_source(experiment)
        entry = {"name": model.name, "origin": origin, "fingerprint": model.fingerprint}
        models = {**self.folder.manifest.get("models", {}), label: entry}
        self.folder.update_manifest(models=models)
        mine = [one for one in checked.parts if one.model is not None and model_label(one.model) == label]
        parts = [one for one in mine if one in asked or not self._complete(one, model.fingerprint)]
        names = ", ".join(one.label for one in parts)
        self.meter.note(f"{label} is asked for {names}")
        cached = CachedModel(model, store, observer=self.meter)
        make_parts(bench, self.folder, [(one, checked.digest(one)) for one in parts], cached, self._window)

    def _corpus(self) -> Corpus:
        """Draws the rows and writes the card."""
        self.meter.note("duplicates, mixture, card")
        mixture = Mixture(self.checked, self.folder)
        draft = DraftFile(self.folder.path / ROWS)
        digest = hashlib.blake2b(digest_size=16)
        try:

            def written() -> Iterable[InstructionRow]:
                for row, again in mixture:
                    line = to_line(row, again).encode() + b"\n"
                    digest.update(line)
                    draft.write(line)
                    yield row

            counted = card_of(written())
            if not counted["rows"]:
                raise ConfigError(f"{self.checked.source.name}: no row is left for the corpus")
            card = {**counted, **self._about(mixture), "digest": digest.hexdigest()}
            draft.finish()
        finally:
            draft.abandon()
            mixture.close()
        self.folder.write_card(card, to_markdown(card, f"Corpus {self.checked.recipe.name}"))
        self.folder.update_manifest(rows={"count": counted["rows"], "digest": digest.hexdigest()})
        return Corpus(self.folder.path, card)

    def _about(self, mixture: Mixture) -> dict[str, Any]:
        """What the making adds to the card."""
        rejects, leaks, costs, notes = Rejects(), _no_leaks(self.checked), {}, {}
        for one in self.checked.parts:
            about = self.folder.about(one.label)
            if about is None:
                raise IclError(f"part {one.label!r} is gone from {self.folder.path}")
            rejects.merge(Rejects.of(about["rejects"]))
            costs[one.label] = about["usage"]
            if about["notes"]:
                notes[one.label] = about["notes"]
            for task, found in about["leaks"].items():
                for kind, count in found.items():
                    if kind != "test_items":
                        leaks[task][kind] += count
        rejects.merge(mixture.rejects)
        return {
            "recipe": self.checked.recipe.name,
            "seed": self.checked.recipe.seed,
            "mixture": mixture.plain,
            "rejects": rejects.plain,
            "leaks": leaks,
            "costs": costs,
            "notes": notes,
        }


def _no_leaks(checked: CheckedRecipe) -> dict[str, dict[str, int]]:
    """The table of overlaps with nothing counted."""
    return checked.leaks.fresh().plain


def _wanted(one: CheckedPart) -> int:
    """Rows that a part which asks is to give at least; parts that ask nobody take no time to speak of."""
    wanted: int = getattr(one.generator, "instructions", 0) or getattr(one.generator, "rows", 0)
    return wanted if one.generator.asks else 0
