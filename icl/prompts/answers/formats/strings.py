"""String answers: words, names, concatenated letters, sorted lists, short free text."""

from __future__ import annotations

import re

from icl.prompts.answers.formats.brackets import PAIRS, balanced, brace_end, closing
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import Span
from icl.prompts.answers.wording.languages import endings
from icl.prompts.answers.wording.triggers import trigger_ends

_ANNOUNCED = lazy(
    r"\b(?:them|letters|words?|list|string|order|result|together|concatenation|concatenated|sorted|alphabetically)\b"
    r"[^.\n\"]{0,40}?(?:\b(?:is|are|gives?(?:\s+us)?|makes|forms|yields|equals|we\s+get|becomes)\b\s*:?|:|=)\s*",
    re.IGNORECASE,
)
"""What announces a string in a sentence without "the answer": "Concatenating them is ..."."""

_ITEM = r"[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+\S[^\n]*"
_LIST = lazy(rf"{_ITEM}(?:\n+{_ITEM})+")
"""Two or more lines of a bulleted or numbered list."""

_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "「": "」", "`": "`"}
_QUOTED = lazy(r"\"([^\"\n]{1,200})\"|“([^”\n]{1,200})”|「([^」\n]{1,200})」|`([^`\n]{1,200})`")
_AFTER_QUOTE = lazy(r"\s*(?:[.,;。，；!?]|because\b|since\b|as\b|which\b|$)", re.IGNORECASE)
_CLAUSE = lazy(
    r"[^\n\"“”「」`.!?:]{3,120}?(?:\b(?:is|are|would\s+be)\b:?|:|[是为])\s*"
    r"(?P<said>\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|「[^」\n]{1,200}」|`[^`\n]{1,200}`)\s*(?:[.!。]|$|\n)"
)
"""A sentence that says something in quotes, and nothing behind it."""
_SENTENCE = lazy(
    r"(?<!\b[A-Z])(?<!\b(?:St|Mr|Dr|Ms|Jr|Sr|Mt|Ft|No|vs))(?<!\bMrs)(?<!\b[A-Z]\.[A-Z])[.!?](?=\s+[A-Z\"“(])|[。！？]"
)
"""The end of a sentence, and not of an initial ("J. K. Rowling") or an abbreviation ("St. Louis")."""
_LATEX = lazy(r"\\(?:text|mathrm|mathbf|textbf)\s*\{")
_LOOSE = " \t\n\r*_$"
_CLOSING = _LOOSE + "\\.,;:!?。，；：！？"
_CODE = set("()[]{}<>")
_FENCE = lazy(r"\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_TAG_END = lazy(r"</(?:final_)?answer>|<\|end_of_box\|>")


def string_after(text: str, start: int, language: str = "en") -> Span | None:
    """The answer that begins at `start`: a quoted text, a fenced program, what brackets or LaTeX braces
    hold, or the rest of the sentence or line."""
    if re.search(r"\\(?:boxed|fbox)\s*\{$", text[max(0, start - 12) : start]):
        close = brace_end(text, start)
        if close is not None:
            return tidy(text, start, close, language)
    if fenced := _FENCE.match(text, start):
        return tidy(text, *fenced.span(1), language)
    begin = start + len(text[start:]) - len(text[start:].lstrip(_LOOSE + ":："))
    if listed := _LIST.match(text, text.rfind("\n", start, begin) + 1 or start):
        return listed.end() - len(listed[0].lstrip()), listed.end()
    tag = _TAG_END.search(text, begin)
    line_end = text.find("\n", begin)
    end = min(len(text) if line_end < 0 else line_end, tag.start() if tag else len(text))
    quoted = _QUOTED.match(text, begin, end)
    if quoted and _AFTER_QUOTE.match(text, quoted.end()):
        return tidy(text, *quoted.span(), language)
    sentence = _SENTENCE.search(text, _program_end(text, begin, end), end)
    return tidy(text, begin, sentence.start() if sentence else end, language)


def _program_end(text: str, begin: int, end: int) -> int:
    """Behind the brackets that open the answer, so that "?" inside a program ends no sentence; else
    `begin`."""
    if text[begin : begin + 1] in PAIRS and (close := closing(text, begin, end)) is not None:
        return close + 1
    return begin


def first_string(text: str, language: str = "en") -> Span | None:
    """The first line that holds anything, without the phrase that announces it."""
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start)
    announced = [at for at in trigger_ends(text, language) if end < 0 or at <= end]
    first = string_after(text, announced[0], language) if announced else _said_in_quotes(text, start)
    return first or string_after(text, 0, language)


def _said_in_quotes(text: str, start: int) -> Span | None:
    """What the first sentence ends in, where that is quoted: "The missing part is `)`."."""
    hit = _CLAUSE.match(text, start)
    return tidy(text, *hit.span("said")) if hit else None


def last_string(text: str, language: str = "en") -> Span | None:
    """The last announced string ("Concatenating them is ..."), the last quoted one, or the last line."""
    body = text.rstrip()
    if body[:1] in PAIRS and "\n" not in body and closing(body, 0) == len(body) - 1:
        return tidy(text, 0, len(body), language)
    for hit in reversed(list(_ANNOUNCED.finditer(text))):
        if span := string_after(text, hit.end(), language):
            return span
    fences = list(_FENCE.finditer(text))
    if fences and (span := tidy(text, *fences[-1].span(1), language)):
        return span
    last = body.rfind("\n") + 1
    if set(body[last:]) & _CODE and balanced(body[last:]) and body[last : last + 1] in PAIRS:
        return string_after(body, last, language)
    for hit in reversed(list(_QUOTED.finditer(text))):
        if span := tidy(text, *hit.span(), language):
            return span
    return string_after(body, last, language) if body else None


def flatten(text: str) -> str:
    """A text on one line; of a list the items, each without its mark and quotes."""
    if not _LIST.fullmatch(text):
        return " ".join(text.split())
    items = [re.sub(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+", "", line) for line in text.split("\n")]
    spans = [(item, tidy(item, 0, len(item))) for item in items]
    return " ".join(" ".join(item[slice(*span)].split()) for item, span in spans if span)


def tidy(text: str, start: int, end: int, language: str = "en") -> Span | None:
    """The span without the quotes, Markdown, LaTeX wrapping and closing punctuation around it.

    Brackets stay: "(f x)" and "}" are answers; only those that the end of a wrapping left over go.
    """
    while True:
        before = (start, end)
        while start < end and (text[start] in _LOOSE or text[start].isspace()):
            start += 1
        if text.startswith("\\", start, end) and not text[start + 1 : start + 2].isalpha():
            start += 1
        while start < end and (text[end - 1] in _CLOSING or text[end - 1].isspace()):
            end -= 1
        if end - start >= 2:
            first, last = text[start], text[end - 1]
            inner = text[start + 1 : end - 1]
            if _QUOTES.get(first) == last and first not in inner and last not in inner:
                start, end = start + 1, end - 1
        if latex := _LATEX.match(text, start, end):
            close = brace_end(text, latex.end())
            start, end = latex.end(), min(close, end) if close is not None else end
        own = endings(language)
        if own and (said := re.search(rf"{own}$", text[start:end])) and said.start() > 0:
            end = start + said.start()
        if start >= end:
            return None
        if (start, end) == before:
            return start, end
