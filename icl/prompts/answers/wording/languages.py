"""What answers sound like in the languages that are read: announcements, abstentions, yes and no, joining
words.

English and Chinese announcements are read in every task (models answer in them whatever they are asked in);
the others only in tasks of their language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from icl.errors import ConfigError, unknown_name
from icl.prompts.answers.patterns import lazy

_NOTE = r"(?:\s*[(（][^()（）\n]{0,60}[)）])?"
_HEDGE = (
    r"(?:\s*\b(?:therefore|thus|hence|then|just|simply|most\s+likely|likely|probably|clearly|indeed|actually|"
    r"approximately|about|around|roughly|equal\s+to|option|choice)\b)*"
)
_COPULA = (
    r"(?:(?:is|are|was|would\s+be|will\s+be|should\s+be|must\s+be)\b"
    + _HEDGE
    + r"\s*:?|[:：=⇒→]|[-=]>|[–—](?=\s))"
)
_ENGLISH = (
    rf"\b(?:answers?|(?:correct|right|best)\s+(?:option|choice)){_NOTE}(?:\s+(?:to|for|of)\s+[^.,\n:]{{1,80}}?)?{_NOTE}"
    rf"\s*(?:\*\*)?\s*{_COPULA}(?:\*\*)?"
    r"|\bI(?:['’]d|['’]ll|\s+would|\s+will)?\s+(?:choose|pick|select|go\s+with)(?=\s+(?:option|choice|answer)?\s*[(\[\"'*]*(?-i:[A-Z])\b)"
)
_CHINESE = (
    r"(?:最终|最后|正确|所以|因此)?的?(?:答案|(?<=最终)结果|正确选项)(?:应该|应当|就|应)?(?:是|为|等于|选|[:：=])\s*[:：]?"
    r"|(?:^|\n)\s*答\s*[:：]|(?:应|故|所以|因此)?选(?:择|项)?(?=\s*[(（]?[A-Z](?![A-Za-z]))"
)
# Four hashes end a GSM8K solution, but also head a section in Markdown
MARKS = (
    r"(?<!#)####(?!#)(?=\s*(?:[^\w\s]{1,3}\s*)?(?:\d|[A-Z]\b|yes\b|no\b|true\b|false\b))|\\(?:boxed|fbox)\s*(?:\{|(?=\d))"
    r"|<(?:final_)?answer>|<\|begin_of_box\|>"
)

_ABSTAIN_ENGLISH = (
    r"\b(?:I|we)\s+(?:\w+\s+)?(?:do\s*n['’o]?t|do\s+not|did\s*n['’o]t|did\s+not|can\s?not|can['’]t|could\s*n['’]t|could\s+not|"
    r"am\s+unable|am\s+not|are\s+unable|have\s+no)\s+(?:\w+\s+){0,2}?(?:know|say|tell|determine|answer|decide|sure|certain|idea|clue|"
    r"find|infer|conclude|provide|figure)\b"
    r"|\bI['’]m\s+(?:\w+\s+)?(?:not\s+(?:\w+\s+)?(?:sure|certain|able)|unsure|uncertain|unable|sorry)\b"
    r"|\b(?:can\s?not|can['’]t|could\s+not|couldn['’]t|impossible\s+to|no\s+way\s+(?:to|of)|not\s+possible\s+to|unable\s+to|"
    r"hard\s+to|difficult\s+to)\s+(?:be\s+)?(?:know\w*|say|said|tell|told|determin\w+|answer\w*|decid\w+|infer\w*|"
    r"conclude\w*|calculat\w+|comput\w+|find|found|solved?|establish\w*)\b"
    r"|\b(?:not|n['’]t|in)\s*-?(?:enough|sufficient|adequate)\s+(?:information|info|data|context|evidence|details?)\b"
    r"|\b(?:do|does)(?:\s+not|n['’]t)\s+(?:say|state|specify|mention|tell|know)\b|\b(?:no\s+idea|dunno|no\s+clue)\b"
    r"|\banyone['’]s\s+guess\b|\bdepends\s+on\b"
)
_ABSTAIN_WORDS = (
    r"\b(?:unknown|unknowable|unclear|uncertain|undetermined|indeterminate|undecidable|unanswerable|unsure|"
    r"(?:not|n['’]t)\s+(?:known|clear|given|specified|stated|provided|mentioned|sure|certain|applicable|determinable))\b"
    r"|(?<![\w/])n/a(?![\w/])"
)
_ABSTAIN_CHINESE = (
    r"不知道|不清楚|不确定|无法(?:确定|判断|得知|回答|知道|计算|得出)|不能确定|不得而知|未知|信息不足|"
    r"没有足够的信息"
)
_OFF_LIST = (
    r"\b(?:none|neither|no\s+(?:option|choice|answer))\s*(?:of\s+(?:the\s+)?(?:above|options?|choices?|these|those|them|answers?)"
    r"|(?:is|are)\s+(?:correct|right|true)|fits?|applies)\b|\bnone\b(?=[\s.)*\"']*(?:$|[.\n]))|\bneither\b(?=[\s.)*\"']*(?:$|[.\n]))"
    r"|\bnot\s+(?:listed|among|in\s+the\s+(?:list|options|choices))\b|以上(?:都|皆)(?:不是|非)"
    r"|\b(?:all|both)\s+(?:of\s+(?:the\s+)?(?:above|options?|choices?|these|those|them|answers?)|options|choices|answers)\b"
)


@dataclass(frozen=True, slots=True)
class Language:
    """One language; patterns are regular expressions, without regard to case."""

    announces: str = ""
    anchors: tuple[str, ...] = ()
    """Words of which every announcement has one, in lower case."""
    abstains: str = ""
    negates: str = ""
    """Words directly before what is denied: "not", "nicht", "pas"."""
    joins: str = ""
    """Words that put two answers side by side: "and", "oder"."""
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    comma: bool = False
    """1.234,5 is one thousand two hundred and thirty-four and a half."""
    endings: str = ""
    """What may close the sentence behind an answer without being part of it."""


LANGUAGES: dict[str, Language] = {
    "en": Language(),
    "zh": Language(),
    "de": Language(
        r"\b(?:antwort|lösung|endergebnis|ergebnis)(?:\s+(?:auf|der)\s+[^.,\n:]{1,60}?)?\s*(?:(?:lautet|ist|wäre|beträgt)\b"
        r"(?:\s+(?:daher|also|somit))?\s*:?|[:=])",
        ("antwort", "lösung", "ergebnis"),
        r"\b(?:weiß|weiss)\s+(?:ich\s+)?(?:es\s+|das\s+)?nicht\b|\bunbekannt\b|\bunklar\b|\bkeine\s+ahnung\b"
        r"|\b(?:nicht|kaum)\s+(?:bekannt|bestimm\w+|möglich|sicher|feststell\w+|beantwort\w+)\b|\bunmöglich\s+zu\s+sagen\b",
        r"\b(?:nicht|kein(?:e[nrs]?|)|weder|noch|statt|außer)",
        "und|oder|sowie|bzw\\.",
        ("ja", "richtig", "wahr", "stimmt"),
        ("nein", "falsch", "unwahr"),
        comma=True,
    ),
    "fr": Language(
        r"\b(?:réponse|reponse|solution|résultat)(?:\s+(?:correcte|finale|exacte|final|à\s+[^.,\n:]{1,60}?))*\s*"
        r"(?:(?:est|serait|sera)\b(?:\s+donc)?\s*:?|[:=])",
        ("réponse", "reponse", "solution", "résultat"),
        r"\bje\s+ne\s+(?:le\s+)?sais\s+pas\b|\bje\s+l['’]ignore\b|\binconnue?s?\b|\b(?:impossible|difficile)\s+(?:de|à)\s+\w+"
        r"|\bne\s+peut\s+pas\s+être\s+\w+|\bon\s+ne\s+(?:sait|peut)\s+pas\b|\baucune\s+idée\b",
        r"\b(?:pas|ni|non|sauf|plutôt\s+que|jamais)",
        "et|ou",
        ("oui", "vrai", "exact"),
        ("non", "faux", "inexact"),
        comma=True,
    ),
    "es": Language(
        r"\b(?:respuesta|solución|solucion|resultado)(?:\s+(?:correcta|final|a\s+[^.,\n:]{1,60}?))*\s*"
        r"(?:(?:es|será|sería|seria)\b(?:\s+por\s+tanto)?\s*:?|[:=])|\bopción\s+correcta\s+es\b",
        ("respuesta", "soluci", "resultado", "opción"),
        r"\bno\s+(?:lo\s+)?(?:sé|se\s+sabe|sabemos|se\s+puede\s+\w+|es\s+posible\s+\w+|estoy\s+segur[oa])(?!\w)"
        r"|\bdesconocid[oa]s?\b|\bimposible\s+(?:de\s+)?(?:saber|decir|determinar)\b|\bni\s+idea\b",
        r"\b(?:no(?:\s+(?:es|son|era))?|ni|salvo|excepto|en\s+lugar\s+de|nunca)",
        "y|o|e|u",
        ("sí", "si", "verdadero", "cierto", "correcto"),
        ("no", "falso", "incorrecto"),
        comma=True,
    ),
    "ru": Language(
        r"\bответ(?:ом)?(?:\s+на\s+[^.,\n:]{1,60}?)?\s*(?:(?:является|будет|равен|это|есть)\b\s*:?|[:=—–]|-(?=\s))",
        ("ответ",),
        r"\bне\s+(?:знаю|знаем|известно|могу\s+\w+|уверен\w*|ясно)\b|\bнеизвестн\w*|\bневозможно\s+\w+|\bнельзя\s+(?:сказать|определить)\b",
        r"\b(?:не|ни|кроме|вместо)",
        "и|или",
        ("да", "верно", "правда", "истина"),
        ("нет", "неверно", "ложь", "неправда"),
        comma=True,
    ),
    "ja": Language(
        r"(?:最終的な|最終|正しい)?(?:答え|答|解答|回答|正解)(?:は|が|[:：=＝])\s*[、，:：]?\s*",
        ("答", "正解"),
        r"(?:わか|分か|判)りません|(?:わか|分か)らない|不明|知りません|判断できません|決められません",
        "",
        "と|か|または|及び|および",
        ("はい", "真", "正しい"),
        ("いいえ", "偽", "正しくない", "違う"),
        endings=r"(?:でした|です|である|だ|になります|となります)",
    ),
    "pt": Language(
        r"\b(?:resposta|solução|resultado)(?:\s+(?:correta|final))*\s*(?:(?:é|será|seria)(?!\w)\s*:?|[:=])",
        ("resposta", "solução", "resultado"),
        r"\bnão\s+(?:sei|se\s+sabe|é\s+possível\s+\w+)(?!\w)|\bdesconhecid[oa]s?\b",
        r"\b(?:não(?:\s+é)?|nem|exceto)",
        "e|ou",
        ("sim", "verdadeiro", "certo"),
        ("não", "falso", "errado"),
        comma=True,
    ),
    "it": Language(
        r"\b(?:risposta|soluzione|risultato)(?:\s+(?:corretta|finale|esatta))*\s*(?:(?:è|sarà|sarebbe)(?!\w)\s*:?|[:=])",
        ("risposta", "soluzione", "risultato"),
        r"\bnon\s+(?:lo\s+)?(?:so|si\s+sa|è\s+possibile\s+\w+)(?!\w)|\bsconosciut[oa]\b",
        r"\b(?:non(?:\s+è)?|né|tranne)",
        "e|o|oppure",
        ("sì", "si", "vero", "corretto"),
        ("no", "falso", "errato"),
        comma=True,
    ),
    "ko": Language(
        r"(?:정답|답|해답)(?:은|이|:|：)\s*",
        ("답",),
        r"모르겠|알\s*수\s*없|모릅니다|불명",
        "",
        "와|과|또는|이나",
        ("예", "네", "참"),
        ("아니요", "아니오", "거짓"),
        endings=r"(?:입니다|이다)",
    ),
}
"""What a task's `language` may be."""


