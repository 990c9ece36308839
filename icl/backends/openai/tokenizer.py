"""Text <-> token ids: by the server's own calls, or by a tokenizer that is at hand.

Special tokens are read in a text (`parse_special` of llama.cpp, what vLLM does always), as the tokenizer
files of a model do: a chat template's marks are to be tokens. What stands around a text (BOS) is added once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from icl.backends.openai.answers import Garbled
from icl.backends.openai.client import Client, Refused
from icl.engine.loading.chat import ChatTemplate
from icl.engine.loading.special import Wrapping, wrapping
from icl.errors import ModelError, RequestError
from icl.protocols import Tokenizer
from icl.types import TokenIds

KEPT = 20_000
"""Texts whose ids are remembered, and the other way round; beyond this the memory is emptied."""
BATTERY = (
    "Hello, world!",
    "The film was neither good nor bad; it cost $12,345.67 in 1999.",
    "  two spaces\n\n\ttab",
    "naïve Übergröße, 中文字符, العربية, 🙂",
    "def f(x):\n    return x ** 2 # ok",
    "A:B;C/D\\E'F\"G",
    "antidisestablishmentarianism",
)
"""Texts by which tokenizers are compared."""
T = TypeVar("T")


class ServerTokenizer:
    """The calls beside OpenAI's API that llama.cpp and vLLM have: /tokenize, /detokenize, chat templates.

    Its fingerprint is that of some texts, since a server does not show its vocabulary.
    """

    def __init__(self, client: Client, names: Sequence[str] = ()) -> None:
        """names: what the server says that it serves; asked first, so that a server that is down or refuses
        the key is said as such."""
        self._client = client
        self.names = names
        self._root = client.settings.root
        self._ids_of: dict[tuple[str, bool], TokenIds] = {}
        self._text_of: dict[TokenIds, str] = {}
        try:
            self._ids("a", True)
        except (Refused, ModelError) as error:
            if not isinstance(error, Refused) and "no JSON" not in str(error):
                raise
            raise ModelError(
                f"{client.settings.base_url}: the server does not tokenise ({self._root}/tokenize). Give the "
                "model's tokenizer: a hub id or a path, tokenizer: owner/name"
            ) from None

    @cached_property
    def _props(self) -> Mapping[str, Any]:
        """llama.cpp's account of itself; {} of others."""
        try:
            found = self._client.one(f"{self._root}/props", None, _mapping)
        except ModelError:
            return {}
        return found

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """The end-of-text token where the server says it; else none is known."""
        text = self._props.get("eos_token")
        ids = self._ids(text, False) if isinstance(text, str) and text else ()
        return frozenset(ids) if len(ids) == 1 else frozenset()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the ids of some texts."""
        ids = [self.encode(text) for text in BATTERY]
        return "server-" + hashlib.blake2b(json.dumps(ids).encode(), digest_size=8).hexdigest()

    @cached_property
    def _wrapping(self) -> Wrapping:
        return wrapping(lambda text: self._ids(text, False), lambda text: self._ids(text, True))

    def _ids(self, text: str, special: bool) -> TokenIds:
        known = self._ids_of.get((text, special))
        if known is None:
            known = self._client.one(f"{self._root}/tokenize", self._asked(text, special), _token_list)
            _keep(self._ids_of, (text, special), known)
        return known

    def _asked(self, text: str, special: bool) -> dict[str, Any]:
        """One body for both makes of server."""
        return {
            "model": self._client.settings.model,
            "content": text,
            "prompt": text,
            "add_special": special,
            "add_special_tokens": special,
            "parse_special": True,
        }

    def encode(self, text: str) -> TokenIds:
        """See Tokenizer."""
        return self._wrapping.begin(self._ids(text, False))

    def encode_many(self, texts: Sequence[str]) -> list[TokenIds]:
        """`encode` of each text, asked side by side."""
        missing = [text for text in dict.fromkeys(texts) if (text, False) not in self._ids_of]
        path = f"{self._root}/tokenize"
        jobs = [
            lambda text=text: self._client.post(path, self._asked(text, False), _token_list)
            for text in missing
        ]
        found = {missing[at]: ids for at, ids in self._client.run(jobs)}
        for text, ids in found.items():
            _keep(self._ids_of, (text, False), ids)
        body = {**{text: self._ids_of[text, False] for text in texts if text not in found}, **found}
        return [self._wrapping.begin(body[text]) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """See Tokenizer."""
        plain = tuple(i for i in ids if i not in self.eos_ids)
        if not plain:
            return ""
        known = self._text_of.get(plain)
        if known is None:
            body = {"model": self._client.settings.model, "tokens": list(plain)}
            known = self._client.one(f"{self._root}/detokenize", body, _text)
            _keep(self._text_of, plain, known)
        return known

    @cached_property
    def _template(self) -> ChatTemplate:
        def write(messages: Sequence[Mapping[str, str]]) -> str:
            said = [dict(m) for m in messages]
            try:
                found: str = self._client.one(f"{self._root}/apply-template", {"messages": said}, _text)
                return found
            except Refused:
                body = {"model": self._client.settings.model, "messages": said, "add_generation_prompt": True}
                ids = self._client.one(f"{self._root}/tokenize", body, _token_list)
                text: str = self._client.one(
                    f"{self._root}/detokenize",
                    {"model": self._client.settings.model, "tokens": list(ids)},
                    _text,
                )
                if self._ids(text, False) != ids:
                    raise ValueError(
                        "the server does not show its template; give the tokenizer: a hub id or a path"
                    ) from None
                return text

        return ChatTemplate(write, (), self._client.settings.base_url)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """See Tokenizer. By the server's own template."""
        return self._template.text(messages)


