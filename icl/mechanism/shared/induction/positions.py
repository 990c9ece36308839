"""Loss by position in running text: how much a model gains from what it has read (Olsson et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.errors import ConfigError
from icl.mechanism.shared.heads import HeadReader
from icl.mechanism.shared.induction.repeats import batches, losses
from icl.protocols import Tokenizer
from icl.types import Example


def running_texts(
    rows: Sequence[Example], count: int, length: int, tokenizer: Tokenizer, draw: np.random.Generator
) -> tuple[Tensor, float]:
    """[count, length] tokens: rows in random order, a blank line between them, until a text is long enough;
    no row is in two texts. And how many rows a text has. ConfigError where there are too few rows."""
    texts: list[list[int]] = []
    shown: list[str] = []
    used = 0
    for at in draw.permutation(len(rows)):
        shown.append(rows[at].text)
        used += 1
        if sum(map(len, shown)) < length:  # no token is shorter than a character, as a rule
            continue
        ids = tokenizer.encode("\n\n".join(shown))
        if len(ids) >= length:
            texts.append(list(ids[:length]))
            shown = []
        if len(texts) == count:
            return torch.tensor(texts), used / count
    raise ConfigError(
        f"texts is {count}, and {len(rows)} rows make {len(texts)} texts of {length} tokens; allowed: texts "
        f"<= {len(texts)}, or a task with more or longer rows"
    )


def position_losses(reader: HeadReader, texts: Tensor, rows: int) -> NDArray[np.float64]:
    """[n, S - 1] nats of each token but the first, as the network is now."""
    device = reader.trunk.device
    return np.concatenate([losses(reader, some.to(device)) for some in batches(texts, rows)])


def icl_scores(found: NDArray[np.float64], early: int, late: int, window: int) -> NDArray[np.float64]:
    """Loss at token `late` less loss at token `early` of each text, from losses [n, S - 1]: each the mean of
    the `window` tokens up to it; tokens count from 1. Below zero where what was read helps."""

    def at(token: int) -> NDArray[np.float64]:
        return np.asarray(found[:, token - 1 - window : token - 1].mean(axis=1))  # found[:, 0]: of token 2

    return at(late) - at(early)
