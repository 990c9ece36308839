"""What a server really does, found by requests whose right answers are known.

A server may answer 200 to what it does not do: it leaves out a field, or gives the log-probability of
something else. So nothing is believed that was not seen: a token that cannot be the most likely one is forced
and must come with a low value; the value that `echo` gives for the most likely token must be the one it had
when it was written; the same seed must repeat a text and another one must not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from icl.backends.openai.answers import Answer, Entry, Step
from icl.backends.openai.client import Client, Refused
from icl.backends.openai.proofs import NEAR, Texts, first_entries, prove
from icl.backends.openai.speaking import Asked, Found, Prompted, Speaker
from icl.errors import ModelError
from icl.protocols import Tokenizer

log = logging.getLogger("icl")

LADDER = (1000, 100, 20, 10, 5, 4, 3, 2, 1)
"""Log-probabilities that are asked for at a position, until a server gives them."""
LENGTH = 12
"""Tokens of a text that is compared."""
HOT = 1.5


async def probe(client: Client, tokenizer: Tokenizer, endpoint: str, texts: Texts) -> Found:
    """What the server at `endpoint` (auto, completions, chat) does. Raises ModelError where it does not even
    write text."""
    speaker, first = await _reached(client, tokenizer, endpoint, texts)
    for look in (_limits, _stops, _samples, _top, _ids_of_tokens, _heat):
        speaker = await look(speaker, texts, first)
    if speaker.found.endpoint == "chat":
        speaker = await _prefilled(speaker, texts)
    return (await prove(speaker, texts)).found


async def _reached(
    client: Client, tokenizer: Tokenizer, endpoint: str, texts: Texts
) -> tuple[Speaker, Answer]:
    """The way of asking that the server takes, richest first, and its first answer."""
    ways = []
    if endpoint != "chat":
        ways += [
            Found("completions", takes_ids=ids, extras=extras)
            for ids, extras in product((True, False), repeat=2)
        ]
    if endpoint != "completions":
        limits = ("max_tokens", "max_completion_tokens")
        ways += [Found("chat", extras=extras, limit=limit) for limit in limits for extras in (True, False)]
    refused: Refused | None = None
    for way in ways:
        speaker = Speaker(client, tokenizer, way)
        try:
            answer = await speaker.ask(Asked(texts.prompt(way), LENGTH))
        except Refused as error:
            refused = refused or error
            continue
        if way.takes_ids and answer.read is not None and answer.read != len(texts.ids):
            continue  # ids that were taken for something else
        return speaker.but(counts=answer.read is not None), answer
    raise ModelError(
        f"{refused}. Neither completions nor a chat are answered there: is base_url right (.../v1)?"
    )


async def _limits(speaker: Speaker, texts: Texts, first: Answer) -> Speaker:
    """`max_tokens` on its own: a text of one token is shorter than one of twelve."""
    answer = await speaker.ask(Asked(texts.prompt(speaker.found), 1))
    choice = answer.choices[0]
    written = len(choice.ids) if choice.ids is not None else answer.written
    kept = written <= 1 if written is not None else len(choice.text) <= len(first.choices[0].text)
    if kept:
        return speaker
    found = speaker.found.noted("answers may be longer than max_tokens; they are cut here")
    return Speaker(speaker.client, speaker.tokenizer, replace(found, limits=False))


async def _stops(speaker: Speaker, texts: Texts, first: Answer) -> Speaker:
    text = first.choices[0].text
    middle = text.strip()[len(text.strip()) // 2 :][:3]
    if not middle.strip():
        return speaker
    answer = await speaker.ask(Asked(texts.prompt(speaker.found), LENGTH, stop=(middle,)))
    if middle not in answer.choices[0].text:
        return speaker.but(stops=True)
    found = speaker.found.noted("stop strings are not heeded; texts are cut here, after they were written")
    return Speaker(speaker.client, speaker.tokenizer, found)


async def _samples(speaker: Speaker, texts: Texts, first: Answer) -> Speaker:
    """Seeds, `n` and (by a choice among one token) `top_k`."""
    prompt = texts.prompt(speaker.found)

    async def drawn(seed: int | None, n: int = 1, top_k: int = 0) -> list[str] | None:
        try:
            asked = Asked(prompt, LENGTH, temperature=HOT, seed=seed, n=n, top_k=top_k)
            return [choice.text for choice in (await speaker.ask(asked)).choices]
        except Refused:
            return None

    one, again, other, third = [await drawn(seed) for seed in (11, 11, 12, 13)]
    seeds = one is not None and one == again and (other, third) != (one, one)
    several = await drawn(None if one is None else 21, n=2)
    many = several is not None and len(several) == 2 and len(set(several)) > 1
    speaker = speaker.but(seeds=seeds, many=many)
    if speaker.found.extras:
        # not the first answer: what a server has cached since moves values a little, and so perhaps a text
        greedy = [(await speaker.ask(Asked(prompt, LENGTH))).choices[0].text]
        if await drawn(14, top_k=1) != greedy:
            speaker = speaker.but(extras=False)
    if not seeds:
        found = speaker.found.noted("not reproducible: the same seed does not give the same text")
        speaker = Speaker(speaker.client, speaker.tokenizer, found)
    return speaker


async def _top(speaker: Speaker, texts: Texts, first: Answer) -> Speaker:
    """How many log-probabilities come back: the chosen token's and those of the most likely ones, in
    order."""
    for top in LADDER:
        try:
            answer = await speaker.ask(Asked(texts.prompt(speaker.found), 1, top=top))
        except Refused:
            continue
        steps = answer.choices[0].steps
        if not steps or not _sound(steps[0]):
            continue
        return speaker.but(top=min(len(steps[0].top), top))
    return speaker


def _sound(step: Step) -> bool:
    """Whether these are log-probabilities of the most likely tokens, the greedy one first."""
    values = [entry.logprob for entry in step.top]
    if step.token.logprob is None or not values or any(v is None or v > 1e-3 for v in values):
        return False
    known = [v for v in values if v is not None]
    return (
        known == sorted(known, reverse=True)
        and sum(map(math.exp, known)) < 1.01
        and abs(step.token.logprob - known[0]) < NEAR
    )


async def _ids_of_tokens(speaker: Speaker, texts: Texts, first: Answer) -> Speaker:
    if not speaker.found.top:
        return speaker
    answer = await speaker.ask(Asked(texts.prompt(speaker.found), 2, top=1))
    choice = answer.choices[0]
    ids = choice.ids is not None or all(step.token.id is not None for step in choice.steps)
    return speaker.but(ids=ids)


async def _heat(speaker: Speaker, texts: Texts, first: Answer) -> Speaker:
    """Whether log-probabilities are the model's own at any temperature."""
    if not speaker.found.top:
        return speaker
    prompt, top = texts.prompt(speaker.found), min(speaker.found.top, 5)
    cold = await first_entries(speaker, Asked(prompt, 1, top=top))
    for seed in (5, 6, 7):  # a server may leave them out where it writes an end or half a character
        hot = await first_entries(speaker, Asked(prompt, 1, top=top, temperature=HOT, seed=seed))
        if hot and _alike(cold[1:], hot[1:]):
            return speaker
    found = speaker.found.noted("log-probabilities of samples are those after the temperature")
    return Speaker(speaker.client, speaker.tokenizer, replace(found, raw=False))


