"""Probes: unlabelled in-domain texts that the model writes itself (Lu et al. 2022, section 3.1).

The model is shown the demonstrations and the beginning of the next one, up to where its first
input would stand, and goes on. As in the authors' code, tokens of the template and of the labels may
repeat where n-grams may not, and are taken where they are the most likely: at temperature 2 the form
would be lost with the first line break else. What it writes is read back by the task's own
template; the labels it writes are discarded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from icl.encoders.words import words
from icl.errors import ConfigError
from icl.labels import renderer_of
from icl.prompts.template import render_side
from icl.protocols import Renderer, Resources, Tokenizer
from icl.tasks.duplicates import normalise
from icl.types import Demonstration, Example, Query, Task, TokenIds

# Private-use characters: no text of a task holds them and no `strip` takes them away.
_MARK = "\ue000{}\ue001"


@dataclass(frozen=True, slots=True)
class QueryShape:
    """The fixed words of a task's query: before, between and after its inputs."""

    names: tuple[str, ...]
    """The inputs in the order in which the template shows them."""
    head: str
    gaps: tuple[str, ...]
    tail: str
    separator: str

    @classmethod
    def of(cls, task: Task) -> QueryShape:
        """Read off a rendered query. ConfigError where the template does not show every input once."""
        text = render_side(task, "query", _marked(task))
        pieces = re.split("\ue000(\\d+)\ue001", text)
        names = tuple(task.inputs[int(at)] for at in pieces[1::2])
        if sorted(names) != sorted(task.inputs):
            raise ConfigError(
                f"task {task.name!r}: probes cannot be read back, since template.query does not show each of "
                f"its inputs ({', '.join(task.inputs)}) exactly once and unchanged"
            )
        fixed = pieces[::2]
        return cls(names, fixed[0].strip(), tuple(fixed[1:-1]), fixed[-1].strip(), task.template.separator)

    def read(self, written: str) -> list[dict[str, str]]:
        """The inputs of every item in a text that goes on after `head`, in order.

        An item ends where the template's words after the last input begin, at the end of the line
        or at the separator; one that lacks an input is left out.
        """
        if self.head:
            blocks = re.split(rf"(?:^|\n)[ \t]*{re.escape(self.head)}", written)
        else:
            blocks = written.split(self.separator)
        if self.separator.strip(" \t"):
            blocks = [block.split(self.separator, 1)[0] for block in blocks]
        return [item for block in blocks if (item := self._item(block)) is not None]

    def _item(self, block: str) -> dict[str, str] | None:
        values, rest = [], block
        for gap in self.gaps:
            value, found, rest = rest.partition(gap.strip() or "\n")
            if not found:
                return None
            values.append(value)
        last = rest.lstrip().split("\n", 1)[0]
        values.append(last.split(self.tail, 1)[0] if self.tail else last)
        texts = [" ".join(value.split()) for value in values]
        return dict(zip(self.names, texts, strict=True)) if all(texts) else None


def probe_prompt(
    task: Task, renderer: Renderer, demonstrations: Sequence[Demonstration], max_tokens: int
) -> str:
    """Demonstrations and the next item's beginning, with room for `max_tokens`."""
    text = renderer.prompt(_marked(task), demonstrations, reserve=max_tokens).text
    return text[: text.index("\ue000")].rstrip(" \t")


def template_ids(task: Task, tokenizer: Tokenizer) -> TokenIds:
    """The tokens of a task's fixed words and of its labels, ascending: what a probe's form is made of.

    As they stand alone and behind a full stop, with which many tokenizers join a line break. Without
    the tokens that open or end a text.
    """
    marked = _marked(task)
    query = render_side(task, "query", marked)
    found: set[int] = set()
    for label in task.labels:
        answer = render_side(task, "answer", Example("", marked.inputs, label))
        between = task.template.separator
        for piece in re.split("\ue000\\d+\ue001", f"{between}{query}{answer}{between}{query}"):
            found.update(tokenizer.encode(piece))
            stop, whole = tokenizer.encode("."), tokenizer.encode(f".{piece}")
            found.update(whole[len(stop) :] if whole[: len(stop)] == stop else whole)
    return tuple(sorted(found - set(tokenizer.encode("")) - tokenizer.eos_ids))


def collect(written: Sequence[str], shape: QueryShape, min_words: int) -> list[Query]:
    """The different texts of at least `min_words` words among all that was written."""
    kept: dict[str, Query] = {}
    for text in written:
        for inputs in shape.read(text):
            joined = "\n".join(inputs.values())
            if len(words(joined)) >= min_words:
                kept.setdefault(normalise(joined), Query(f"probe{len(kept)}", inputs))
    return list(kept.values())


def _marked(task: Task) -> Query:
    return Query("", {name: _MARK.format(at) for at, name in enumerate(task.inputs)})


def check_probes(resources: Resources, orderer: str) -> QueryShape:
    """The shape of the task's query. ConfigError for tasks whose items are more than their inputs."""
    task = resources.task
    if task.kind not in ("classification", "boolean"):
        raise ConfigError(
            f"orderer {orderer!r} and task {task.name!r} do not fit: its probes are texts without choices, "
            f"for tasks of kind classification or boolean, not {task.kind}"
        )
    renderer_of(resources)
    return QueryShape.of(task)
