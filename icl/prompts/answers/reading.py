"""What every answer format shares: candidates, and the policies that pick one of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from icl.prompts.answers.patterns import lazy

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
    """What makes the reading unsure, or says why there is none.

    run_on: the output went on to another question and was cut there. no_trigger: none of the
    trigger phrases occurs. empty_trigger: nothing can be read after the last trigger. unfinished: the
    token limit broke into the last trigger's sentence. calculated: a calculation was announced without its
    result. ambiguous: several answers stand there as equals. off_list: the model chose what was not on
    offer. thinking: the output ends inside a thinking block. slow_pattern: the task's own pattern took too
    long. Without an answer either abstained (the model says that it does not know) or unparsed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible answer in the text. A lower tier is more surely meant as an answer."""

    start: int
    end: int
    value: str
    """UNREADABLE: something stands there that no one can take for one answer ("3,5" in English)."""
    tier: int = 0


UNREADABLE = ""
NEVER_DIRECT = 3
"""From this tier on a candidate is not taken for the answer merely because it stands first."""

_FILLER = lazy(
    r"(?:[\s:：=*_`\"'“”‘’«»「」《》($\\{\[<（【¥￥€£~≈,，-]|\\(?:text|math|bold|left)[a-z]*|\b[A-Za-z]\s?=)*",
    re.UNICODE,
)
SENTENCE_END = lazy(r"\n|[.!?](?=\s|$)|[。！？；]|</(?:final_)?answer>|<\|end_of_box\|>")


_SPACE = lazy(r"\s*")


def sentence_end(text: str, start: int) -> int:
    """End of the sentence or line in which `start` lies; leading white space is skipped."""
    hit = SENTENCE_END.search(text, _SPACE.match(text, start).end())  # type: ignore[union-attr]
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
_WIDTH |= {0xFE63: "-", 0xFE62: "+", 0xFE6A: "%", 0x066B: ".", 0x066C: ","}


_GROUPING_SPACE = lazy(r"(?<=\d)[\u00a0\u2007\u2009\u202f](?=\d{3}(?!\d))")


def narrow(text: str) -> str:
    """Full-width and foreign digits, signs and letters as ASCII, one character for one.

    Positions stay the same, so a span in the result is a span in `text`.
    """
    if text.isascii():
        return text
    text = re.sub(r"(?<=[０-９])，(?=[０-９]{3}(?![０-９]))", ",", text)
    text = _GROUPING_SPACE.sub("_", text).translate(_WIDTH)
    return "".join(_ascii_digit(c) for c in text)


def _ascii_digit(character: str) -> str:
    if character.isascii() or not character.isdecimal():
        return character
    return str(unicodedata.decimal(character))


_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_SEAM = lazy(r"(\s+|(?<=[^\W\d_])[-_]+(?=[^\W\d_]))")
_OPPOSITES = frozenset({"non", "not", "no", "un", "in", "anti"})


EDGE = rf"[^\W_{_CJK}]"
"""A letter or digit that would make a word longer. Chinese, Japanese and Korean put no spaces where a word
ends."""


def word_body(words: str) -> str:
    """A regular expression for `words`; spaces, hyphens and underscores stand for one another, and behind
    "non" and "not" for nothing ("nontoxic")."""
    parts = _SEAM.split(words.strip())
    loose = r"[\s_-]*" if parts[0].lower() in _OPPOSITES else r"[\s_-]+"
    return "".join(
        re.escape(part) if i % 2 == 0 else (loose if i == 1 else r"[\s_-]+") for i, part in enumerate(parts)
    )


@lru_cache(maxsize=4096)
def word_pattern(words: str) -> str:
    """The same for `words` as words of their own."""
    plain = words.strip()
    if not plain:
        return r"(?!)"
    before = rf"(?<!{EDGE})" if re.match(EDGE, plain) else ""
    after = rf"(?!{EDGE})" if re.search(rf"{EDGE}$", plain) else ""
    return before + word_body(plain) + after