def base(code: str) -> str:
    """ "pt" of "pt-BR"."""
    return code.replace("_", "-").split("-")[0].lower()


def language(code: str) -> Language:
    """The language of a code such as "de" or "pt-BR"; ConfigError with the nearest for an unknown one."""
    found = LANGUAGES.get(base(code))
    if found is None:
        raise ConfigError(unknown_name("language", code, LANGUAGES))
    return found


def _own(code: str) -> Language:
    return LANGUAGES.get(base(code), LANGUAGES["en"])


@lru_cache(maxsize=32)
def announcement(code: str) -> re.Pattern[str]:
    """A phrase that announces an answer, up to where it should begin."""
    own = _own(code).announces
    return re.compile("|".join(p for p in (_ENGLISH, _CHINESE, MARKS, own) if p), re.IGNORECASE)


_ANCHORS = (
    *("answer", "option", "choice", "choose", "pick", "select", "go with", "答", "选", "结果", "####"),
    *("\\boxed", "\\fbox", "begin_of_box"),
)


def anchors(code: str) -> tuple[str, ...]:
    """Words of which every announcement has one, in lower case: what to look for before the pattern is
    tried."""
    return (*_ANCHORS, *_own(code).anchors)


@lru_cache(maxsize=32)
def abstention(code: str, *, words: bool = True) -> re.Pattern[str]:
    """Words by which a model says that it does not know. words: single ones too ("unknown"), which are
    answers where an answer may be any text."""
    own = _own(code).abstains
    parts = [_ABSTAIN_ENGLISH, _ABSTAIN_CHINESE, own, _ABSTAIN_WORDS if words else ""]
    return re.compile("|".join(p for p in parts if p), re.IGNORECASE)


