"""Label words of a prompt: where they stand, what the loss owes to attention, and answers where they are
hidden."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from icl.errors import ConfigError
from icl.labels import label_texts, renderer_of
from icl.mechanism.shared.heads import HeadReader, Seen
from icl.mechanism.shared.labelled import Material, demonstrations
from icl.tuning.shared.tokens import seam
from icl.types import Example, TokenIds

Floats = NDArray[np.float64]
WAYS = ("into", "out of")
ENDS = ("first", "last")
WORDS = ("labels", "random")
CONDITIONS = tuple((way, end, words) for way in WAYS for end in ENDS for words in WORDS)
"""Which way is blocked, in which layers, at which words."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A prompt with places in it."""

    ids: TokenIds
    words: tuple[int, ...]
    """The first token of the label of each demonstration."""
    others: tuple[int, ...]
    """As many tokens drawn from what the demonstrations say beside labels."""
    targets: TokenIds
    """The first token of each label, as it would follow the prompt."""
    gold: int
    """The place of the query's label."""
    longest: int
    """Tokens of the longest label."""


def marked(material: Material, query: Example, shown: Sequence[Example], draw: np.random.Generator) -> Marked:
    """A prompt with its places. ConfigError where labels begin with the same token, or where the
    demonstrations have too few tokens beside labels; ContextOverflow where it is too long."""
    assert material.resources.model is not None
    renderer, encode = renderer_of(material.resources), material.resources.model.tokenizer.encode
    labels, answers = label_texts(query.query, material.resources)
    text = material.prompt(query.query, shown)
    whole, continued = encode(text), [encode(text + answer) for answer in answers]
    end = min(seam(whole, ids) for ids in continued)
    targets = tuple(ids[end] for ids in continued)
    if len(set(targets)) < len(labels):
        raise ConfigError(
            f"study 'label_words': labels of task {material.resources.task.name!r} begin with the same "
            f"token ({', '.join(labels)}), by which they are told apart here; allowed: verbalisers of unlike "
            "first tokens"
        )
    spans = []
    for at, example in enumerate(shown):
        before = renderer.prompt(example.query, demonstrations(shown[:at])).text
        after = before + renderer.answer(example.target)
        spans.append((seam(encode(before), whole), seam(encode(after), whole)))
    label_tokens = {at for start, stop in spans for at in range(start, max(stop, start + 1))}
    free = [at for at in range(1, spans[-1][0]) if at not in label_tokens]
    if len(free) < len(spans):
        raise ConfigError(
            f"study 'label_words': the demonstrations of task {material.resources.task.name!r} have "
            f"{len(free)} tokens beside labels; allowed: at least {len(spans)}"
        )
    others = sorted(draw.choice(free, size=len(spans), replace=False).tolist())
    words = tuple(start for start, _ in spans)
    longest = max(len(ids) - end for ids in continued)
    return Marked(whole[:end], words, tuple(others), targets, labels.index(query.target), longest)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What a forward and its gradient say of every attention weight."""

    saliency: Floats
    """[layers, tokens, tokens]: |sum over heads of A * dL/dA|."""
    attention: Floats
    """[layers, tokens, tokens]: the mean over heads of A."""
    logits: tuple[float, ...]
    """Of the targets."""


def saliency(reader: HeadReader, prompt: Marked) -> Looked:
    """L: cross-entropy of the query's label among the labels' first tokens, after the last token of the
    prompt."""
    seen: list[list[Tensor]] = [[] for _ in range(reader.layers)]

    def look(one: Seen) -> None:
        seen[one.layer].append(one.weights)

    with torch.enable_grad(), _asks_for_gradients(reader.network):
        states = reader.differentiable(_tokens(reader, [prompt.ids]), look)
        logits = reader.logits(states[:, -1])[:, list(prompt.targets)]
        loss = nn.functional.cross_entropy(logits, torch.tensor([prompt.gold], device=logits.device))
        gradients = iter(torch.autograd.grad(loss, [weights for layer in seen for weights in layer]))
    worth, mean = [], []
    for layer in seen:
        owed = [(weights.detach() * next(gradients)).sum(dim=1) for weights in layer]
        worth.append(torch.cat(owed, dim=1)[0].abs())
        mean.append(torch.cat([weights.detach().mean(dim=1) for weights in layer], dim=1)[0])
    owed_all, mean_all = (torch.stack(rows).cpu().double().numpy() for rows in (worth, mean))
    return Looked(owed_all, mean_all, tuple(logits[0].tolist()))


def blocked(reader: HeadReader, prompt: Marked, layers: int) -> dict[str, list[float]]:
    """Log-probabilities of the labels among one another: as the prompt is, and with words blocked in the
    first or last `layers` layers. "into": the words see nothing before them. "out of": nothing after the
    words sees them."""
    size = len(prompt.ids)
    hidden = {
        layer: torch.zeros(1 + len(CONDITIONS), size, size, dtype=torch.bool)
        for layer in range(reader.layers)
    }
    for row, (way, end, words) in enumerate(CONDITIONS, 1):
        places = prompt.words if words == "labels" else prompt.others
        within = range(layers) if end == "first" else range(reader.layers - layers, reader.layers)
        for layer in within:
            hide(hidden[layer][row], way, places)
    used = {layer: matrix.to(reader.trunk.device) for layer, matrix in hidden.items() if matrix.any()}
    tokens = _tokens(reader, [prompt.ids] * (1 + len(CONDITIONS)))
    states = reader.forward(tokens, lambda seen: None, rows=[-1], blocked=used)
    logits = reader.logits(states[:, -1])[:, list(prompt.targets)]
    found = torch.log_softmax(logits.double(), dim=1).tolist()
    return dict(zip(("nothing", *(" ".join(one) for one in CONDITIONS)), found, strict=True))


def hide(matrix: Tensor, way: str, places: Sequence[int]) -> None:
    """Marks what is not seen in a matrix [tokens, tokens] (row: who looks), in place."""
    for place in places:
        if way == "into":
            matrix[place, :place] = True
        else:
            matrix[place + 1 :, place] = True


def agreement(found: Mapping[str, Sequence[float]], name: str) -> tuple[float, float]:
    """(1 where the answer is the same as with nothing blocked, else 0; the divergence KL from it, in
    nats)."""
    plain, other = np.array(found["nothing"]), np.array(found[name])
    return float(plain.argmax() == other.argmax()), float((np.exp(plain) * (plain - other)).sum())


def _tokens(reader: HeadReader, rows: Sequence[TokenIds]) -> Tensor:
    return torch.tensor([list(row) for row in rows], device=reader.trunk.device)


@contextlib.contextmanager
def _asks_for_gradients(network: nn.Module) -> Iterator[None]:
    """Of a network of frozen weights nothing else would."""

    def hook(module: nn.Module, given: object, out: Tensor) -> Tensor:
        return out + torch.zeros((), dtype=out.dtype, device=out.device, requires_grad=True)

    handle = network.get_input_embeddings().register_forward_hook(hook)  # type: ignore[operator]
    try:
        yield
    finally:
        handle.remove()
