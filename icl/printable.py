"""Text from files and models made safe to print: nothing in it can steer a terminal or hide.

The one place for this. Messages, tables in every notation, plots and `icl show` all come here.
"""

from __future__ import annotations

import json
import re

STEERING = (
    "\x00-\x1f\x7f-\x9f"  # control characters, among them the escape that begins a terminal's commands
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of what follows
    "\u2028\u2029"  # end a line for some readers and not for others
    "\u00ad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # are not seen at all
    "\ud800-\udfff"  # halves of a pair: no encoding can write them
)
"""Joiners (U+200C, U+200D) are left out: Persian words and many emoji are written with them."""

_STEERING = re.compile(f"[{STEERING}]")
_BREAKS = re.compile(r"\s*[\r\n\v\f\x85\u2028\u2029]+\s*")
LONGEST_MESSAGE = 2000
LONGEST_VALUE = 200


def visible(text: str, keep: str = "\t\n") -> str:
    r"""Characters that steer or hide written as \x1b, \u202e, \U000e0041; those of `keep` stay."""
    return _STEERING.sub(lambda m: m[0] if m[0] in keep else _escaped(ord(m[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_json(document: str) -> str:
    r"""A JSON document that reads back equal and steers no terminal: such characters as \u202e, in pairs
    above \uffff."""
    return _STEERING.sub(lambda m: m[0] if m[0] == "\n" else json.dumps(m[0])[1:-1], document)


def one_line(text: str) -> str:
    """`text` as one line of at most LONGEST_MESSAGE characters and a little; the middle is left out."""
    line = visible(_BREAKS.sub(" ", text.strip()), keep="")
    left_out = len(line) - LONGEST_MESSAGE
    if left_out <= 0:
        return line
    head, tail = line[: LONGEST_MESSAGE * 3 // 4], line[-LONGEST_MESSAGE // 4 :]
    return f"{head} [... {left_out:,} characters ...] {tail}"


def shortened(text: str, most: int = LONGEST_VALUE) -> str:
    """`text`, or its beginning and its length."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"