OFF_LIST = lazy(_OFF_LIST, re.IGNORECASE)
"""Words by which a model chooses none, or all, of what it was offered."""


@lru_cache(maxsize=32)
def joint(code: str) -> re.Pattern[str]:
    """What stands between two answers that are given side by side: "and", "or", "/", ","."""
    words = "|".join(
        w
        for w in ("and|or|nor|plus|as\\s+well\\s+as|along\\s+with|和|或者|或|以及|及|与", _own(code).joins)
        if w
    )
    option = r"(?:(?:both|either|also|maybe|perhaps|possibly|option|choice|answer|letter|the|an?)\s+)*"
    return re.compile(
        rf"[)\]\"'”’*}}\s.]*(?:(?P<word>,?\s*(?:\b(?:{words})(?!\w)|[和或与及とか]|[&/]))|(?P<comma>[,、，;；]))\s*{option}[(\[\"'“‘*$€£{{\\]*",
        re.IGNORECASE,
    )


def unlisted(code: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words for yes and for no of the language itself."""
    own = _own(code)
    return own.yes, own.no


def reads_comma(code: str) -> bool:
    """Whether a comma begins the decimals there."""
    return _own(code).comma


def negations(code: str) -> str:
    """Words of the language that deny what follows; a regular expression, empty where it has none."""
    return _own(code).negates


def endings(code: str) -> str:
    """Words that close a sentence behind the answer; a regular expression, empty where there are none."""
    return _own(code).endings
