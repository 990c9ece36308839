"""A tiny model that speaks OpenAI's API faithfully, unless it is told not to (`http_server.py` serves it).

Its model is a function: the distribution after a text is drawn from a hash of the text's last bytes, so
that every log-probability is known. Tokens are bytes, as in icl's fake tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

EOS, VOCABULARY = 256, 257
SEEN = 6
"""Tokens on which the next one depends."""
NAME = "tiny"


def next_logprobs(ids: Sequence[int]) -> NDArray[np.float64]:
    """[vocabulary] log-probabilities of what follows; printable characters, mostly."""
    digest = hashlib.blake2b(str(list(ids[-SEEN:])).encode(), digest_size=8).digest()
    logits = np.random.default_rng(int.from_bytes(digest, "little")).normal(0.0, 2.0, VOCABULARY)
    logits[:32] -= 12.0
    logits[127:256] -= 12.0
    logits[EOS] -= 2.0
    logits -= logits.max()
    found: NDArray[np.float64] = logits - np.log(np.exp(logits).sum())
    return found


def logprob(prompt: str, continuation: str) -> float:
    """log P(continuation | prompt), worked out here."""
    ids = list(prompt.encode())
    total = 0.0
    for token in continuation.encode():
        total += float(next_logprobs(ids)[token])
        ids.append(token)
    return total


def text_of(ids: Sequence[int]) -> str:
    return bytes(i for i in ids if i < EOS).decode(errors="replace")


@dataclass
class Behaviour:
    """What the server does. "ok", or what it does instead, in silence or with 400."""

    completions: bool = True
    chat: bool = True
    takes_ids: bool = True
    strict: bool = False
    """Unknown fields are refused."""
    n: str = "ok"  # ignored, refused, copies
    seed: str = "ok"  # ignored
    stop: str = "ok"  # ignored
    limit: str = "ok"  # ignored
    top: int = 20
    """Log-probabilities at most; more are refused. 0: logprobs are ignored."""
    shape: str = "classic"  # chat
    ids: bool = True
    drawn_first: bool = False
    """The most likely tokens of a chat begin with the one that was drawn, in the place of the last (vLLM)."""
    heat: bool = False
    """Log-probabilities are those after the temperature."""
    echo: str = "ok"  # ignored, off_by_one
    prompt_logprobs: str = "ok"  # ignored, stale
    token_ids: str = "ok"  # ignored
    bias: str = "raw"  # after, ignored
    choice: str = "structured_outputs"
    prefill: bool = True
    repeats: bool = False
    """The text of a chat that goes on from an answer begins with that answer."""
    counts: bool = True
    tokenize: bool = True
    key: str = ""
    context: int = 4096
    extra_tokens: int = 0
    """Tokens that the server's tokenizer has more in any text."""
    fault: Callable[[int], str] = field(default=lambda number: "")
    """number of a request for text -> 500, 429, garbage, shape, cut, slow, drop, or "" for none."""
    retry_after: str = "0.05"


EXTRAS = {"top_k", "min_p", "repetition_penalty", "repeat_penalty", "return_token_ids", "echo", "ignore_eos"}
EXTRAS |= {
    "return_tokens_as_token_ids",
    "prompt_logprobs",
    "logprob_token_ids",
    "allowed_token_ids",
    "grammar",
}
EXTRAS |= {"structured_outputs", "guided_choice", "add_generation_prompt", "continue_final_message"}


class Refusal(Exception):
    """(status, words)."""


