"""Words that say of the last number of a text that it is the result: "kosten zusammen 12", "12 in total"."""

from __future__ import annotations

import re
from functools import lru_cache

from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.wording.languages import base

_BEFORE = {
    "en": r"\b(?:is|are|costs?|pays?\s+a\s+total\s+of)",
    "de": r"\b(?:ist|sind|ergibt|ergeben|beträgt|betragen|macht|machen|gleich|bleibt|bleiben|kostet|kosten)"
    r"(?:\s+(?:noch|also|somit|dann))?(?:\s+(?:insgesamt|zusammen))?|\b(?:insgesamt|zusammen)",
    "fr": r"\b(?:est|sont|font|fait|donne|donnent|égale?|soit|coûte|coûtent|reste|restent)"
    r"(?:\s+donc)?(?:\s+(?:à|de))?|\b(?:en\s+tout|au\s+total)",
    "es": r"\b(?:es|son|da|dan|igual|cuesta|cuestan|queda|quedan|falta|faltan)(?:\s+(?:a|de))?|\ben\s+total",
    "ru": r"\b(?:равн[аоы]|равен|составля\w+|получ\w+|стоит|стоят|будет|остал\w+|итого|всего)(?:\s*[-—–:])?",
    "ja": r"(?:は|合計(?:で)?|全部で|合わせて)、?",
    "zh": r"(?:一?共有?|总共有?|还?剩下?|等于|得到?|[是为])",
}
"""Directly before it, by language."""
_BEHIND = r"(?:in\s+(?:total|all)|altogether|insgesamt|zusammen|en\s+tout|au\s+total|en\s+total|всего)\b"
_OPENS = r"\s*(?:exactly|only|just|genau|exactement|exactamente|ровно)?\s*(?:\\?[(\[]|[$€£*])*\s*$"


@lru_cache(maxsize=16)
def _before(language: str) -> re.Pattern[str]:
    return re.compile(f"(?:{_BEFORE.get(language, _BEFORE['en'])}){_OPENS}", re.IGNORECASE)


_TOTAL = lazy(rf"(?:\s*\\?[)\]])?(?:\s+[^\W\d_]+){{0,3}}?\s+{_BEHIND}", re.IGNORECASE)


def told(text: str, start: int, end: int, language: str, begin: int) -> bool:
    """Whether the words around text[start:end], from `begin` on, say that it is the result."""
    before = _before(base(language)).search(text, max(begin, start - 40), start)
    return before is not None or _TOTAL.match(text, end) is not None
