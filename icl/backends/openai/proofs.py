"""The proofs of the ways to score: two tokens after one prompt, of which the values are known beforehand."""

from __future__ import annotations

from icl.backends.openai.answers import Entry, Garbled, Step
from icl.backends.openai.client import Refused
from icl.backends.openai.speaking import Asked, Found, Prompted, Speaker, first_step, piece, value_of
from icl.backends.openai.ways import chosen, constraint, forcing, last_of_prompt
from icl.protocols import Tokenizer
from icl.types import TokenIds

PROMPT = "The capital of France is"
QUESTION = "Name three animals that live in the sea."
ODD = (" xylophone", " quartz", "zq", "~", "0")
"""Texts of which at least one begins with a token that no model puts first here."""
NEAR = 0.1
"""Nats: values of one token in one place may differ by so much (precision, batches)."""
BEGUN = ("one", "one two three")
"""Beginnings of an answer."""
CHOICES = ("quartz xylophone", "zinc umbrella")
"""Answers that no model gives on its own."""


class Texts:
    """What the probe sends, tokenised before it begins: the tokenizer may ask the server itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.ids = tuple(tokenizer.encode(PROMPT))
        self.chat_tokens = len(tokenizer.encode(QUESTION))
        opening = len(tokenizer.encode(""))
        self.begun = {text: len(tokenizer.encode(text)) - opening for text in BEGUN}
        self.odd: list[tuple[int, str]] = []
        for text in ODD:
            token = tokenizer.encode(PROMPT + text)
            token = token[len(self.ids) :] if token[: len(self.ids)] == self.ids else token[-1:]
            self.odd += [(token[0], piece(tokenizer, token[0], self.ids))]

    def prompt(self, found: Found) -> Prompted:
        """The prompt of the probe in the words of the endpoint."""
        if found.endpoint == "chat":
            return Prompted({"messages": [{"role": "user", "content": QUESTION}]}, self.chat_tokens + 64)
        return Prompted({"prompt": list(self.ids) if found.takes_ids else PROMPT}, len(self.ids))

    def after(self, found: Found, tokens: TokenIds) -> Prompted:
        """The prompt and tokens after it; only where ids are taken."""
        return Prompted({"prompt": [*self.ids, *tokens]}, len(self.ids) + len(tokens))

    def odd_beside(self, step: Step) -> tuple[int, str]:
        """A token that is not among the most likely ones."""
        top = [step.token, *step.top][:20]
        return next(
            ((t, s) for t, s in self.odd if value_of([Entry(e.id, e.text, 0.0) for e in top], t, s) is None),
            self.odd[-1],
        )


async def prove(speaker: Speaker, texts: Texts) -> Speaker:
    """Which ways of scoring this server has, where it gives log-probabilities; and whether it lets itself be
    constrained."""
    if speaker.found.endpoint == "completions" and speaker.found.top:
        step = first_step(await speaker.ask(Asked(texts.prompt(speaker.found), 1, top=speaker.found.top)))
        for proof in (_token_ids, _forced, _echo, _prompt_logprobs):
            speaker = await proof(speaker, texts, step)
    return await _choice(speaker, texts)


async def _token_ids(speaker: Speaker, texts: Texts, step: Step) -> Speaker:
    """vLLM's logprob_token_ids: the most likely token with the value it has, and an odd one with a lower
    one."""
    best, (odd, text) = step.token, texts.odd_beside(step)
    if best.id is None:
        return speaker
    asked = Asked(texts.prompt(speaker.found), 1, top=1, extra={"logprob_token_ids": [best.id, odd]})
    entries = await first_entries(speaker, asked)
    first, last = value_of(entries, best.id, best.text or ""), value_of(entries, odd, text)
    return speaker.but(token_ids=_right(first, best) and _lower(last, step))


async def _forced(speaker: Speaker, texts: Texts, step: Step) -> Speaker:
    """One token that cannot be the most likely one, made to be written: its value must be the one before."""
    odd, text = texts.odd_beside(step)
    for name in ("logit_bias", "allowed_token_ids"):
        entries = await first_entries(
            speaker, Asked(texts.prompt(speaker.found), 1, top=1, extra=forcing(name, odd))
        )
        value = value_of(entries[:1], odd, text)
        if _lower(value, step):
            return speaker.but(forced=name)
    return speaker


async def _echo(speaker: Speaker, texts: Texts, step: Step) -> Speaker:
    """The prompt's own log-probabilities: as many as it has tokens, and right at the end."""
    best, (odd, _) = step.token, texts.odd_beside(step)
    if best.id is None or not speaker.found.takes_ids:
        return speaker
    for limit in (0, 1):
        values = []
        for token in (best.id, odd):
            asked = Asked(texts.after(speaker.found, (token,)), limit, top=1, extra={"echo": True})
            try:
                steps = (await speaker.ask(asked)).choices[0].steps
            except Refused:
                break
            if len(steps) != len(texts.ids) + 1 + limit:
                break
            values.append(steps[len(texts.ids)].token.logprob)
        if len(values) == 2 and _right(values[0], best) and _lower(values[1], step):
            return speaker.but(echo=limit)
    return speaker


async def _prompt_logprobs(speaker: Speaker, texts: Texts, step: Step) -> Speaker:
    """vLLM's prompt_logprobs, by the same two tokens, each asked twice: values of cached places were seen
    stale."""
    best, (odd, _) = step.token, texts.odd_beside(step)
    if best.id is None or not speaker.found.takes_ids or not speaker.found.extras:
        return speaker
    values = []
    for token in (best.id, odd, best.id, odd):
        asked = Asked(texts.after(speaker.found, (token,)), 1, extra={"prompt_logprobs": 0})
        try:
            values.append(last_of_prompt((await speaker.ask(asked)).choices[0].prompt, (token,)))
        except (Refused, Garbled):
            return speaker
    right = [_right(v[0], best) if at % 2 == 0 else _lower(v[0], step) for at, v in enumerate(values)]
    return speaker.but(prompt_logprobs=all(right))


def _right(value: float | None, best: Entry) -> bool:
    return value is not None and best.logprob is not None and abs(value - best.logprob) < NEAR


def _lower(value: float | None, step: Step) -> bool:
    """Below the least of the most likely ones, as far as that is known."""
    known = [entry.logprob for entry in (step.token, *step.top[:20]) if entry.logprob is not None]
    return value is not None and value <= min(known) + NEAR and value < known[0] - NEAR


async def first_entries(speaker: Speaker, asked: Asked) -> list[Entry]:
    """Of the first token: the one that was written first, then the others; [] where there are none."""
    try:
        step = first_step(await speaker.ask(asked))
    except (Refused, Garbled):
        return []
    return [step.token, *step.top]


async def _choice(speaker: Speaker, texts: Texts) -> Speaker:
    """A constrained answer: must be one of two that no model gives on its own."""
    for name in ("structured_outputs", "guided_choice", "grammar", "response_format"):
        asked = Asked(texts.prompt(speaker.found), 24, extra=constraint(name, CHOICES))
        try:
            answer = await speaker.ask(asked)
        except Refused:
            continue
        if chosen(name, answer.choices[0].text, CHOICES) is not None:
            return speaker.but(choice=name)
    return speaker
