"""The ways in which labels can be scored, and which of them a server allows.

    token_ids        the next token's, of tokens that are named: one request a place, from the server's cache
    forced           the next token's, of one token that is made to be written: a request a token
    echo             a prompt's own, prompt and continuation together: a request a continuation
    prompt_logprobs  the same by vLLM's field
    top_k            the next token's, of the most likely ones; of those that are missing an upper bound
    choice           which continuation the server chooses under a constraint: no log-probabilities

The first four give what a forward pass gives. The last two say which values are bounds (`Scores.bounded`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icl.backends.openai.answers import Garbled
from icl.backends.openai.client import Refused
from icl.backends.openai.speaking import Found
from icl.types import TokenIds

EXACT_NEXT = ("token_ids", "forced")
WHOLE = ("echo", "prompt_logprobs")


@dataclass(frozen=True, slots=True)
class Way:
    """How scores are made: place by place, as a whole where that takes fewer requests, or neither."""

    step: str = ""
    whole: str = ""
    choice: str = ""

    @property
    def exact(self) -> bool:
        """Whether every value is what a forward pass gives."""
        return not self.choice and self.step != "top_k"

    def __str__(self) -> str:
        if self.choice:
            return f"choice ({self.choice})"
        return " + ".join(name for name in (self.step, self.whole) if name) or "none"


def way_of(found: Found, wanted: str) -> Way:
    """By the option `scoring`; "auto": exact values before bounds before choices. Way() where there is
    none."""
    steps = {"token_ids": found.token_ids, "forced": bool(found.forced), "top_k": bool(found.top)}
    wholes = {"echo": found.echo is not None, "prompt_logprobs": found.prompt_logprobs}
    if wanted == "choice":
        return Way(choice=found.choice)
    if wanted != "auto":
        return Way(step=wanted if steps.get(wanted) else "", whole=wanted if wholes.get(wanted) else "")
    step = next((name for name in EXACT_NEXT if steps[name]), "")
    whole = next((name for name in WHOLE if wholes[name]), "")
    if step or whole:
        return Way(step, whole)
    return Way(step="top_k") if steps["top_k"] else Way(choice=found.choice)


def refusal(base_url: str, wanted: str, found: Found) -> Refused:
    """Where nothing can be scored: what would work instead."""
    asked = "labels cannot be scored" if wanted == "auto" else f"labels cannot be scored by {wanted}"
    can = str(way_of(found, "auto"))
    other = f"; scoring: auto would take {can}" if can != "none" and wanted != "auto" else ""
    return Refused(
        f"{base_url}: {asked} there (the probe saw neither log-probabilities nor a constrained choice that "
        f"does it){other}. Methods that write their answer work: generate, or few_shot and "
        "self_consistency where there are chains of thought"
    )


def forcing(name: str, token: int) -> dict[str, Any]:
    """The field that makes a server write `token` next."""
    return {name: {str(token): 100}} if name == "logit_bias" else {name: [token]}


def constraint(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """The field that makes the answer one of `texts`: vLLM's two, llama.cpp's grammar, OpenAI's JSON
    schema."""
    if name == "structured_outputs":
        return {name: {"choice": list(texts)}}
    if name == "guided_choice":
        return {name: list(texts)}
    if name == "grammar":
        quoted = (text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for text in texts)
        return {name: "root ::= " + " | ".join(f'"{text}"' for text in quoted)}
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(texts)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {
        name: {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    }


def chosen(name: str, text: str, texts: Sequence[str]) -> int | None:
    """Which of `texts` was answered; None for another text."""
    if name == "response_format":
        try:
            text = json.loads(text)["answer"]
        except (ValueError, TypeError, KeyError):
            return None
    return list(texts).index(text) if text in texts else None


def last_of_prompt(prompt: Sequence[Mapping[str, Any] | None] | None, ids: TokenIds) -> tuple[float, ...]:
    """The log-probabilities of the last tokens of a prompt. Garbled where they are not there."""
    if not isinstance(prompt, Sequence) or len(prompt) < len(ids):
        raise Garbled("an answer without the prompt_logprobs that were asked for")
    found = []
    for place, token in zip(prompt[len(prompt) - len(ids) :], ids, strict=True):
        entry = place.get(str(token)) if isinstance(place, Mapping) else None
        value = entry.get("logprob") if isinstance(entry, Mapping) else None
        if not isinstance(value, int | float):
            raise Garbled("prompt_logprobs without the token that stands there")
        found.append(float(value))
    return tuple(found)
