"""What becomes of an instruction that a model came up with: the published filters, for Chinese too."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

from icl.tasks.duplicates import words

SELF_INSTRUCT = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw",
    "plot", "go to",
)  # fmt: skip
"""Wang et al. 2023: what a language model cannot do."""
ALPACA = (*SELF_INSTRUCT, "video", "audio", "music", "flowchart", "diagram")
"""Taori et al. 2023."""
CHINESE = (
    "图片",
    "图像",
    "照片",
    "图表",
    "图形",
    "文件",
    "地图",
    "绘制",
    "画一",
    "视频",
    "音频",
    "音乐",
    "流程图",
)
"""The same in Chinese, found anywhere."""
LONGEST = 150
SHORTEST = 4
"""Words: three are too few, 150 are not too many."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def length(instruction: str) -> int:
    """Words between white space, as published; in a text with CJK characters each of them is one."""
    return len(words(instruction)) if _CJK.search(instruction) else len(instruction.split())


def tidied(instruction: str) -> str:
    """White space made single, the first letter large.

    The published code calls `capitalize`, which also makes all other letters small, names too.
    """
    text = " ".join(instruction.split())
    return text[:1].upper() + text[1:]


def wrong_with(instruction: str, blacklist: Sequence[str], *, ascii_only: bool) -> str | None:
    """The rule by which it is left out; None where it is kept."""
    if not instruction:
        return "empty"
    size = length(instruction)
    if size < SHORTEST:
        return f"fewer than {SHORTEST} words"
    if size > LONGEST:
        return f"more than {LONGEST} words"
    for word in blacklist:
        pattern = re.escape(word) if _CJK.search(word) else rf"\b{re.escape(word)}\b"
        if re.search(pattern, instruction, flags=re.IGNORECASE):
            return "asks for what a language model cannot do"
    if instruction.startswith("Write a program"):
        return "begins with Write a program"
    first = instruction[0]
    if first in string.punctuation or unicodedata.category(first).startswith("P"):
        return "begins with punctuation"
    if ascii_only and not first.isascii():
        return "begins with no ASCII character"
    return None
