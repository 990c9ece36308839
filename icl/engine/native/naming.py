"""Which file is the library of kernels, and why there is none: by names alone, without torch.

Read by setup.py, which cannot import icl, and by commands that load no torch; so it stands alone.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = FOLDER / "src"
REASON = "not_built.txt"
"""What setup.py leaves behind where it could not build them."""
AGAIN = "pip install --no-build-isolation -e . builds them"


def library_name(torch_version: str) -> str:
    """The file's name for this torch and the sources that are here: another of either needs another build."""
    return f"kernels-{sources_digest()}-torch-{torch_version}.so"


def sources_digest() -> str:
    """Of names and contents of the C++ files."""
    found = hashlib.blake2b(digest_size=6)
    for path in sorted(SOURCES.glob("*.[ch]*")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def locate(setting: str, torch_version: str) -> tuple[Path, str]:
    """(the library, why there is none or "") by ICL_NATIVE: "0" none, a folder, or "" and "1" this one."""
    folder = FOLDER if setting in ("", "0", "1") else Path(setting)
    path = folder / library_name(torch_version)
    if setting == "0":
        return path, "ICL_NATIVE=0"
    return path, "" if path.is_file() else _missing(folder, torch_version)


def _missing(folder: Path, torch_version: str) -> str:
    """Why a folder has no library for this torch and these sources."""
    others = sorted(path.name for path in folder.glob("kernels-*.so"))
    if any(other.endswith(f"-torch-{torch_version}.so") for other in others):
        return f"they were built from other sources than those here; {AGAIN}"
    if others:
        built = others[0].removesuffix(".so").partition("-torch-")[2]
        return f"they were built for torch {built}, and this is torch {torch_version}; {AGAIN}"
    try:
        return f"{(folder / REASON).read_text(encoding='utf-8').strip()}; {AGAIN}"
    except OSError:
        return f"there are none in {folder}: they were not built when icl was installed; {AGAIN}"
