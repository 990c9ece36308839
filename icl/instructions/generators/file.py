"""Rows of a file, as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from icl.components import check_flag, check_number
from icl.instructions.contract import Asking, Place, Work, digest_of, row_generators
from icl.instructions.rows import from_values


@row_generators.register("file")
@dataclass(kw_only=True)
class File:
    """Rows that are there already: instruction, output and perhaps input; prompt and completion; or text.

    path: JSONL, JSON, CSV, TSV or Parquet. rows: at most so many, drawn by the seed; 0 is all. plain: every
    row is plain text, learned from its first token on; prompt and completion are joined.
    """

    asks = False
    path: str
    rows: int = 0
    plain: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path.strip():
            raise ValueError(f"path is {self.path!r}; allowed: the name of a file")
        check_number("rows", self.rows, low=0, whole=True)
        check_flag("plain", self.plain)

    def check(self, place: Place) -> None:
        """Whether every row has a known form."""
        for row in place.rows(self.path, "path"):
            from_values(row, self.path)

    def reads(self, place: Place) -> str:
        """See RowGenerator."""
        return digest_of(place, self.path)

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        rows = work.place.rows(self.path, "path")
        if 0 < self.rows < len(rows):
            order = work.generator("rows").permutation(len(rows))[: self.rows]
            rows = [rows[at] for at in sorted(int(i) for i in order)]
        for row in rows:
            made = from_values(row, work.place.path(self.path).name)
            if self.plain and not made.text:
                text = made.instruction + made.input + made.output
                made = replace(made, instruction="", input="", output="", text=text)
            if made.text.strip() or (made.instruction.strip() and made.output.strip()):
                work.keep(made)
            else:
                work.reject("nothing to learn", made.prompt)
        yield from ()
