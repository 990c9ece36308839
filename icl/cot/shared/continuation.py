"""Going on after what a model wrote, in token ids, so that the engine can go on from what it holds.

A later stage's prompt is the first prompt's ids, the ids that were drawn, and the ids of the text
put after them. Rendered as text and tokenised anew, the seam could be cut differently, and a model
would be asked something else than what it had written.
"""

from __future__ import annotations

from icl.errors import ConfigError
from icl.protocols import Resources, Tokenizer
from icl.types import Sample, Text, TokenIds


def tokenizer_of(resources: Resources) -> Tokenizer:
    """The model's tokenizer; ConfigError where there is no model."""
    if resources.model is None:
        raise ConfigError("this method goes on after what the model wrote: Resources.model is missing")
    return resources.model.tokenizer


def ids_of(text: Text, tokenizer: Tokenizer) -> TokenIds:
    """Ids of a whole prompt."""
    return tokenizer.encode(text) if isinstance(text, str) else tuple(text)


def ids_after(text: str, tokenizer: Tokenizer) -> TokenIds:
    """Ids of a text that stands behind others: without the special tokens that open a prompt.

    Tokenizers that put a space before the first word of any text are asked for it after a full
    stop, whose own tokens are taken away again.
    """
    if not text:
        return ()
    plain = _without(tokenizer.encode(text), tokenizer.encode(""))
    if tokenizer.decode(plain) == text:
        return plain
    anchor, whole = tokenizer.encode("."), tokenizer.encode("." + text)
    return whole[len(anchor) :] if whole[: len(anchor)] == anchor else plain


def _without(ids: TokenIds, opening: TokenIds) -> TokenIds:
    return ids[len(opening) :] if ids[: len(opening)] == opening else ids


def drawn_ids(sample: Sample, tokenizer: Tokenizer) -> TokenIds:
    """The ids of `sample.text`: those that were drawn, without an end-of-text token or stop string.

    Where the text ends inside a token, the rest of it is tokenised anew.
    """
    ids = sample.token_ids
    while ids and ids[-1] in tokenizer.eos_ids:
        ids = ids[:-1]
    for end in range(len(ids), 0, -1):
        written = tokenizer.decode(ids[:end])
        if sample.text.startswith(written):
            return ids[:end] + ids_after(sample.text[len(written) :], tokenizer)
    return ids_after(sample.text, tokenizer)


def extend(prompt: Text, sample: Sample, text: str, tokenizer: Tokenizer) -> TokenIds:
    """prompt + what was drawn after it + `text`."""
    return ids_of(prompt, tokenizer) + drawn_ids(sample, tokenizer) + ids_after(text, tokenizer)
