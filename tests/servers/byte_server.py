"""A made-up OpenAI-compatible server over bytes, whose log-probabilities anybody can work out again.

What it can do is given, so that every way of scoring meets a server that has just that. Token i < 256 is a
byte, 256 ends a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .loopback import Answered, Asked

EOS = 256
Ids = tuple[int, ...]
MEMORY = 6
"""Bytes that the next one depends on."""


@lru_cache(maxsize=1 << 16)
def next_logprobs(ids: Ids) -> NDArray[np.float64]:
    """[257] log-probabilities of what follows; only the last `MEMORY` ids count."""
    if len(ids) > MEMORY:
        return next_logprobs(ids[-MEMORY:])
    digest = hashlib.blake2b(repr(ids).encode(), digest_size=8).digest()
    logits = np.random.default_rng(int.from_bytes(digest, "little")).normal(0, 2, EOS + 1)
    logits[128:] -= 30  # no half characters, and an end is rare
    logits[:32] -= 30
    found: NDArray[np.float64] = logits - np.logaddexp.reduce(logits)
    return found


def logprob(prompt: str, continuation: str) -> float:
    """Of all bytes of `continuation` after `prompt`."""
    before, ids = tuple(prompt.encode()), tuple(continuation.encode())
    return float(sum(next_logprobs(before + ids[:at])[token] for at, token in enumerate(ids)))


@dataclass(frozen=True)
class Can:
    """What the server does; what it does not, it ignores in silence, as real ones do."""

    completions: bool = True
    echo: bool = True
    """Log-probabilities of the prompt."""
    top: int = 5
    """Most log-probabilities a token; 0: none at all."""
    token_ids: bool = False
    """`logprob_token_ids`, of vLLM."""
    prompt_logprobs: bool = False
    """Of vLLM."""
    bias: bool = True
    """`logit_bias`."""
    n: bool = True
    seed: bool = True
    stop: bool = True
    context: int = 4096
    most_n: int = 128


class ByteServer:
    """A handler for `Loopback`."""

    def __init__(self, can: Can = Can(), name: str = "bytes") -> None:
        self.can = can
        self.name = name
        self.drawn = 0
        """Texts made without a seed, each of which differs."""

    async def __call__(self, asked: Asked) -> Answered:
        """Completions, chat, the models; the tokenise call of llama.cpp and of vLLM."""
        path = asked.path.removeprefix("/v1")
        if path == "/models":
            return Answered.of({"object": "list", "data": [{"id": self.name, "object": "model"}]})
        if path in ("/tokenize", "/detokenize"):
            return self._tokens(path, asked.json)
        if path == "/completions" and self.can.completions:
            return self._completions(asked.json)
        if path == "/chat/completions":
            return self._chat(asked.json)
        return Answered.refused(404, "Not Found")

    def _tokens(self, path: str, body: dict[str, Any]) -> Answered:
        if path == "/detokenize":
            text = bytes(i for i in body["tokens"] if i < EOS).decode(errors="replace")
            return Answered.of({"content": text, "prompt": text})
        ids = list(body.get("content", body.get("prompt", "")).encode())
        return Answered.of({"tokens": ids, "count": len(ids), "max_model_len": self.can.context})

    def _completions(self, body: dict[str, Any]) -> Answered:
        prompts = _prompts(body["prompt"])
        limit = 16 if body.get("max_tokens") is None else body["max_tokens"]
        if any(len(prompt) + limit > self.can.context for prompt in prompts):
            return Answered.refused(400, f"This model's maximum context length is {self.can.context} tokens")
        n = body.get("n") or 1 if self.can.n else 1
        if n > self.can.most_n:
            return Answered.refused(400, f"Field 'n': Value must be between 1 <= value <= {self.can.most_n}")
        choices = [self._choice(prompt, body, at, limit) for prompt in prompts for at in range(n)]
        made = sum(choice.pop("made") for choice in choices)
        read = sum(map(len, prompts))
        usage = {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}
        rows = [{"index": index, **choice} for index, choice in enumerate(choices)]
        return Answered.of(
            {"id": "x", "object": "text_completion", "created": 0, "model": self.name}
            | {"choices": rows, "usage": usage}
        )

    def _choice(self, prompt: Ids, body: dict[str, Any], at: int, limit: int) -> dict[str, Any]:
        ids = self._generated(prompt, body, at, limit)
        text, reason = _decoded(ids), "stop" if ids[-1:] == (EOS,) else "length"
        stops = body.get("stop") or [] if self.can.stop else []
        cuts = [c for c in (text.find(s) for s in ([stops] if isinstance(stops, str) else stops)) if c >= 0]
        if cuts:
            text, reason = text[: min(cuts)], "stop"
            ids = ids[: len(text.encode())]
        echoed = bool(body.get("echo")) and self.can.echo
        choice: dict[str, Any] = {"text": _decoded(prompt) + text if echoed else text}
        choice |= {"finish_reason": reason, "logprobs": None, "made": len(ids)}
        top = body.get("logprobs")
        if top is not None and self.can.top:
            first = 0 if echoed else len(prompt)
            choice["logprobs"] = self._logprobs(prompt + ids, first, min(top, self.can.top), body)
        if body.get("prompt_logprobs") is not None and self.can.prompt_logprobs:
            choice["prompt_logprobs"] = [None] + [
                {str(prompt[i]): _row(next_logprobs(prompt[:i]), prompt[i])} for i in range(1, len(prompt))
            ]
        return choice

    def _generated(self, prompt: Ids, body: dict[str, Any], at: int, limit: int) -> Ids:
        bias = {int(i): float(b) for i, b in (body.get("logit_bias") or {}).items()} if self.can.bias else {}
        temperature = 1.0 if body.get("temperature") is None else body["temperature"]
        seed = body.get("seed") if self.can.seed else None
        if seed is None:
            self.drawn += 1
            seed = 10**9 + self.drawn
        draw = np.random.default_rng([seed, at])
        ids: Ids = ()
        while len(ids) < limit and ids[-1:] != (EOS,):
            logits = next_logprobs((prompt + ids)[-MEMORY:]).copy()
            for token, added in bias.items():
                logits[token] += added
            if temperature > 0:
                logits = logits / temperature + draw.gumbel(size=len(logits))
            ids += (int(np.argmax(logits)),)
        return ids

    def _logprobs(self, ids: Ids, first: int, top: int, body: dict[str, Any]) -> dict[str, Any]:
        rows: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        wanted = body.get("logprob_token_ids") if self.can.token_ids else None
        named = (lambda i: f"token_id:{i}") if body.get("return_tokens_as_token_ids") else _name
        for at in range(first, len(ids)):
            rows["tokens"].append(named(ids[at]))
            rows["text_offset"].append(at)
            if at == 0:
                rows["token_logprobs"].append(None)
                rows["top_logprobs"].append(None)
                continue
            found = next_logprobs(ids[max(0, at - MEMORY) : at])
            best = list(np.argsort(-found, kind="stable")[:top]) if wanted is None else wanted
            rows["token_logprobs"].append(float(found[ids[at]]))
            rows["top_logprobs"].append({named(int(i)): float(found[i]) for i in [*best, ids[at]]})
        return rows

    def _chat(self, body: dict[str, Any]) -> Answered:
        turns = [f"<{m['role']}>{m['content']}</{m['role']}>" for m in body["messages"]]
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or 16
        ids = tuple(("".join(turns) + "<assistant>").encode())
        rows = []
        made = 0
        for index in range(body.get("n") or 1 if self.can.n else 1):
            choice = self._choice(ids, {**body, "logprobs": None}, index, limit)
            new = tuple(choice["text"].encode())
            made += choice.pop("made")
            row = {"index": index, "finish_reason": choice["finish_reason"], "logprobs": None}
            row["message"] = {"role": "assistant", "content": choice["text"]}
            if body.get("logprobs") and self.can.top:
                top = min(body.get("top_logprobs") or 0, self.can.top)
                row["logprobs"] = {
                    "content": [_chat_row(ids + new[:i], new[i], top) for i in range(len(new))]
                }
            rows.append(row)
        usage = {"prompt_tokens": len(ids), "completion_tokens": made, "total_tokens": len(ids) + made}
        return Answered.of(
            {"id": "x", "object": "chat.completion", "created": 0, "model": self.name}
            | {"choices": rows, "usage": usage}
        )


def _prompts(prompt: Any) -> list[Ids]:
    """Of all forms that the API has."""
    if isinstance(prompt, str):
        return [tuple(prompt.encode())]
    if prompt and isinstance(prompt[0], int):
        return [tuple(prompt)]
    return [ids for one in prompt for ids in _prompts(one)]


def _decoded(ids: Sequence[int]) -> str:
    return bytes(i for i in ids if i < EOS).decode(errors="replace")


def _name(token: int) -> str:
    return "<end>" if token == EOS else chr(token) if token < 128 else f"bytes:\\x{token:02x}"


def _row(found: NDArray[np.float64], token: int) -> dict[str, Any]:
    rank = int((found > found[token]).sum()) + 1
    return {"logprob": float(found[token]), "rank": rank, "decoded_token": _name(token)}


def _chat_row(before: Ids, token: int, top: int) -> dict[str, Any]:
    found = next_logprobs(before[-MEMORY:])

    def said(i: int) -> dict[str, Any]:
        return {"token": _name(i), "logprob": float(found[i]), "bytes": [i] if i < EOS else []}

    return {**said(token), "top_logprobs": [said(int(i)) for i in np.argsort(-found, kind="stable")[:top]]}
