"""How a session ends: written down in the manifest whatever ended it, and said in one line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from icl.errors import IclError, StorageError
from icl.executors.team import Team
from icl.experiments.folder.environment import environment, key_of
from icl.experiments.folder.manifest import hardware, now
from icl.experiments.folder.store import RunFolder
from icl.experiments.folder.versions import versions
from icl.experiments.running.progress import Meter

log = logging.getLogger("icl")


@contextlib.contextmanager
def said_in_one_line(folder: RunFolder, meter: Meter) -> Iterator[None]:
    """What the machine refuses becomes a StorageError, and Ctrl-C tells: what is kept, and how to go on."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{str(error).rstrip('.')}. {how_to_go_on(folder, meter)}") from error
    except OSError as error:
        raise StorageError(
            f"{what_was_refused(error, folder.path)}. {how_to_go_on(folder, meter)}"
        ) from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(how_to_go_on(folder, meter, answers=meter.computed.requests)) from None


def what_was_refused(error: OSError, path: Path) -> str:
    """An OSError as a person would put it: the file and the system's words."""
    said = error.strerror or str(error) or type(error).__name__
    return f"{error.filename or path}: {said}"


def how_to_go_on(folder: RunFolder, meter: Meter, answers: int = 0) -> str:
    """After a session that was broken off. answers: how many of it the response cache keeps for certain."""
    lines = folder.lines
    if not lines and answers:
        some = f"{answers} answers are" if answers > 1 else "one answer is"
        return f"No prediction is final yet; {some} in the cache, and the same command goes on"
    if not lines:
        return "No prediction was kept yet; the same command begins again"
    return (
        f"{lines} of {meter.total or lines} predictions are kept in {folder.path}; the same command goes on"
    )


@contextlib.contextmanager
def recorded(folder: RunFolder, meter: Meter) -> Iterator[list[str]]:
    """Writes the session into the manifest when it ends. The block puts the engines that computed into the
    list."""
    began, engines, ended = now(), list[str](), "complete"
    try:
        yield engines
    except BaseException as error:
        ended = how_it_ended(error)
        raise
    finally:
        session = {
            "began": began,
            "ended": now(),
            "ended_by": ended,
            "engine": "; ".join(dict.fromkeys(engines)) or None,
            "computed": asdict(meter.computed),
            "reused": asdict(meter.reused),
            "near_ties": meter.near_ties,
            "environment": key_of(environment()),
        }
        with _second_to(ended != "complete"):
            sessions = [*folder.manifest().get("sessions", []), session]
            done = {"finished": now()} if ended == "complete" else {}
            folder.update_manifest(sessions=sessions, versions=versions(), hardware=hardware(), **done)


NATIVE = "native kernels"


def other_arithmetic(folder: RunFolder, engine: str) -> str:
    """What to say where earlier sessions of a run computed on this engine with native kernels and this one
    does not, or the other way round: predictions are kept, and differ by rounding. "" else."""
    told = [session.get("engine") or "" for session in folder.manifest().get("sessions", [])]
    before = {part for engines in told for part in engines.split("; ")}
    stem = engine.split(", ")[0]
    same = [part for part in before if part.split(", ")[0] == stem]
    if not same or any((NATIVE in part) == (NATIVE in engine) for part in same):
        return ""
    now, then = ("with", "without") if NATIVE in engine else ("without", "with")
    return (
        f"earlier sessions of this run asked the {stem} {then} {NATIVE}, this one asks it {now} them: "
        "what was answered is kept, and differs by rounding from what is asked now"
    )


@contextlib.contextmanager
def at_work(team: Team | None, folder: RunFolder) -> Iterator[None]:
    """Ends the workers of a session, and writes down what became of them."""
    try:
        yield
    finally:
        if team is not None:
            team.close()
            folder.update_manifest(workers=team.plain)


def each(acts: Iterable[Callable[[], None]]) -> None:
    """Calls all, also where some raise, and raises the first error: what can be kept is kept."""
    first: Exception | None = None
    for act in acts:
        try:
            act()
        except (OSError, IclError) as error:
            first = first or error
    if first is not None:
        raise first


@contextlib.contextmanager
def _second_to(another: bool) -> Iterator[None]:
    """An error of the machine is not raised over another that is on its way already."""
    try:
        yield
    except (OSError, IclError) as error:
        if not another:
            raise
        log.debug("while another error was raised: %s", error)


def how_it_ended(error: BaseException) -> str:
    """For the manifest: the error and its first line."""
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
