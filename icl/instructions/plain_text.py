"""Sentences, words and names in plain text, in English and Chinese, by rules."""

from __future__ import annotations

import re

_CJK = re.compile(r"[\u3400-\u9fff]")
_END = re.compile(
    r"(?:(?<=[.!?])|(?<=[.!?][\"\u201d')]))\s+(?=[\"\u201c'(]?[A-Z0-9])"
    r"|(?<=[\u3002\uff01\uff1f])(?![\u201d\u300d])|(?<=[\u3002\uff01\uff1f][\u201d\u300d])|\n+"
)
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|e\.g|i\.e|etc|[A-Z])\.$")
_NAME = re.compile(r"(?<![.!?\u201c\"]\s)(?<!^)\b[A-Z][a-z]+(?:\s+(?:of\s+)?[A-Z][a-z]+)*\b")
_CHINESE_NAME = re.compile(r"\u300a([^\u300b]{1,30})\u300b|(\d{4}\u5e74)")
_MASKABLE = re.compile(r"\b[a-z]{5,}\b")


def is_chinese(text: str) -> bool:
    """Whether a tenth of its characters are Chinese."""
    return 10 * len(_CJK.findall(text)) >= len(text) > 0


def sentences(text: str) -> list[str]:
    """Split at full stops, question and exclamation marks and line ends; abbreviations are no ends."""
    found: list[str] = []
    for part in _END.split(text):
        piece = part.strip()
        if not piece:
            continue
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return found


def names(sentence: str) -> list[str]:
    """What may be a name: capitals within a sentence; titles in \u300a\u300b and years in Chinese."""
    if is_chinese(sentence):
        return [title or year for title, year in _CHINESE_NAME.findall(sentence)]
    return list(dict.fromkeys(_NAME.findall(sentence)))


def maskable(sentence: str, text: str) -> list[str]:
    """Words that a gap may stand for: of five letters or more, once in the sentence. In Chinese pairs of
    characters that the text has elsewhere too, which are words most often."""
    if is_chinese(sentence):
        pairs = [sentence[at : at + 2] for at in range(len(sentence) - 1)]
        return [
            pair
            for pair in dict.fromkeys(pairs)
            if len(_CJK.findall(pair)) == 2 and sentence.count(pair) == 1 and text.count(pair) > 1
        ]
    return [word for word in dict.fromkeys(_MASKABLE.findall(sentence)) if sentence.count(word) == 1]
