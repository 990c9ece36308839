"""Outputs that open with a refusal: "As an AI, I am unable to ...". Numbers and names in what follows answer
nothing."""

from __future__ import annotations

import re

from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import sentence_end

_OPENS = lazy(
    r"\W*(?:as\s+an?\s+(?:AI|artificial|(?:large\s+)?language)|(?:I['’]m|I\s+am)\s+(?:really\s+|very\s+)?sorry|sorry|"
    r"I\s+apologi[sz]e|unfortunately|很?抱歉|对不起|作为\S{0,4}(?:AI|人工智能|语言模型)|als\s+(?:eine?\s+)?KI|"
    r"es\s+tut\s+mir\s+leid|leider|(?:je\s+suis\s+)?désolée?|en\s+tant\s+qu|lo\s+siento|como\s+(?:una?\s+)?(?:modelo|IA|asistente)|"
    r"申し訳|すみません|к\s+сожалению|извините|как\s+(?:ИИ|языковая))",
    re.IGNORECASE,
)
_CANNOT = lazy(
    r"\b(?:can\s?not|can['’]t|unable|not\s+able|do(?:\s+not|n['’]t)\s+(?:have|know))\b|无法|不能|没有|不知道|"
    r"\bkann\b.*\bnicht\b|\bkein\w*\b|\bne\s+(?:peux|dispose|connais)\b|\bn['’]ai\s+pas\b|\bno\s+(?:puedo|tengo|sé)\b|"
    r"できません|ません|\bне\s+(?:могу|знаю|имею)\b|\bнет\s+доступа\b",
    re.IGNORECASE,
)
_TURNS = lazy(
    r"\b(?:but|however|still|nevertheless|assuming|guess|estimate|aber|dennoch|mais|cependant|pero|sin\s+embargo|однако|но)\b|"
    r"但|不过|しかし|ただし",
    re.IGNORECASE,
)


def refused(text: str, answer: int) -> bool:
    """Whether `text` opens by saying that it cannot, and does not turn before what stands at `answer`."""
    if not _OPENS.match(text):
        return False
    end = sentence_end(text, 0)
    return _CANNOT.search(text, 0, end) is not None and _TURNS.search(text, end, max(end, answer)) is None
