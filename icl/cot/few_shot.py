"""Demonstrations with their rationales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from icl.components import check_choice, check_number, check_stops
from icl.cot.shared.chain import RULES, ChainDefaults, Chains, Decoding, Reading
from icl.cot.shared.manual import given_file, published_file, read_demonstrations
from icl.cot.shared.nested import inner_selector
from icl.cot.shared.shown import (
    OwnDemonstrations,
    Shown,
    Writing,
    require_rationales,
    with_rationale,
    write_chains,
)
from icl.labels import renderer_of
from icl.prompts.answers import Where
from icl.prompts.answers.parse import Rules
from icl.protocols import Resources, methods
from icl.types import Demonstration, Example, Query

Missing = Literal["refuse", "drop"]
Show = Literal["rationale", "answer", "bare"]
STYLES: Mapping[Show, Literal["rationale", "closing", "answer"]] = {
    "rationale": "rationale",
    "answer": "closing",
    "bare": "answer",
}


class _Needs:
    """`needs`: the renderer, and what a selector of its own needs."""

    def __get__(self, method: Any, owner: type) -> frozenset[str]:
        own = frozenset({"renderer"})
        if method is None or method.selector is None:
            return own
        return own | inner_selector(method.selector).needs


@methods.register(
    "few_shot",
    paper="Wei et al. 2022, Chain-of-Thought Prompting Elicits Reasoning in Large Language Models",
)
class FewShot(ChainDefaults):
    """Few-shot chain of thought: each demonstration is followed by its rationale and its answer.

    The demonstrations are those of the experiment's selector, with the pool's rationales, unless
    one of these says otherwise:
    `manual`: true for the published demonstrations of Wei et al. for the task, or the name of a
    set (math, aqua, ...). They are read from <ICL_DATA>/prompts/cot_wei.
    `prompts`: a JSONL file of one's own, {question, rationale, answer, choices} a line.
    `selector`: a selector of the method's own, asked for `shots` demonstrations.
    `show`: "rationale"; "answer", standard prompting with the same demonstrations, the published
    baseline ("A: The answer is 6."); "bare", the answer without a sentence ("A: 6"). The last two
    need no rationale.
    `missing`: what becomes of pool examples without a rationale: "refuse" them (an error before
    the model is asked) or "drop" them from the prompt, recorded there.
    `max_tokens`: of the chain and answer. `stop`: by default the beginning of the next question.
    `rules`: "robust", or "zero_shot_cot" for the published cleansing of Kojima et al. The answer
    is the first after the last "The answer is", without that phrase the last match.
    """

    needs = _Needs()  # type: ignore[assignment]

    def __init__(
        self,
        *,
        manual: bool | str = False,
        prompts: str | None = None,
        selector: str | Mapping[str, Any] | object | None = None,
        shots: int = 8,
        show: Show = "rationale",
        missing: Missing = "refuse",
        max_tokens: int = 256,
        stop: Sequence[str] | None = None,
        rules: Rules = "robust",
    ) -> None:
        if not isinstance(manual, bool | str):
            raise ValueError(f"manual is {manual!r}; allowed: true, false, the name of a set")
        if prompts is not None and not isinstance(prompts, str):
            raise ValueError(f"prompts is {prompts!r}; allowed: the path of a JSONL file")
        if selector is not None:
            inner_selector(selector)
        if sum([bool(manual), prompts is not None, selector is not None]) > 1:
            raise ValueError("manual, prompts and selector each say which demonstrations to show; give one")
        check_number("shots", shots, low=1, whole=True)
        check_choice("show", show, tuple(STYLES))
        check_choice("missing", missing, ("refuse", "drop"))
        check_number("max_tokens", max_tokens, low=1, whole=True)
        if stop is not None:
            check_stops(stop)
        check_choice("rules", rules, RULES)
        self.manual = manual
        self.prompts = prompts
        self.selector = selector
        self.shots = shots
        self.show = show
        self.missing = missing
        self.max_tokens = max_tokens
        self.stop = stop
        self.rules = rules

    @property
    def shows_selected(self) -> bool:  # type: ignore[override]
        """Whether it has no demonstrations of its own."""
        return not self.manual and self.prompts is None and self.selector is None

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Reads the demonstrations, or sees that the pool has rationales.

        ConfigError or DataError where there is nothing to show.
        """
        self._own: OwnDemonstrations | None = None
        self._selector = None
        if self.manual or self.prompts is not None:
            task = resources.task
            path = given_file(self.prompts) if self.prompts is not None else published_file(self.manual, task)
            self._own = OwnDemonstrations(read_demonstrations(path, task), resources.duplicate_threshold)
        else:
            if self.show == "rationale":
                require_rationales(pool, resources, "few_shot", drop=self.missing == "drop")
            if self.selector is not None:
                self._selector = inner_selector(self.selector).fit(pool, resources)
        return self

    def shown(self, query: Query, demonstrations: Sequence[Demonstration]) -> Shown:
        """What stands in the query's prompt, instead of or out of `demonstrations`."""
        if self._own is not None:
            return self._own.show(query)
        if self._selector is not None:
            (demonstrations,) = self._selector.select([query], self.shots)
        return with_rationale(demonstrations) if self.show == "rationale" else Shown(tuple(demonstrations))

    def written(self, query: Query, shown: Shown, resources: Resources, decoding: Decoding) -> Chains:
        """Chains after a prompt that shows `shown`."""
        stop = renderer_of(resources).stops(chain=True) if self.stop is None else tuple(self.stop)
        where: Where = "first" if self.show == "bare" else "trigger"
        writing = Writing(self.max_tokens, stop, Reading(where, self.rules), style=STYLES[self.show])
        return (yield from write_chains(query, shown, resources, decoding, writing))

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """One request for `decoding.n` chains."""
        return (yield from self.written(query, self.shown(query, demonstrations), resources, decoding))
