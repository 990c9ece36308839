"""Which special tokens end a text."""

from __future__ import annotations

from collections.abc import Collection, Mapping

NAMES = frozenset(
    {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<EOT>", "<｜end▁of▁sentence｜>"}  # of a text
    | {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|end|>", "<|return|>", "<|call|>"}  # of a turn
    | {"<end_of_turn>", "<turn|>", "<end_of_utterance>", "[|endofturn|]"}
)
"""Special tokens that mean an end wherever they are special."""
HARMONY = frozenset({"<|return|>", "<|call|>", "<|end|>"})
"""Where a vocabulary has all three, `<|end|>` stands between the messages of one answer."""


def ends_by_name(special: Mapping[str, int]) -> frozenset[int]:
    """The ids of those special tokens (text -> id) that are ends by their names."""
    names = NAMES - {"<|end|>"} if special.keys() >= HARMONY else NAMES
    return frozenset(i for token, i in special.items() if token in names)


def ends(settings: Collection[int], own: int | None, special: Mapping[str, int]) -> frozenset[int]:
    """Ids that end a text: several that a model's generation settings list are all there are.

    settings: ids of the generation settings. own: the tokenizer's end. special: its special tokens.
    A single end is often that of a turn only; below a prompt that is no chat the model ends its text with
    another one, which is then known by its name. Unnoticed, it would begin another text there.
    """
    if len(set(settings)) > 1:
        return frozenset(settings)
    named = frozenset(settings) | ends_by_name(special)
    return named if own is None else named | {own}
