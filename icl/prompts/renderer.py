"""Prompts for one task and one model: put together, measured, and fitted into the context window."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from icl.errors import ConfigError, ContextOverflow
from icl.prompts.layout import ChatLayout, Layout, PlainLayout, Turn
from icl.prompts.preference import keep_order
from icl.prompts.stops import answer_stops, chain_stops
from icl.prompts.template import Side, check_templates, render_instruction, render_side
from icl.protocols import Tokenizer
from icl.types import Demonstration, Dropped, Example, Prompt, Query, Task

Style = Literal["answer", "rationale", "closing", "channel"]
ChatMode = Literal["turns", "single"]
Overflow = Literal["drop", "fail"]

PIECES_KEPT = 20_000
"""Demonstrations whose text and length are remembered; beyond this the memory is emptied."""
QUERIES_KEPT, QUERY_LENGTH = 4096, 2000
"""Queries whose text is remembered, of so many characters at most, likewise."""
LENGTHS_KEPT = 65_536
"""Prompts whose length is remembered, likewise."""


class PromptRenderer:
    """Implements `protocols.Renderer`.

    task: what is asked. tokenizer, context_length: of the model the prompts are for; without a length
    nothing is measured or dropped, and prompts say 0 tokens.
    chat: False, plain text; "turns" (or True), the model's chat template with the instruction as
    the system's message and one user and one assistant turn a demonstration; "single", the chat
    template with everything in one user turn.
    overflow: "drop" the least preferred demonstrations until the prompt fits, or "fail".

    Least preferred is the lowest selector score; among equal scores, or when a demonstration has
    no score, the one that stands first, farthest from the query. Nothing is ever cut: a query
    that does not fit on its own raises ContextOverflow.

    The whole prompt is tokenised at once, since tokens merge across the seams of its pieces.
    """

    def __init__(
        self,
        *,
        task: Task,
        tokenizer: Tokenizer,
        context_length: int | None,
        chat: bool | ChatMode = False,
        overflow: Overflow = "drop",
    ) -> None:
        if overflow not in ("drop", "fail"):
            raise ConfigError(f"overflow must be 'drop' or 'fail', not {overflow!r}")
        if chat not in (False, True, "turns", "single"):
            raise ConfigError(f"chat must be false, true, 'turns' or 'single', not {chat!r}")
        if context_length is not None and context_length < 1:
            raise ConfigError(f"context_length must be at least 1, not {context_length}")
        check_templates(task.template, task.inputs, task.instruction, f"task {task.name!r}")
        self.task = task
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.chat: ChatMode | None = "turns" if chat is True else (chat or None)
        self.overflow = overflow
        instruction = render_instruction(task)
        separator = task.template.separator
        self._layout: Layout = (
            PlainLayout(instruction, separator)
            if self.chat is None
            else ChatLayout(instruction, separator, tokenizer, one_turn=self.chat == "single")
        )
        self._lengths: dict[bytes, int] = {}
        self._turns: dict[tuple[int, Style], tuple[Example, Turn]] = {}
        self._answers: dict[tuple[str, str], str] = {}
        self._queries: dict[tuple[object, ...], str] = {}

    def prompt(
        self,
        query: Query,
        demonstrations: Sequence[Demonstration],
        *,
        style: Style = "answer",
        reserve: int = 0,
        suffix: str = "",
        label: str = "",
    ) -> Prompt:
        """The prompt that ends with the query and `suffix`, with as many demonstrations as fit.

        In a chat, `suffix` is how the assistant's answer begins. `reserve` tokens are kept free.
        Raises ContextOverflow if the query does not fit (or, with overflow "fail", if any
        demonstration has to go), ConfigError if a template or a rationale is missing.
        """
        turns = [self._turn(d.example, style) for d in demonstrations]
        head = self._query_side(query, style, label)

        def text_of(kept: Sequence[int]) -> str:
            return self._layout.text([turns[i] for i in kept], head, suffix)

        everything = tuple(range(len(turns)))
        text = text_of(everything)
        tokens = 0 if self.context_length is None else self.length(text)
        if self.context_length is None or tokens + reserve <= self.context_length:
            return Prompt(text, tuple(d.example.id for d in demonstrations), (), tokens)
        if not turns:
            raise ContextOverflow(self._too_long(query, tokens, reserve, "with no demonstration"))
        if self.overflow == "fail":
            raise ContextOverflow(self._too_long(query, tokens, reserve, f"with {len(turns)} demonstrations"))
        return self._fit(query, demonstrations, turns, text_of, tokens, reserve, self.context_length)

    def answer(self, target: str, *, query: Query | None = None, after: str = "") -> str:
        """What follows the prompt for `target`, e.g. " positive".

        `query` is needed only by a template whose answer shows the query's inputs or choices. In a
        chat the answer opens the assistant's turn, so it has no leading space, unless `after`, the
        suffix that the prompt was made with, stands before it.
        """
        known = self._answers.get((target, after)) if query is None else None
        if known is None:
            item = query if query is not None else Query("", {})
            known = self._layout.continuation(render_side(self.task, "answer", item, target), after)
            if query is None and len(self._answers) < PIECES_KEPT:
                self._answers[target, after] = known
        return known

    @property
    def end(self) -> str:
        """What stands after a demonstration's answer: the separator, or what ends a chat's turn."""
        return self._layout.end

    def stops(self, *, chain: bool) -> tuple[str, ...]:
        """Texts at which an answer, or a `chain` of thought with its blank lines, has ended; in a chat
        none: the model ends its turn."""
        if self.chat is not None:
            return ()
        return chain_stops(self.task) if chain else answer_stops(self.task)

    def channel_query(self, query: Query) -> str:
        """The input's side of channel scoring, e.g. " a fine film"."""
        self._need_channel()
        return self._layout.continuation(render_side(self.task, "channel_query", query), "")

    def messages(
        self, query: Query, demonstrations: Sequence[Demonstration], *, style: Style = "answer"
    ) -> list[Mapping[str, str]]:
        """The chat messages of a prompt, for a remote backend that takes messages."""
        turns = [self._turn(d.example, style) for d in demonstrations]
        layout = ChatLayout(
            render_instruction(self.task),
            self.task.template.separator,
            self.tokenizer,
            one_turn=self.chat == "single",
        )
        return layout.messages(turns, self._query_side(query, style, ""))

    def _fit(
        self,
        query: Query,
        demonstrations: Sequence[Demonstration],
        turns: Sequence[Turn],
        text_of: Callable[[Sequence[int]], str],
        tokens: int,
        reserve: int,
        limit: int,
    ) -> Prompt:
        """Keeps the most preferred demonstrations that fit together, in their order.

        The lengths of the pieces say where to start; the whole text, tokenised, decides.
        """
        budget = limit - reserve
        preferred = keep_order(demonstrations)

        def measure(count: int) -> tuple[str, int]:
            text = text_of(sorted(preferred[:count]))
            return text, self.length(text)

        count, estimate = len(turns), tokens
        while count > 0 and estimate > budget:
            count -= 1
            estimate -= turns[preferred[count]].tokens
        text, length = measure(count)
        while count > 0 and length > budget:
            count -= 1
            text, length = measure(count)
        if length > budget:
            raise ContextOverflow(self._too_long(query, length, reserve, "with no demonstration"))
        while count + 1 < len(turns) and (larger := measure(count + 1))[1] <= budget:
            count, (text, length) = count + 1, larger
        reason = f"context: {tokens} tokens + {reserve} reserved > {limit}"
        out = reversed(preferred[count:])
        dropped = tuple(Dropped(demonstrations[i].example.id, reason) for i in out)
        kept = tuple(demonstrations[i].example.id for i in sorted(preferred[:count]))
        return Prompt(text, kept, dropped, length)

    def _need_channel(self) -> None:
        if not self.task.template.channel_query:
            raise ConfigError(
                f"task {self.task.name!r} has no template.channel_answer and template.channel_query, "
                "which channel scoring needs"
            )

    def _query_side(self, query: Query, style: Style, label: str) -> str:
        """Rendered once for the same inputs: rows of other methods ask for them too."""
        channel = style == "channel"
        if channel:
            self._need_channel()
            if not label:
                raise ValueError("a channel prompt needs the label that stands before the query")
        key = (channel and label, *query.inputs.items(), None, *query.choices.items())
        known = self._queries.get(key)
        if known is None:
            side: Side = "channel_answer" if channel else "query"
            known = render_side(self.task, side, query, label if channel else "")
            if len(known) <= QUERY_LENGTH:
                if len(self._queries) >= QUERIES_KEPT:
                    self._queries.clear()
                self._queries[key] = known
        return known

    def _turn(self, example: Example, style: Style) -> Turn:
        """Both sides of a demonstration, rendered and measured once.

        Remembered by the object and not by its id: a method may write its own rationale for an
        example under the example's id.
        """
        key = (id(example), style)
        known = self._turns.get(key)
        if known is not None and known[0] is example:
            return known[1]
        if style == "channel":
            self._need_channel()
            ask = render_side(self.task, "channel_answer", example)
            reply = render_side(self.task, "channel_query", example)
        else:
            ask = render_side(self.task, "query", example)
            reply = render_side(self.task, style, example)
        measured = self.context_length is not None
        turn = Turn(ask, reply, len(self.tokenizer.encode(ask + reply)) if measured else 0)
        if len(self._turns) >= PIECES_KEPT:
            self._turns.clear()
        self._turns[key] = (example, turn)
        return turn

    def length(self, text: str) -> int:
        """Tokens, counted once: cells that differ in their method show the same prompts. Known by a digest,
        since the texts themselves would be the largest thing that a run keeps."""
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._lengths.get(key)
        if known is None:
            known = len(self.tokenizer.encode(text))
            if len(self._lengths) >= LENGTHS_KEPT:
                self._lengths.clear()
            self._lengths[key] = known
        return known

    def _too_long(self, query: Query, tokens: int, reserve: int, what: str) -> str:
        return (
            f"task {self.task.name!r}, query {query.id!r}: the prompt {what} has {tokens} tokens, "
            f"and {reserve} are reserved for the answer; the context holds {self.context_length}"
        )
