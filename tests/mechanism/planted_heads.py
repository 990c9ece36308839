"""A decoder of two layers of attention whose weights are written by hand: an induction circuit.

The residual stream has a place for the token, for its position, and for the token before. Head 0.0 looks at
the token before and copies it to its place; head 1.1 looks at those tokens before which stands what it is at,
and copies them to where the unembedding reads. Heads 0.1 and 1.0 do nothing, nor do the feed-forward parts.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

VOCABULARY, POSITIONS = 101, 128
WIDTH = 2 * VOCABULARY + POSITIONS
SIZE = WIDTH // 2
TOKEN, PLACE, BEFORE = 0, VOCABULARY, VOCABULARY + POSITIONS
"""Where each part of the residual stream begins."""
SHARP, LOUD = 400.0, 6.0
"""How sure heads are of what they look at, and how loud the circuit is beside the token itself."""


def induction_circuit() -> Any:
    """GPT-2, untied, with BOS 2."""
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=WIDTH, n_layer=2, n_head=2, n_inner=4,
        tie_word_embeddings=False, bos_token_id=2, eos_token_id=1,
    )  # fmt: skip
    network = GPT2LMHeadModel(config).float().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(1.0 if "ln_" in name and name.endswith("weight") else 0.0)
        decoder = network.transformer
        decoder.wte.weight[:, TOKEN:PLACE] = torch.eye(VOCABULARY)
        decoder.wpe.weight[:, PLACE:BEFORE] = torch.eye(POSITIONS)
        network.lm_head.weight[:, TOKEN:PLACE] = torch.eye(VOCABULARY)
        at = torch.arange(POSITIONS - 1)
        words = torch.arange(VOCABULARY)
        # what the norm leaves of a one is about sqrt(WIDTH / 2); c_attn is [input, query | key | value]
        first, second = (block.attn for block in decoder.h)
        first.c_attn.weight[PLACE + at + 1, at] = SHARP / WIDTH  # query: the place before
        first.c_attn.weight[PLACE + at, WIDTH + at] = 1.0
        first.c_attn.weight[TOKEN + words, 2 * WIDTH + words] = 1.0
        first.c_proj.weight[words, BEFORE + words] = 0.1
        own = SIZE  # of head 1
        second.c_attn.weight[TOKEN + words, own + words] = SHARP / WIDTH
        second.c_attn.weight[BEFORE + words, WIDTH + own + words] = 1.0
        second.c_attn.weight[TOKEN + words, 2 * WIDTH + own + words] = 1.0
        second.c_proj.weight[own + words, TOKEN + words] = LOUD / 10
    network.generation_config.eos_token_id = 1
    return network
