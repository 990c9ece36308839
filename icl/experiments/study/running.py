"""A study as a run: steps done or found, the report; broken off, it goes on with the same call."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icl.engine.loading.load import default_device
from icl.experiments.asking.models import model_source, open_tokenizer
from icl.experiments.file.placed import placed
from icl.experiments.folder.environment import environment
from icl.experiments.folder.manifest import now
from icl.experiments.running.parts import held, session_in
from icl.experiments.running.progress import Meter
from icl.experiments.study.check import CheckedStudy
from icl.experiments.study.depends import Depends
from icl.experiments.study.drawing import draw_figures
from icl.experiments.study.folder import FIGURES, REPORT_TEXT, StudyFolder
from icl.experiments.study.opening import open_decoder
from icl.experiments.study.plain import plain
from icl.experiments.study.text import to_markdown
from icl.mechanism.contract import Checks, Decoder, Found, Step, Work


@dataclass(frozen=True)
class Studied:
    """A study's folder and what stands in its report."""

    path: Path
    report: dict[str, Any]
    """As in report.json."""

    @property
    def text_file(self) -> Path:
        """The report, Markdown."""
        return self.path / REPORT_TEXT


class Studying:
    """One session with one study."""

    def __init__(
        self,
        checked: CheckedStudy,
        root: Path,
        *,
        decoder: Decoder | None = None,
        max_memory: int | None = None,
        meter: Meter | None = None,
        restart: bool = False,
    ) -> None:
        """decoder: in place of the model that the file names, open already."""
        self.checked = checked
        self.folder = StudyFolder(root / checked.file.name)
        self.meter = meter or Meter()
        self._given, self._max_memory, self._restart = decoder, max_memory, restart
        self._opened = decoder

    def run(self) -> Studied:
        """Does what is not done. Raises IclError; finished steps stay, and so do checkpoints."""
        with held(self.folder, self.meter, "steps") as lock:
            depends = self.depends()
            if not self._restart:
                depends.refuse_others(self.folder)
            self.folder.begin(lock, self.checked.resolved, restart=self._restart)
            first = {"kind": "study", "source": self.checked.source.name, "identity": depends.identity}
            with session_in(self.folder, self.meter, {**first, "model": self._about()}):
                found = self._steps(depends)
                return self._report(depends, found)

    def depends(self) -> Depends:
        """What findings depend on; the model's fingerprint is known before its weights are read."""
        if not self.checked.study.needs_model:
            return Depends(self.checked, "")
        if self._given is not None:
            return Depends(self.checked, self._given.fingerprint or self._given.engine().fingerprint)
        assert self.checked.model is not None
        return Depends(self.checked, open_tokenizer(self.checked.model).fingerprint)

    def _about(self) -> dict[str, Any] | None:
        """The model, for the manifest."""
        if self._given is not None:
            return {"name": self._given.name, "origin": "given by the caller"}
        model = self.checked.model
        return None if model is None else {"name": model.choice.label, "origin": model_source(model)}

    def _steps(self, depends: Depends) -> dict[str, Found]:
        """What every step found."""
        found: dict[str, Found] = {}
        kept = {
            step.name: self.folder.step_of(step.name, depends.digest(step.name)) for step in depends.steps
        }
        for at, step in enumerate(depends.steps):
            about = kept[step.name]
            if about is None:
                if why := depends.why_again(self.folder, step):
                    self.meter.note(why)
                about = self._step(depends, step, at, found)
            self.folder.keep(about)
            found[step.name] = about["found"]
            self._write(depends, found)
        return found

    def _step(self, depends: Depends, step: Step, at: int, found: dict[str, Found]) -> dict[str, Any]:
        """Does one step."""
        digest = depends.digest(step.name)
        decoder = self.decoder()
        files, begun = self.folder.checkpoints(step.name, digest)
        goes_on = ", goes on" if begun and any(files.iterdir()) else ""
        self.meter.note(f"step {at + 1} of {len(depends.steps)}: {step.name}{goes_on}")
        self.meter.count(step.unit, step.units)

        def note(text: str) -> None:
            self.folder.note(step.name, digest, text)
            self.meter.note(text)

        work = self.work(files, decoder, {name: found[name] for name in depends.before(step)})
        work.progress, work.note = self.meter.counted, note
        began, lost = time.monotonic(), list[str]()
        result = plain(self.checked.study.run(step, work), lost)
        if lost:
            note(f"{step.name}: {len(lost)} numbers are not finite, kept as null: {', '.join(lost[:3])}")
        return {
            "step": step.name,
            "digest": digest,
            "depends": depends.of(step),
            "unit": step.unit,
            "seconds": round(time.monotonic() - began, 3),
            "resumed": begun,
            "finished": now(),
            **environment(),
            "notes": self.folder.notes(step.name, digest),
            "found": result,
        }

    def decoder(self) -> Decoder | None:
        """The model, loaded when the first step is done that there is none of."""
        if self._opened is None and self.checked.model is not None:
            self.meter.note(f"loading {self.checked.model.choice.label}")
            self._opened = open_decoder(self.checked.model, max_memory=self._max_memory)
        study = self.checked.study
        if self._opened is not None and study.needs_model and isinstance(study, Checks):
            with placed(self.checked.source, ("study", self.checked.file.study.name)):
                study.check(self._opened, self.checked.tasks)
        return self._opened if self.checked.study.needs_model else None

    def work(self, files: Path, decoder: Decoder | None, found: dict[str, Found]) -> Work:
        """What a step is given; nobody is told anything."""
        import torch

        return Work(
            seed=self.checked.file.seed,
            folder=files,
            progress=lambda _: None,
            note=lambda _: None,
            model=decoder,
            tasks=self.checked.tasks,
            device=torch.device(default_device()),
            found=found,
        )

    def _write(self, depends: Depends, found: dict[str, Found]) -> dict[str, Any]:
        """The report of the steps that are done."""
        made = plain(asdict(self.checked.study.report(found)))
        steps = [self.folder.step(step.name) for step in depends.steps if step.name in found]
        notes = [note for about in steps if about for note in about.get("notes", ())]
        report = {
            "kind": "study",
            "name": self.checked.file.name,
            "study": self.checked.file.study.name,
            "preset": self.checked.preset,
            "parameters": dict(self.checked.parameters),
            "seed": self.checked.file.seed,
            "model": self._about(),
            "tasks": list(self.checked.tasks),
            "complete": len(found) == len(depends.steps),
            "steps": [
                {key: about[key] for key in ("step", "unit", "seconds", "resumed")}
                | {"units": about["depends"]["units"]}
                for about in steps
                if about
            ],
            **made,
            "notes": list(dict.fromkeys([*made["notes"], *notes])),
        }
        self.folder.write_report(report, to_markdown(report))
        return report

    def _report(self, depends: Depends, found: dict[str, Found]) -> Studied:
        """The report of all steps, with its figures drawn."""
        report = self._write(depends, found)
        lacking = draw_figures(self.checked.study.report(found).figures, self.folder.path / FIGURES)
        if lacking:
            self.meter.note(lacking)
        return Studied(self.folder.path, report)
