"""icl, vLLM and OpenVINO on the same workload files: installed, run one after another, in one table.

    make bench-peers WORKLOADS=DIR                            # everything, hours
    make bench-peers WORKLOADS=DIR ARGS="--fraction 0.02 --only permutations --engines icl,openvino"
    python -m benchmarks.peers.run --workloads DIR --dtype bfloat16

What was measured is kept workload by workload in the folder of --out and not measured again; `--anew` forgets
it. Every engine runs the whole of what --fraction leaves of a workload.
A peer that cannot be installed or run is said, and keeps no other back.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers.environments import HERE, PEERS, ROOT, Peer, PeerError, call, install, variables
from benchmarks.peers.files import cores, digest
from benchmarks.peers.merged import Entry, markdown, of_icl, of_peer, plain
from icl.atomic import write_atomically
from icl.bench.settings import DTYPES, ENGINES
from icl.bench.workloads import Workload, read_workloads
from icl.engine.loading.files import local_folder
from icl.engine.loading.sources import resolve
from icl.errors import ConfigError, IclError, unknown_name
from icl.experiments.folder.manifest import processor

DEFAULT = ("icl", "shared", "openvino", "vllm")


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command is told."""

    model: str
    workloads: tuple[Workload, ...]
    """Cut to the fraction already: every engine runs all of what is here."""
    engines: tuple[str, ...]
    dtypes: tuple[str, ...]
    rounds: int
    out: Path

    def files(self, folder: Path, names: Sequence[str]) -> None:
        """Writes these workloads into a folder."""
        for workload in self.workloads:
            if workload.name in names:
                text = json.dumps(as_file(workload))
                (folder / f"{workload.name}.json").write_text(text, encoding="utf-8")


def as_file(workload: Workload) -> dict[str, Any]:
    """A workload as its file has it."""
    if workload.kind == "score":
        items = [
            {"ctx": list(r.prompt), "conts": [list(c) for c in r.continuations]} for r in workload.scores
        ]
        return {"kind": "score", "items": items}
    first = workload.generations[0]
    prompts = [list(r.prompt) for r in workload.generations]
    return {
        "kind": "gen",
        "n": first.n,
        "temp": first.temperature,
        "new": first.max_tokens,
        "prompts": prompts,
    }


def run_peer(peer: Peer, dtype: str, asked: Asked, digests: dict[str, str], newest: bool) -> list[Entry]:
    """Its rows; what is kept is not run again. Raises PeerError, after what was measured is kept."""
    kept = asked.out / f"{peer.name}-{dtype}.jsonl"
    left = [name for name, of in digests.items() if of not in {e.digest for e in of_peer(kept)}]
    if left:
        free = psutil.virtual_memory().available
        if free < peer.needs:
            raise PeerError(
                f"{peer.name} needs {peer.needs / 2**30:.0f} GiB of free memory and there are "
                f"{free / 2**30:.1f}; --engines leaves it out"
            )
        install(peer, newest=newest)
        model = peer.model(peer.python, dtype, Path(local_folder(resolve(asked.model))[0]), asked.out)
        with tempfile.TemporaryDirectory() as folder:
            asked.files(Path(folder), left)
            print(f"{peer.name}, {dtype}: {', '.join(left)}", flush=True)
            command = [str(peer.python), str(HERE / peer.runner), str(model), folder, dtype, str(kept)]
            call(command, f"{peer.name}, {dtype}: it ended", variables(peer))
    return [e for e in of_peer(kept) if e.digest in digests.values()]


def run_icl(names: Sequence[str], dtype: str, asked: Asked, digests: dict[str, str]) -> Iterator[Entry]:
    """`icl bench` workload by workload; what is kept is not run again."""
    for workload, of in digests.items():
        kept = asked.out / f"{'+'.join(names)}-{dtype}-{workload}-{of}.json"
        if not kept.is_file():
            with tempfile.TemporaryDirectory() as folder:
                asked.files(Path(folder), [workload])
                print(f"{', '.join(names)}, {dtype}: {workload}", flush=True)
                command = [sys.executable, "-m", "icl", "bench", "--workloads", folder, "--dtype", dtype]
                command += ["--engines", ",".join(names), "--model", asked.model, "--fraction", "1"]
                command += ["--json", str(kept.with_suffix(".part"))]
                command += ["--rounds", str(asked.rounds)] if asked.rounds > 1 else []
                path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
                call(command, f"{workload}, {dtype}: icl bench ended", {**os.environ, "PYTHONPATH": path})
                os.replace(kept.with_suffix(".part"), kept)
        yield from of_icl(kept, of)


