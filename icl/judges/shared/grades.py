"""What the grades of SimpleQA are called, how they are put to a model, and how a written grade is read.

The instructions and the worked examples are icl's own, in English and Chinese; the three grades and the rule
on numbers are the published ones.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

CORRECT, INCORRECT, NOT_ATTEMPTED = "correct", "incorrect", "not_attempted"
LETTERS = {CORRECT: "A", INCORRECT: "B", NOT_ATTEMPTED: "C"}
GRADES = {letter: label for label, letter in LETTERS.items()}


@dataclass(frozen=True, slots=True)
class Wording:
    """The instructions, the names of the fields, and worked examples."""

    instruction: str
    question: str
    reference: str
    given: str
    grade: str
    several: str
    """Between two right answers."""
    examples: tuple[tuple[str, str, str, str], ...]
    """Question, reference, given answer, letter."""

    def asked(self, question: str, golds: tuple[str, ...], answer: str) -> str:
        """Up to where the grade begins."""
        lines = [
            f"{self.question}{question}",
            f"{self.reference}{self.several.join(golds)}",
            f"{self.given}{answer}",
            self.grade,
        ]
        return "\n".join(lines)

    def text(self, question: str, golds: tuple[str, ...], answer: str) -> str:
        """The whole question: instructions and worked examples first, which all questions share."""
        space = "" if self.grade.endswith("：") else " "
        shown = [f"{self.asked(q, (ref,), given)}{space}{letter}" for q, ref, given, letter in self.examples]
        return "\n\n".join([self.instruction, *shown, self.asked(question, golds, answer)])


_ENGLISH = Wording(
    "You grade answers to short factual questions. Each given answer is held against a reference, and gets "
    "one letter.\n"
    "A: correct. It says what the reference says, and nothing in it contradicts the reference. Wording, "
    "spelling, language, order and extra details are of no account.\n"
    "B: incorrect. Something in it contradicts the reference, also where it sounds unsure.\n"
    "C: not attempted. It does not say what the reference says, and contradicts nothing: it declines, stays "
    "vague, or leaves several possibilities open.\n"
    "A number must be right to its own last digit: the reference may be more exact. A rounded guess (about, "
    "roughly) that could be right is C.",
    "Question: ",
    "Reference: ",
    "Given answer: ",
    "Grade:",
    " / ",
    (
        ("Which river flows through Seville?", "Guadalquivir", "Seville lies on the guadalquivir.", "A"),
        ("Which river flows through Seville?", "Guadalquivir", "I think that is the Tagus.", "B"),
        ("Which river flows through Seville?", "Guadalquivir", "I would have to look at a map.", "C"),
        ("How long is the Vltava, in kilometres?", "430.3", "It is 430 km long.", "A"),
        ("How long is the Vltava, in kilometres?", "430.3", "roughly four hundred kilometres", "C"),
        ("How long is the Vltava, in kilometres?", "430.3", "340", "B"),
        ("Who composed Norma?", "Vincenzo Bellini", "Either Bellini or Donizetti.", "C"),
    ),
)
_CHINESE = Wording(
    "请为简短的事实问题的回答评分。把给出的回答与参考答案对照，只给一个字母。\n"
    "A：正确。回答说出了参考答案的内容，且没有任何与之矛盾之处。措辞、错别字、语言、顺序和额外细节都不影响评分。\n"
    "B：错误。回答中有与参考答案矛盾的内容，即使语气并不肯定。\n"
    "C：未作答。回答没有说出参考答案的内容，也不与之矛盾：拒绝回答、含糊其辞，或同时列出几种可能。\n"
    "数字必须精确到它自己的最后一位，参考答案可以更精确。带有“大约”“左右”等字样、可能正确的粗略估计属于C。",
    "问题：",
    "参考答案：",
    "回答：",
    "评分：",
    "；",
    (
        ("《阿Q正传》的作者是谁？", "鲁迅", "这篇小说是鲁迅写的。", "A"),
        ("《阿Q正传》的作者是谁？", "鲁迅", "应该是老舍吧", "B"),
        ("《阿Q正传》的作者是谁？", "鲁迅", "抱歉，这个我需要查一下资料。", "C"),
        ("黄山莲花峰海拔多少米？", "1864.8", "１８６４米", "A"),
        ("黄山莲花峰海拔多少米？", "1864.8", "一千八百米左右", "C"),
        ("黄山莲花峰海拔多少米？", "1864.8", "1684米", "B"),
        ("青海湖在哪个省？", "青海省", "可能在青海，也可能在甘肃。", "C"),
    ),
)


def wording(language: str) -> Wording:
    """Chinese for zh and its kinds, else English."""
    return _CHINESE if language.split("-")[0].lower() == "zh" else _ENGLISH


_OPEN, _CLOSE = r"[*_`\"'(\[{<“‘「【]*", r"[*_`\"')\]}>”’」】]*"
_LETTER = rf"{_OPEN}([ABC]){_CLOSE}"
_END = r"(?=\s*(?:$|[\n.,;:!。、！\-–—(=/]))"
_OTHER = rf"(?!\s*(?:[,/、]|or\b|and\b|或|和)+\s*(?:or\b|and\b|或|和)?\s*{_OPEN}(?-i:[ABC])(?![a-z]))"
"""No second letter beside it: "A, B or C" and "A/B" are none."""
_LONE = re.compile(rf"\s*{_LETTER}{_CLOSE}{_OTHER}{_END}")
_ANNOUNCED = re.compile(
    rf"(?:\b(?:grade|verdict|answer|label|score|rating)|评分|评级|等级|答案|判断|结论|结果|选择?)"
    rf"{_CLOSE}\s*(?:is|was|would be|[:=是为])?\s*:?\s*{_LETTER}{_CLOSE}{_OTHER}{_END}",
    re.IGNORECASE,
)


def read_grade(text: str) -> str | None:
    """The grade in what a judge wrote, or None: a letter that stands alone at its beginning ("B", "**B**",
    "B: incorrect") or is announced ("Grade: B", "评分：B"). A letter within a sentence is none:
    "According to", "A lot". Two letters ("A/B", "A, B or C") and announcements that differ are none either.
    """
    plain = unicodedata.normalize("NFKC", text)
    alone = _LONE.match(plain)
    if alone is not None:
        return GRADES[alone[1]]
    met = {found[1] for found in _ANNOUNCED.finditer(plain) if found[1] in GRADES}
    return GRADES[met.pop()] if len(met) == 1 else None


def read_as_published(text: str) -> str:
    """The published reading: the first capital A, B or C anywhere; none is not attempted."""
    found = re.search("[ABC]", text)
    return GRADES[found[0]] if found else NOT_ATTEMPTED
