"""Writes a model as a plain folder of safetensors that other engines read.

python benchmarks/peers/export_model.py smollm2-135m-instruct OUT
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from icl.engine.loading.files import local_folder
from icl.engine.loading.sources import resolve


def main() -> None:
    name, out = sys.argv[1], Path(sys.argv[2])
    folder, _ = local_folder(resolve(name))
    shutil.copytree(folder, out, dirs_exist_ok=True)
    print(out)


if __name__ == "__main__":
    main()