def measured(asked: Asked, newest: bool, on_entries: Any) -> list[str]:
    """Runs everything; `on_entries` hears of all rows after each engine. What could not be run, in words."""
    entries: list[Entry] = []
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        asked.files(Path(folder), [w.name for w in asked.workloads])
        digests = {w.name: digest(Path(folder) / f"{w.name}.json") for w in asked.workloads}
    own = tuple(name for name in asked.engines if name in ENGINES)
    for dtype in asked.dtypes:
        for name in ("", *(name for name in asked.engines if name in PEERS)):
            try:
                if name:
                    entries += run_peer(PEERS[name], dtype, asked, digests, newest)
                elif own:
                    entries += run_icl(own, dtype, asked, digests)
            except (PeerError, IclError, OSError, subprocess.SubprocessError) as error:
                failed.append(str(error))
                print(failed[-1], file=sys.stderr, flush=True)
                if name:  # what it measured before it ended
                    kept = of_peer(asked.out / f"{name}-{dtype}.jsonl")
                    entries += [e for e in kept if e.digest in digests.values()]
            on_entries(entries)
    return failed


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--workloads", type=Path, default=os.environ.get("ICL_BENCH"))
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--engines", default=",".join(DEFAULT), help="peers and engines of icl bench")
    parser.add_argument("--dtype", default=",".join(DTYPES), help="with commas between")
    parser.add_argument("--only", default=None, help="workloads, with commas between")
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="of the requests of every workload, for all"
    )
    parser.add_argument("--rounds", type=int, default=1, help="of icl's own engines, by turns")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "peers")
    parser.add_argument("--newest", action="store_true", help="install the peers once more, newest versions")
    parser.add_argument("--anew", action="store_true", help="forget what was measured")
    return parser.parse_args()


def names(text: str, option: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Raises ConfigError for one that is not allowed."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in found:
        if name not in allowed:
            raise ConfigError(f"{option}: {unknown_name('name', name, allowed)}")
    if not found:
        raise ConfigError(f"{option}: no name given")
    return found


def understood(given: argparse.Namespace) -> Asked:
    """Raises ConfigError for what cannot be meant."""
    if not 0 < given.fraction <= 1:
        raise ConfigError(f"--fraction: {given.fraction} is not in (0, 1]")
    only = None if given.only is None else [part.strip() for part in given.only.split(",") if part.strip()]
    return Asked(
        given.model,
        tuple(
            w.subset(given.fraction) for w in read_workloads(given.workloads and Path(given.workloads), only)
        ),
        names(given.engines, "--engines", (*ENGINES, *PEERS)),
        names(given.dtype, "--dtype", DTYPES),
        given.rounds,
        given.out.resolve(),
    )


def main() -> None:
    """Runs, prints the table and keeps it as table.md and table.json; exit code 1 where something failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is started ends too
    given = arguments()
    try:
        asked = understood(given)
    except IclError as error:
        sys.exit(f"icl: error: {error}")
    asked.out.mkdir(parents=True, exist_ok=True)
    if given.anew:
        for path in (*asked.out.glob("*.jsonl"), *asked.out.glob("*.json")):
            path.unlink()
    about = {"device": processor(), "cores": cores(), "load_before": round(os.getloadavg()[0], 2),
             "model": asked.model, "fraction": given.fraction, "rounds": asked.rounds}  # fmt: skip

    def keep(entries: Sequence[Entry]) -> None:
        write_atomically(asked.out / "table.md", markdown(entries, given.fraction))
        write_atomically(asked.out / "table.json", json.dumps(plain(entries, about), indent=1) + "\n")

    failed = measured(asked, given.newest, keep)
    print((asked.out / "table.md").read_text(encoding="utf-8"))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