class Server:
    """The model behind the HTTP, and what it was asked."""

    def __init__(self, does: Behaviour) -> None:
        self.does = does
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.answered = 0
        """Requests for text that were answered whole."""
        self.open = self.most_open = 0
        """Requests that have come and are not answered, slow ones whose client has gone among them."""
        self.at_once = self.most_at_once = 0
        """Those that are being answered."""
        self.url = ""
        self.lock = threading.Lock()
        self._noise = np.random.default_rng(0)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON of an answer. Raises Refusal."""
        does = self.does
        if path == "/v1/models":
            return {"object": "list", "data": [{"id": NAME, "root": NAME, "max_model_len": does.context}]}
        if path == "/tokenize" and does.tokenize:
            text = body["prompt"] if "prompt" in body else self._chat_text(body)[0]
            return {"tokens": list(text.encode())}
        if path == "/detokenize" and does.tokenize:
            return {"prompt": text_of(body["tokens"])}
        if path == "/v1/completions" and does.completions:
            return self._completion(body)
        if path == "/v1/chat/completions" and does.chat:
            return self._completion(body, chat=True)
        raise Refusal(404, "nothing here")

    def _chat_text(self, body: dict[str, Any]) -> tuple[str, bool]:
        """The text of a chat, and whether it goes on from an answer that has begun."""
        messages = list(body["messages"])
        begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else None
        text = "".join(f"<{m['role']}>{m['content']}</{m['role']}>" for m in messages) + "<assistant>"
        if begun is None:
            return text, False
        return (text + begun, True) if self.does.prefill else (f"{text}{begun}</assistant><assistant>", False)

    def _completion(self, body: dict[str, Any], chat: bool = False) -> dict[str, Any]:
        does = self.does
        if body.get("model") != NAME:
            raise Refusal(404, f"no model {body.get('model')}")
        if does.strict and EXTRAS & set(body):
            raise Refusal(400, f"unknown field {min(EXTRAS & set(body))}")
        prompt = self._chat_text(body)[0] if chat else body["prompt"]
        if isinstance(prompt, list) and not does.takes_ids:
            raise Refusal(400, "prompt must be a string")
        ids = list(prompt.encode()) if isinstance(prompt, str) else list(prompt)
        limit = body.get("max_tokens", 16)
        if len(ids) + limit > does.context:
            raise Refusal(
                400, f"maximum context length is {does.context} tokens, {len(ids) + limit} were asked for"
            )
        top = body.get("top_logprobs", 0) if chat else body.get("logprobs") or 0
        if top > max(does.top, 1) and does.top:
            raise Refusal(400, f"logprobs must be at most {does.top}")
        n = body.get("n", 1)
        if n > 1 and does.n == "refused":
            raise Refusal(400, "n must be 1")
        many = 1 if does.n == "ignored" else n
        with self.lock:
            body["draw"] = int(self._noise.integers(1 << 30))
        choices = [self._choice(body, ids, index, top if does.top else 0, chat) for index in range(many)]
        found: dict[str, Any] = {"id": "x", "object": "text_completion", "model": NAME}
        found["choices"] = [choice for choice, _ in choices]
        if does.counts:
            read = len(ids) + (does.extra_tokens if isinstance(prompt, str) else 0)
            found["usage"] = {"prompt_tokens": read, "completion_tokens": sum(made for _, made in choices)}
        return found

    def _choice(
        self, body: dict[str, Any], ids: list[int], index: int, top: int, chat: bool
    ) -> tuple[dict[str, Any], int]:
        does = self.does
        limit = body.get("max_tokens", 16) if does.limit == "ok" else 40
        echo = body.get("echo") and does.echo != "ignored" and not chat
        if body.get("max_tokens") == 0 and not echo:
            limit = 1  # as llama.cpp does
        made, why = self._written(body, ids, limit, index)
        stops = body.get("stop") or []
        text = text_of(made)
        cut = min((text.find(stop) for stop in stops if stop in text), default=-1)
        if cut >= 0 and does.stop == "ok":
            made, text, why = [*text[:cut].encode()], text[:cut], "stop"
        choice: dict[str, Any] = {"index": index, "finish_reason": why, "logprobs": None}
        if body.get("return_token_ids") and does.ids:
            choice["token_ids"] = made
        if top:
            choice["logprobs"] = self._logprobs(body, ids, made, top, chat, bool(echo))
        wanted = body.get("prompt_logprobs")
        if wanted is not None and does.prompt_logprobs != "ignored":
            late = 0.0 if does.prompt_logprobs == "ok" else 1.5 * len(self.asked)
            places = [
                {str(token): {"logprob": float(next_logprobs(ids[:at])[token]) - late}}
                for at, token in enumerate(ids)
            ]
            choice["prompt_logprobs"] = [None, *places[1:]]
        if echo:
            text = text_of(ids) + text
        if chat and does.repeats and body["messages"][-1]["role"] == "assistant":
            text = body["messages"][-1]["content"] + text
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return choice, len(made)

    def _written(self, body: dict[str, Any], ids: list[int], limit: int, index: int) -> tuple[list[int], str]:
        does = self.does
        allowed = self._constrained(body)
        if allowed is not None:
            best = max(allowed, key=lambda text: logprob(text_of(ids), text))
            best = json.dumps({"answer": best}) if "response_format" in body else best
            return list(best.encode()), "stop"
        heat = body.get("temperature", 1.0)
        seed = body.get("seed") if does.seed == "ok" else None
        copy = 0 if does.n == "copies" else index
        draws = np.random.default_rng((body["draw"] if seed is None else seed, copy))
        made: list[int] = []
        for _ in range(limit):
            values = next_logprobs([*ids, *made]).copy()
            if body.get("ignore_eos"):
                values[EOS] = -np.inf
            if does.bias != "ignored":
                for token, bias in (body.get("logit_bias") or {}).items():
                    values[int(token)] += bias
                if body.get("allowed_token_ids"):
                    out = np.setdiff1d(np.arange(VOCABULARY), body["allowed_token_ids"])
                    values[out] = -np.inf
            k = body.get("top_k") or 0
            if k:
                values[np.argsort(-values)[k:]] = -np.inf
            token = int(values.argmax())
            if heat > 0:
                weights = np.exp((values - values.max()) / heat)
                token = int(draws.choice(VOCABULARY, p=weights / weights.sum()))
            made.append(token)
            if token == EOS:
                return made, "stop"
        return made, "length"

    def _constrained(self, body: dict[str, Any]) -> list[str] | None:
        name = self.does.choice
        given = body.get(name)
        if given is None:
            return None
        if name == "structured_outputs":
            return list(given["choice"])
        if name == "guided_choice":
            return list(given)
        if name == "grammar":
            return [part.strip().strip('"') for part in given.removeprefix("root ::= ").split(" | ")]
        return list(given["json_schema"]["schema"]["properties"]["answer"]["enum"])

    def _distribution(self, body: dict[str, Any], context: Sequence[int]) -> NDArray[np.float64]:
        values = next_logprobs(context).copy()
        if self.does.bias == "after":
            for token, bias in (body.get("logit_bias") or {}).items():
                values[int(token)] += bias
        heat = body.get("temperature", 1.0)
        if self.does.heat and heat > 0:
            values /= heat
        values -= values.max()
        return np.asarray(values - np.log(np.exp(values).sum()))

    def _logprobs(
        self, body: dict[str, Any], ids: list[int], made: list[int], top: int, chat: bool, echo: bool
    ) -> dict[str, Any]:
        does = self.does
        whole = [*ids, *made]
        begin = 0 if echo else len(ids)
        if echo and body.get("max_tokens") == 0:
            whole = ids
        named = body.get("logprob_token_ids") if does.token_ids == "ok" else None
        places = []
        for at in range(begin, len(whole)):
            values = self._distribution(body, whole[:at])
            shown = named or [int(i) for i in np.argsort(-values, kind="stable")[:top]]
            if chat and does.drawn_first:
                shown = [whole[at], *(i for i in shown if i != whole[at])][:top]
            shift = 1 if echo and does.echo == "off_by_one" else 0
            token = whole[max(at - shift, 0)]
            places.append(
                (whole[at], float(values[token]) if at else None, [(i, float(values[i])) for i in shown])
            )
        spelt = bool(body.get("return_tokens_as_token_ids")) and does.ids

        def name(token: int) -> str:
            return f"token_id:{token}" if spelt else text_of([token])

        if chat or does.shape == "chat":

            def entry(token: int, value: float | None) -> dict[str, Any]:
                held = {"token": text_of([token]), "bytes": list(text_of([token]).encode()), "logprob": value}
                return {"id": token, **held} if does.ids else held

            rows = [{**entry(t, v), "top_logprobs": [entry(*one) for one in tops]} for t, v, tops in places]
            return {"content": rows}
        return {
            "tokens": [name(token) for token, _, _ in places],
            "token_logprobs": [value for _, value, _ in places],
            "top_logprobs": [
                {name(t): v for t, v in tops} if value is not None else None for _, value, tops in places
            ],
            "text_offset": [0] * len(places),
        }
