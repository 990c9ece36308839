"""Predictions of one experiment on several engines, side by side; and a GGUF file without its quantisation.

    python benchmarks/servers.py FIRST OTHER...        # run folders: every row of OTHER beside FIRST's
    python benchmarks/servers.py --float32 IN OUT      # the weights of IN as fp32, for llama.cpp

`benchmarks/servers.md` has the commands before it and what came out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np

import icl
from icl.types import Prediction


def asked(folder: str) -> dict[tuple[str, str], Prediction]:
    """(row, query) -> what the model was asked for, by a run folder."""
    return {
        (f"{r.cell.selector} {r.cell.shots} {r.cell.seed}", p.query_id): p
        for r in icl.Run(folder).results
        for p in r.predictions
        if p.label_scores
    }


def compare(first: dict[tuple[str, str], Prediction], folder: str) -> None:
    """Prints one line of the table, and one for each label that differs."""
    other = asked(folder)
    assert set(first) == set(other), f"{folder} has other rows than the first run"
    moved, same, prompts, lines = [], 0, 0, []
    for key, ours in first.items():
        theirs = other[key]
        prompts += ours.demonstrations == theirs.demonstrations
        shift = {label: theirs.label_scores[label] - score for label, score in ours.label_scores.items()}
        # what all labels move by decides nothing
        spread = max(shift.values()) - min(shift.values())
        moved.append(max(map(abs, shift.values())))
        best, second = sorted(ours.label_scores.values())[-1:-3:-1]
        same += ours.answer == theirs.answer
        if ours.answer != theirs.answer:
            lines.append(
                f"  {' '.join(key)}: {ours.answer} -> {theirs.answer}; best two {best - second:.3f} apart, "
                f"labels moved by {spread:.3f} against one another"
            )
    ordered = np.sort(moved)
    print(
        f"| {Path(folder).name} | {same}/{len(first)} = {100 * same / len(first):.1f} % | {prompts} | "
        f"{np.median(ordered):.2g} | {ordered[int(0.95 * len(ordered))]:.2g} | {ordered[-1]:.2g} |"
    )
    print("\n".join(lines))


def to_float32(source: Path, target: Path) -> None:
    """The same file with every tensor in fp32."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, arch=reader.fields["general.architecture"].contents())
    left_out = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version")
    for field in reader.fields.values():
        if not field.name.startswith(left_out):
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(
            tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Prints the table, or writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="PATH")
    parser.add_argument("--float32", action="store_true", help="write the second file from the first")
    asked_for = parser.parse_args()
    if asked_for.float32:
        to_float32(*map(Path, asked_for.paths))
        return
    first = asked(asked_for.paths[0])
    print("| run | same label | same demonstrations | moved, median | 95 % | most |\n" + "|---" * 6 + "|")
    for folder in asked_for.paths[1:]:
        compare(first, folder)


if __name__ == "__main__":
    main()