OPENS, CLOSES = "⟪{}⟫", "⟪/{}⟫\n"
ROLES = ("system", "user", "assistant")
MARK = re.compile("⟪/?(?:" + "|".join(ROLES) + ")⟫")
TURN = re.compile("⟪(?P<role>" + "|".join(ROLES) + ")⟫(?P<said>.*?)⟪/(?P=role)⟫\n", re.DOTALL)
LAST = OPENS.format("assistant")


class MessageTokenizer:
    """A tokenizer for a server that takes messages only: `chat` writes them with marks of icl's own, which
    `messages_of` reads back. Lengths are those of the marked text, which is about as long as a template's."""

    def __init__(self, behind: Tokenizer) -> None:
        self._behind = behind
        self.eos_ids = behind.eos_ids
        self.fingerprint = behind.fingerprint

    def encode(self, text: str) -> TokenIds:
        """See Tokenizer."""
        return self._behind.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """See Tokenizer."""
        return self._behind.decode(ids)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The messages between marks. RequestError for one that holds a mark."""
        turns = []
        for message in messages:
            role, said = message["role"], message["content"]
            if (found := MARK.search(said)) is not None:
                raise RequestError(f"a message holds {found.group()!r}, by which icl tells turns apart")  # type: ignore[union-attr]
            turns.append(OPENS.format(role) + said + CLOSES.format(role))
        return "".join(turns) + LAST


def messages_of(text: str) -> tuple[list[dict[str, str]], str]:
    """The messages of a prompt and what the answer already begins with. A text without marks is the
    user's."""
    if not text.startswith(tuple(OPENS.format(role) for role in ROLES)):
        return [{"role": "user", "content": text}], ""
    messages, at = [], 0
    while (turn := TURN.match(text, at)) is not None:
        messages.append({"role": turn["role"], "content": turn["said"]})
        at = turn.end()
    if not text.startswith(LAST, at):
        return [{"role": "user", "content": text}], ""
    return messages, text[at + len(LAST) :]


def _keep(memory: dict[Any, Any], key: object, value: object) -> None:
    if len(memory) >= KEPT:
        memory.clear()
    memory[key] = value


def _mapping(body: object) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise Garbled("an answer that is no JSON object")
    return body


def _token_list(body: object) -> TokenIds:
    tokens = _mapping(body).get("tokens")
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise Garbled("no list of tokens")
    return tuple(tokens)


def _text(body: object) -> str:
    found = _mapping(body)
    text = next((found[key] for key in ("content", "prompt") if key in found), None)
    if not isinstance(text, str):
        raise Garbled("no text")
    return text
