"""A red teaming as a run: steps that are not there are done; broken off, it goes on with the same call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, DataError
from icl.experiments.asking.conversations import Window
from icl.experiments.asking.models import model_source, open_model, open_tokenizer
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.corpus.building import CACHE
from icl.experiments.corpus.folder import CorpusFolder
from icl.experiments.folder.disk import write_whole
from icl.experiments.redteam.check import JUDGE, RED, TARGET, CheckedRedTeam
from icl.experiments.redteam.steps import ANSWERS, KINDS, QUESTIONS, VERDICTS, Desk, rows_in, verdict_from
from icl.experiments.running.parts import held, session_in
from icl.experiments.running.progress import Meter
from icl.instructions.contract import text_digest
from icl.instructions.rows import from_line
from icl.protocols import LanguageModel
from icl.redteam.report import WayFound, report_of
from icl.redteam.report_text import to_markdown
from icl.redteam.writing import FEW_SHOT, WRITTEN

VERSION = 1
"""Of what steps make: a change of it does them anew."""
FILE = "redteam.yaml"
REPORT, REPORT_JSON = "report.md", "report.json"
ROLES = {QUESTIONS: RED, ANSWERS: TARGET, VERDICTS: JUDGE}


@dataclass(frozen=True)
class RedTeamed:
    """What a red teaming found."""

    path: Path
    """The folder."""
    report: dict[str, Any]

    @property
    def report_file(self) -> Path:
        """Markdown."""
        return self.path / REPORT


class Session:
    """One session with one red teaming."""

    def __init__(
        self,
        checked: CheckedRedTeam,
        root: Path,
        *,
        models: Mapping[str, LanguageModel] | None = None,
        max_memory: int | None = None,
        window: Window | None = None,
        meter: Meter | None = None,
        restart: bool = False,
    ) -> None:
        """models: red, target, judge -> one in place of that which the file names, loaded already."""
        self.checked = checked
        self.folder = CorpusFolder(root / checked.file.name, "red teaming", FILE)
        self.meter = meter or Meter()
        self.meter.noun = "steps of questions"
        self._models = Models(checked, models or {}, max_memory, self.meter)
        self._root, self._window, self._restart = root, window or Window(), restart

    def run(self) -> RedTeamed:
        """Does what is not done. Raises IclError; finished steps stay, and so do answers."""
        checked = self.checked
        first = {"source": checked.source.name, "redteam": checked.file.resolved}
        with held(self.folder, self.meter, "steps") as lock:
            self.folder.begin(lock, checked.file.resolved, restart=self._restart)
            with session_in(self.folder, self.meter, first, self._told):
                self.meter.start(len(KINDS) * sum(map(self._wanted, checked.file.ways)), 0)
                with closing(ResponseStore(self._root / CACHE / "responses.sqlite")) as store:
                    self._steps(Desk(checked, store, self.meter, self._window))
                return self._reported()

    def _told(self) -> dict[str, Any]:
        return {"models": {**self.folder.manifest.get("models", {}), **self._models.told}}

    def _wanted(self, way: str) -> int:
        asked = self.checked.file.asked(way)
        return len(self.checked.written) if asked is None else asked.questions

    def _steps(self, desk: Desk) -> None:
        for stage in self.checked.file.stages:
            for kind in KINDS:
                for way in stage:
                    self._step(desk, way, kind)

    def _step(self, desk: Desk, way: str, kind: str) -> None:
        label, digest = f"{way}-{kind}", self._digest(way, kind)
        about = self.folder.about(label)
        if about is not None and about.get("digest") == digest:
            self.meter.taken_back(-about["rows"])
        else:
            if about is not None:
                self.meter.note(f"{label}: the file, its data or its model have changed; done anew")
                self.folder.forget(label)
            about = self._done(desk, way, kind, label, digest)
        self.meter.total += about["rows"] - self._wanted(way)

    def _done(self, desk: Desk, way: str, kind: str, label: str, digest: str) -> dict[str, Any]:
        role = ROLES[kind]
        model = None if (way, kind) == (WRITTEN, QUESTIONS) else self._models.open(role)
        self.meter.note(label if model is None else f"{self.checked.labels[role]}: {label}")
        made = desk.do(way, kind, model, self._lines)
        if kind == QUESTIONS and not made.lines:
            rule, count = next(iter(made.rejects.counts.most_common(1)), ("", 0))
            raise ConfigError(
                f"{way}: no question was kept{f': {count} were left out ({rule})' if count else ''}"
            )
        content = "".join(f"{line}\n" for line in made.lines).encode()
        write_whole(self.folder.rows_of(label), content)
        about = {
            "rows": len(made.lines),
            "rejects": made.rejects.plain,
            "usage": asdict(made.usage),
            "notes": made.notes,
            "digest": digest,
            "content": hashlib.blake2b(content, digest_size=16).hexdigest(),
        }
        self.folder.finish(label, about)
        return about

    def _lines(self, way: str, kind: str) -> list[str]:
        """Of a finished step. DataError where one is damaged."""
        path = self.folder.rows_of(f"{way}-{kind}")
        lines = path.read_bytes().split(b"\n")[
            :-1
        ]  # splitlines would also cut at what only looks like an end
        for at, line in enumerate(lines, start=1):
            try:
                (verdict_from if kind == VERDICTS else from_line)(line.decode())
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{at}: is damaged ({error}); delete the file") from error
        return [line.decode() for line in lines]

    def _digest(self, way: str, kind: str) -> str:
        """What a step depends on: what it is told, whom it asks, and what the steps before it gave."""
        file, role = self.checked.file, ROLES[kind]
        told: dict[str, Any] = {"way": way, "kind": kind, "seed": file.seed}
        if kind == QUESTIONS:
            before = [(other, QUESTIONS) for other in file.ways[: file.ways.index(way)]]
            told["asked"] = file.resolved[way] if way != WRITTEN else list(self.checked.written)
            before = [*before, (file.pool, VERDICTS)] if way == FEW_SHOT else before
        else:
            before = [(way, KINDS[KINDS.index(kind) - 1])]
            told["asked"] = file.resolved["answer"] if kind == ANSWERS else self.checked.judge_digest
        model = "" if (way, kind) == (WRITTEN, QUESTIONS) else self._models.fingerprint(role)
        contents = [(self.folder.about(f"{other}-{step}") or {}).get("content", "") for other, step in before]
        return text_digest(str(VERSION), json.dumps(told, sort_keys=True, default=str), model, *contents)

    def _reported(self) -> RedTeamed:
        """Counts, and writes the report."""
        self.meter.note("report")
        found = {}
        for way in self.checked.file.ways:
            about = {kind: self.folder.about(f"{way}-{kind}") or {} for kind in KINDS}
            verdicts = [verdict_from(line)[1] for line in self._lines(way, VERDICTS)]
            kept = [row.instruction for row in rows_in(self._lines(way, QUESTIONS))]
            answered = rows_in(self._lines(way, ANSWERS))
            found[way] = WayFound(self._wanted(way), kept, answered, verdicts, about)
        rules = {rule.name: rule.rule for rule in self.checked.judge.rules}
        head = {"name": self.checked.file.name, "seed": self.checked.file.seed, **self.checked.labels}
        report = report_of({**head, "judge": self.checked.choice.label}, rules, found)
        text = json.dumps(report, ensure_ascii=False, indent=1)
        write_whole(self.folder.path / REPORT_JSON, text)
        write_whole(self.folder.path / REPORT, to_markdown(report))
        return RedTeamed(self.folder.path, report)


class Models:
    """Those of a red teaming, one in memory at a time."""

    def __init__(
        self,
        checked: CheckedRedTeam,
        given: Mapping[str, LanguageModel],
        max_memory: int | None,
        meter: Meter,
    ) -> None:
        self._checked, self._given, self._max_memory, self._meter = checked, given, max_memory, meter
        self._open: tuple[str, LanguageModel] | None = None
        self._fingerprints: dict[str, str] = {}
        self.told: dict[str, dict[str, str]] = {}
        """red, target, judge -> what was opened, for the manifest."""

    def open(self, role: str) -> LanguageModel:
        """The one of a role; another that is open is let go of, unless it is the same. ModelError."""
        experiment = self._checked.models[role]
        if role in self._given:
            return self._note(role, self._given[role], "given by the caller")
        key = experiment.model_dump_json(exclude={"name"})
        if self._open is None or self._open[0] != key:
            self._open = None
            self._meter.note(f"loading {experiment.model_label}")
            self._open = key, open_model(experiment, max_memory=self._max_memory)
        return self._note(role, self._open[1], model_source(experiment))

    def _note(self, role: str, model: LanguageModel, origin: str) -> LanguageModel:
        self.told[role] = {"name": model.name, "origin": origin, "fingerprint": model.fingerprint}
        return model

    def fingerprint(self, role: str) -> str:
        """Of the weights; none are loaded."""
        if role not in self._fingerprints:
            known = self._given.get(role) or open_tokenizer(self._checked.models[role])
            self._fingerprints[role] = known.fingerprint
        return self._fingerprints[role]
