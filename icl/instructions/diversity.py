"""What instructions ask to be done, and to what: verb and object, by rules.

Wang et al. 2023 (Self-Instruct) parse each instruction for its root verb and its noun. No parser is asked
here: the verb is the first word after what is polite, the object the last word of the phrase behind it.
Chinese verbs are taken from a list. It shows how varied a corpus is, not its grammar.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


POLITE = _set(
    "please kindly can could would will you your i we want need to me for us now then first task be able"
)
"""Skipped before the verb."""
ENDS = _set(
    "about above after against as at based because before behind below between by during following for from "
    "if in inside into is are was were like of on onto or so such than that to under until using via when "
    "where which while who whose why with within without and but not do does did has have had it this these "
    "those given can could should would will may might must"
)
"""End the phrase behind a verb."""
BEFORE = _set("a an the some any my your his her its their our each every all both")
"""May begin it."""
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|[.,;:?!()\"\n]")
_CJK = re.compile(r"[\u3400-\u9fff]")
_CLAUSE = re.compile(r"[\uff0c\u3002\uff1f\uff01\uff1b\uff1a,.?!;:\n\u201c\u201d\u300a\u300b]")
CHINESE_VERBS = tuple(
    "翻译 总结 概括 分类 判断 解释 列出 列举 生成 描述 比较 回答 计算 给出 改写 设计 分析 提取 推荐 "  # noqa: SIM905
    "创作 编写 撰写 续写 润色 选择 选出 找出 说明 介绍 提供 制定 评价 讨论 填空 排序 排列 归纳 阅读 "
    "扮演 告诉 讲述 证明 纠正 修改 起草 想出 写".split()
)


@dataclass(frozen=True, slots=True)
class Diversity:
    """How varied instructions are."""

    pairs: Counter[tuple[str, str]]
    """(verb, object) -> rows; "" where none was found."""

    @property
    def verbs(self) -> Counter[str]:
        """Verb -> rows."""
        found: Counter[str] = Counter()
        for (verb, _), count in self.pairs.items():
            found[verb] += count
        return found

    @property
    def distinct(self) -> int:
        """Pairs with both a verb and an object."""
        return sum(1 for verb, thing in self.pairs if verb and thing)


def diversity(instructions: Iterable[str]) -> Diversity:
    """Counts over all instructions."""
    return Diversity(Counter(verb_and_object(text) for text in instructions))


def verb_and_object(instruction: str) -> tuple[str, str]:
    """In lower case; "" for what is not found."""
    return _chinese(instruction) if _CJK.search(instruction[:200]) else _english(instruction)


def _english(text: str) -> tuple[str, str]:
    words = [word.lower() for word in _WORD.findall(text[:400])]
    at = 0
    while at < len(words) and (words[at] in POLITE or not words[at][0].isalpha()):
        at += 1
    if at == len(words):
        return "", ""
    phrase: list[str] = []
    for word in words[at + 1 :]:
        if not word[0].isalpha() or (word in ENDS and phrase) or len(phrase) == 5:
            break
        if word in ENDS:
            continue
        if word not in BEFORE:
            phrase.append(word)
    return words[at], phrase[-1] if phrase else ""


def _chinese(text: str) -> tuple[str, str]:
    clauses = [clause for clause in _CLAUSE.split(text[:200]) if clause.strip()]
    for clause in clauses:
        hits = [(clause.find(verb), -len(verb), verb) for verb in CHINESE_VERBS if verb in clause]
        if not hits:
            continue
        at, _, verb = min(hits)
        taken = re.search(r"[把将](.+)$", clause[:at])
        phrase = taken[1] if taken else clause[at + len(verb) :]
        noun = phrase.rpartition("的")[2].strip()
        return verb, noun[-2:]
    return "", ""
