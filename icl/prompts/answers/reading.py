"""What every answer format shares: candidates, and the policies that pick one of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Where = Literal["first", "last", "trigger"]
"""first: the first match. last: the last match. trigger: the first match after the last trigger
("The answer is", "####", ...), or, without a trigger, the last match; of an output that was cut, not
what the end broke into."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What was read out of a model's output."""

    answer: str | None
    """In the task's canonical form; None: nothing could be read."""
    span: Span | None = None
    """Where it stands in the output (characters, end exclusive)."""
    flags: tuple[str, ...] = ()
    """run_on: the output went on to another question and was cut there. no_trigger: none of the
    trigger phrases occurs. empty_trigger: nothing can be read after the last trigger. unfinished: the
    token limit broke into the last trigger's sentence. unparsed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible answer in the text. A lower tier is more surely meant as an answer."""

    start: int
    end: int
    value: str
    tier: int = 0


NEVER_DIRECT = 3
"""From this tier on a candidate is not taken for the answer merely because it stands first."""

_FILLER = re.compile(r"[\s:：=*_`\"'“”‘’«»「」《》($\\{\[<（【¥￥€£~≈,，-]*", re.UNICODE)
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s|$)|[。！？；]")


def sentence_end(text: str, start: int) -> int:
    """End of the sentence or line in which `start` lies; leading white space is skipped."""
    begin = start + len(text[start:]) - len(text[start:].lstrip())
    hit = _SENTENCE_END.search(text, begin)
    return hit.start() if hit else len(text)


def directly_after(text: str, start: int, candidate: Candidate) -> bool:
    """Whether only white space, quotes, currency signs and the like stand between."""
    filler = _FILLER.match(text, start)
    return filler is not None and start <= candidate.start <= filler.end()


def first_of(candidates: Sequence[Candidate], text: str, start: int, end: int) -> Candidate | None:
    """What a reader takes for the answer when it should come at `start`.

    What stands directly there wins, however weak (in "The answer is one of 5", the caller's tiers
    decide what is weak); else the first of the strongest tier within the sentence, else within
    text[start:end].
    """
    inside = [c for c in candidates if start <= c.start < end]
    direct = [c for c in inside if c.tier < NEVER_DIRECT and directly_after(text, start, c)]
    if direct:
        return min(direct, key=lambda c: (c.start, c.tier, -c.end))
    stop = min(sentence_end(text, start), end)
    near = [c for c in inside if c.start < stop and c.tier < NEVER_DIRECT]
    return min(near or inside, key=lambda c: (c.tier, c.start, -c.end), default=None)


def last_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The last of the strongest tier; of those that start together the longest."""
    return min(candidates, key=lambda c: (c.tier, -c.start, -c.end), default=None)


_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if chr(code) not in "，：；！？"}
_WIDTH |= {0x3000: " ", 0x00A0: " ", 0x202F: " ", 0x2009: " ", 0x2212: "-", 0x2010: "-", 0x2011: "-"}
_WIDTH |= {0xFE63: "-", 0xFE62: "+", 0xFE6A: "%"}


def narrow(text: str) -> str:
    """Full-width and foreign digits, signs and letters as ASCII, one character for one.

    Positions stay the same, so a span in the result is a span in `text`.
    """
    if text.isascii():
        return text
    text = re.sub(r"(?<=[０-９])，(?=[０-９]{3}(?![０-９]))", ",", text).translate(_WIDTH)
    return "".join(_ascii_digit(c) for c in text)


def _ascii_digit(character: str) -> str:
    if character.isascii() or not character.isdecimal():
        return character
    return str(unicodedata.decimal(character))


_CJK = r"\u3400-\u9fff"


def word_pattern(words: str) -> str:
    """A regular expression for `words` as words of their own, any white space between them.

    Chinese is written without spaces, so only letters and digits of other scripts bound a word.
    """
    body = r"\s+".join(re.escape(part) for part in words.split())
    if not body:
        return r"(?!)"
    edge = rf"[^\W_{_CJK}]"
    before = rf"(?<!{edge})" if re.match(edge, words.strip()) else ""
    after = rf"(?!{edge})" if re.search(rf"{edge}$", words.strip()) else ""
    return before + body + after
