"""Instructions for rows that rules make of plain text: several wordings a rule, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping

GAP = "____"
YES = {"en": "yes", "zh": "是"}
NO = {"en": "no", "zh": "否"}
CLUSTERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "title": (
            "Give the text a title.",
            "What could be the headline of this text?",
            "Write a title that fits what follows.",
        ),
        "summary": (
            "Write the sentence with which this text begins and which says what it is about.",
            "Sum the text up in one sentence that could stand before it.",
        ),
        "cloze": (
            "Fill in the missing word.",
            "Which word has been left out of the sentence?",
            "One word is missing. Say which.",
        ),
        "order": (
            "Do these two sentences stand in the right order? Answer yes or no.",
            "Could the second sentence follow the first, and not the other way round? Say yes or no.",
        ),
        "follows": (
            "Does the second sentence continue the text of the first? Answer yes or no.",
            "Are both sentences from one text, one after the other? Say yes or no.",
        ),
        "entity": (
            "Choose the name that belongs in the gap.",
            "Which of the names has been replaced by the gap?",
        ),
        "sentiment": (
            "Is the feeling of the text positive or negative?",
            "Did the writer like it? Answer positive or negative.",
            "Name the sentiment: positive or negative.",
        ),
    },
    "zh": {
        "title": ("请给下面的文字写一个标题。", "这段文字的标题可以是什么？"),
        "summary": ("请写出这段文字开头概括内容的一句话。", "用一句话概括下面的文字。"),
        "cloze": ("请填上空缺的词。", "句子中缺了哪个词？"),
        "order": ("这两句话的顺序对吗？请回答是或否。", "第二句话应该接在第一句之后吗？回答是或否。"),
        "follows": ("第二句话是不是接着第一句话的？请回答是或否。", "这两句话出自同一段文字吗？回答是或否。"),
        "entity": ("请选出空缺处的名称。", "空缺处应该是下面哪一个？"),
        "sentiment": ("这段文字的情感是正面还是负面？", "作者的态度是正面还是负面？"),
    },
}
