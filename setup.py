"""Builds the native kernels (icl/engine/native/src) where torch and a C++ compiler are at hand.

Metadata is in pyproject.toml. Nothing here ever fails an installation: what kept the kernels from being
built is said, and written down for `icl doctor`.

    python setup.py build_ext --inplace    # what `make native` runs
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
PACKAGE = "icl.engine.native"
FOLDER = HERE / "icl" / "engine" / "native"
SOURCES = FOLDER / "src"
REASON = "not_built.txt"
COMMON = ("-std=c++20", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wno-unknown-pragmas", "-DNDEBUG")
AVX512 = "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mf16c"
VARIANTS = {
    "DEFAULT": ("-DCPU_CAPABILITY=DEFAULT", "-DCPU_CAPABILITY_DEFAULT"),
    "AVX2": ("-DCPU_CAPABILITY=AVX2", "-DCPU_CAPABILITY_AVX2", "-mavx2", "-mfma", "-mf16c"),
    "AVX512": ("-DCPU_CAPABILITY=AVX512", "-DCPU_CAPABILITY_AVX512", *AVX512.split()),
}
"""Flags of the instruction sets that a kernel file is compiled for on x86-64; elsewhere the first only."""
SANITIZE = (
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


def compiler() -> list[str] | None:
    """The C++ compiler: CXX, else the first of c++, g++ and clang++ on the PATH; None without one."""
    named = os.environ.get("CXX", "").split()
    if named:
        return named if shutil.which(named[0]) else None
    found = next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), None)
    return None if found is None else [found]


def obstacle() -> str:
    """Why no kernels can be built here; "" if nothing is known against it."""
    if os.environ.get("ICL_NATIVE") == "0":
        return "ICL_NATIVE=0 when icl was installed"
    if sys.platform == "win32":
        return "they are not built on Windows"
    if compiler() is None:
        return "no C++ compiler was found (c++, g++ or clang++ on the PATH, or CXX) when icl was installed"
    try:
        import torch  # noqa: F401
    except Exception as error:
        return f"torch could not be imported when icl was installed ({type(error).__name__}: {error})"
    return ""


class BuildKernels(build_ext):
    """Compiles and links the kernels, the variants of each side by side."""

    def finalize_options(self) -> None:
        """In an editable installation the library lies beside its sources."""
        super().finalize_options()
        self.inplace = self.inplace or self.editable_mode

    def get_ext_filename(self, fullname: str) -> str:
        """The name holds the torch and the sources it was built with (icl.engine.native.library)."""
        return str(Path(*fullname.split(".")[:-1], library_name()))

    def build_extension(self, ext: Extension) -> None:
        """The library, or the reason why there is none."""
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = FOLDER if self.inplace or self.editable_mode else target.parent
        reason = obstacle() or self._built(target)
        if reason:
            print(
                f"icl: native kernels are not built, the Python path runs instead: {reason}", file=sys.stderr
            )
            (beside / REASON).write_text(reason + "\n", encoding="utf-8")
            return
        print(f"icl: native kernels built with {' '.join(compiler() or [])}", file=sys.stderr)
        (beside / REASON).unlink(missing_ok=True)

    def copy_extensions_to_source(self) -> None:
        """Puts the library beside its sources, in place of older ones."""
        for ext in self.extensions:
            built = Path(self.build_lib, self.get_ext_filename(ext.name))
            if built.is_file():
                for old in FOLDER.glob("kernels-*.so"):
                    old.unlink()
                shutil.copy2(built, FOLDER / built.name)

    def _built(self, target: Path) -> str:
        """Builds it; why that failed, "" if it did not."""
        try:
            build(target, Path(self.build_temp) / "kernels", sanitize=bool(os.environ.get("ICL_SANITIZE")))
        except subprocess.CalledProcessError as error:
            said = (error.stderr or "").strip().splitlines() or [str(error.returncode)]
            return f"{error.cmd[0]} failed: {next((line for line in said if 'error' in line), said[0])}"
        except Exception as error:
            traceback.print_exc()
            return f"{type(error).__name__}: {error}"
        return ""


def library_name() -> str:
    """What icl.engine.native looks for, in its own words; icl itself cannot be imported here."""
    spec = importlib.util.spec_from_file_location("naming", FOLDER / "naming.py")
    assert spec is not None
    assert spec.loader is not None
    naming = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(naming)
    try:
        from torch.version import __version__ as version
    except Exception:
        version = "none"
    return str(naming.library_name(version))


def build(target: Path, folder: Path, sanitize: bool = False) -> None:
    """Compiles src/*.cpp into `folder`, what is not there yet, and links `target`.

    CalledProcessError where the compiler fails.
    """
    from torch.utils.cpp_extension import include_paths, library_paths

    command = compiler() or ["c++"]
    flags = [*COMMON, *(SANITIZE if sanitize else ("-O3",)), *(f"-isystem{path}" for path in include_paths())]
    wide = platform.machine() in ("x86_64", "AMD64")
    if wide:
        flags.append("-DICL_VARIANTS")
    openmp = _openmp(command)
    flags += openmp[:1]
    jobs = []
    for source in sorted(SOURCES.glob("*.cpp")):
        kernel = source.name.endswith(".kernel.cpp")
        for name in (list(VARIANTS) if wide else ["DEFAULT"]) if kernel else [""]:
            given = [*flags, *VARIANTS.get(name, ())]
            obj = folder / f"{source.stem}.{name}.{_digest(source, [*command, *given])}.o"
            jobs.append((source, obj, given))
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda job: _compile(command, *job), jobs))
    # plain objects first: of what several define, the linker keeps the one that every processor can run
    objects = sorted((str(obj) for _, obj, _ in jobs), key=lambda name: ("AVX" in name, name))
    libraries = [f"-L{path}" for path in library_paths()]  # no rpath: torch is there when this is loaded
    shared = ["-dynamiclib", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    extra = ["-fsanitize=address,undefined"] if sanitize else []
    linked = [*command, *shared, *extra, *openmp[1:], *objects, *libraries, "-lc10", "-ltorch_cpu", "-ltorch"]
    _run([*linked, "-o", str(target)])


def _compile(command: Sequence[str], source: Path, obj: Path, flags: Sequence[str]) -> None:
    if not obj.exists():
        part = obj.with_suffix(f".{os.getpid()}")
        _run([*command, *flags, "-c", str(source), "-o", str(part)])
        part.replace(obj)


def _digest(source: Path, command: Sequence[str]) -> str:
    """Of a source, of what it includes of its folder, and of how it is compiled."""
    found, waiting = hashlib.blake2b(" ".join(command).encode(), digest_size=6), [source]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in seen and path.exists():
            seen.add(path)
            text = path.read_text(encoding="utf-8")
            found.update(text.encode())
            waiting += [SOURCES / name for name in re.findall(r'#include "([^"]+)"', text)]
    return found.hexdigest()


def _openmp(command: Sequence[str]) -> list[str]:
    """Flags of OpenMP for compiling, then for linking; none where the compiler has none and one thread works.

    GCC's runtime is torch's own, and is not linked: a second one would bring threads of its own.
    """
    tried = [*command, "-fopenmp", "-x", "c++", "-fsyntax-only", "-"]
    if subprocess.run(tried, input="#include <omp.h>\n", capture_output=True, text=True).returncode:
        return []
    said = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    return ["-fopenmp", "-fopenmp"] if "clang" in said else ["-fopenmp"]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()


def extensions() -> list[Extension]:
    """The one library, of all C++ files; optional, so that nothing asks for it where it was not built."""
    sources = sorted(str(path.relative_to(HERE)) for path in SOURCES.glob("*.cpp"))
    return [Extension(f"{PACKAGE}.kernels", sources, optional=True)]


if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildKernels})