def _alike(some: Sequence[Entry], others: Sequence[Entry]) -> bool:
    """By the tokens that both hold: the one that was drawn may stand beside the most likely ones."""
    pairs = [(a, b) for a in some for b in others if (a.id, a.text) == (b.id, b.text)]
    return bool(pairs) and all(
        a.logprob is not None and b.logprob is not None and abs(a.logprob - b.logprob) < NEAR
        for a, b in pairs
    )


async def _prefilled(speaker: Speaker, texts: Texts) -> Speaker:
    """What a chat's template adds, and whether an answer that has begun is gone on from: then its tokens are
    all that the prompt is longer by; a template that closes the turn adds more. Some repeat the beginning."""
    plain = texts.prompt(speaker.found)
    base = await speaker.ask(Asked(plain, 1))
    if base.read is None:
        return speaker
    speaker = speaker.but(overhead=max(base.read - texts.chat_tokens, 0))
    lengths, repeated = [], []
    for begun in texts.begun:
        messages = [*plain.body["messages"], {"role": "assistant", "content": begun}]
        body = {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}
        try:
            answer = await speaker.ask(Asked(Prompted(body, plain.tokens + 8), 1))
        except Refused:
            return speaker
        lengths.append((answer.read or 0) - base.read)
        repeated.append(answer.choices[0].text.startswith(begun))
    return speaker.but(prefills=lengths == list(texts.begun.values()), repeats=all(repeated))
