"""Two stages without a demonstration: first the reasoning, then the answer out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from icl.components import check_choice, check_number
from icl.cot.shared.chain import (
    RULES,
    Chain,
    ChainDefaults,
    Chains,
    Decoding,
    Reading,
    read_answer,
)
from icl.cot.shared.continuation import extend, ids_after, ids_of, tokenizer_of
from icl.cot.shared.triggers import answer_trigger, placed, reasoning_trigger
from icl.labels import renderer_of
from icl.prompts.answers import cut_run_on
from icl.prompts.answers.parse import Rules
from icl.protocols import Resources, methods
from icl.types import Demonstration, GenerateRequest, Generation, Prompt, Query, Request, Sample


@methods.register("zero_shot", paper="Kojima et al. 2022, Large Language Models are Zero-Shot Reasoners")
class ZeroShot(ChainDefaults):
    """Zero-shot chain of thought: "Let's think step by step.", then the answer from the reasoning.

    Demonstrations are not shown, whatever the selector chose.
    `trigger`: what opens the reasoning; `answer_trigger`: what asks for the answer after it. By
    default the published sentences by answer format, in the task's language (English, Chinese).
    `max_tokens`: of the reasoning; `max_answer_tokens`: of the answer.
    `rules`: "robust", or "zero_shot_cot" for the published cleansing. Either takes the first match.

    The second stage's prompt is given as token ids, so that the engine goes on from the first
    stage's prompt and chain where it still holds them. Flag cut_by_length: the reasoning was cut;
    the answer was asked for all the same, as published.
    """

    shows_selected = False
    needs = frozenset({"renderer", "model"})

    def __init__(
        self,
        *,
        trigger: str | None = None,
        answer_trigger: str | None = None,
        max_tokens: int = 128,
        max_answer_tokens: int = 32,
        rules: Rules = "robust",
    ) -> None:
        for name, value in (("trigger", trigger), ("answer_trigger", answer_trigger)):
            if value is not None and not (isinstance(value, str) and value.strip()):
                raise ValueError(f"{name} is {value!r}; allowed: a text")
        check_number("max_tokens", max_tokens, low=1, whole=True)
        check_number("max_answer_tokens", max_answer_tokens, low=1, whole=True)
        check_choice("rules", rules, RULES)
        self.trigger = trigger
        self.answer_trigger = answer_trigger
        self.max_tokens = max_tokens
        self.max_answer_tokens = max_answer_tokens
        self.rules = rules

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """One request for all reasoning, then one greedy request a chain for its answer."""
        task, tokenizer = resources.task, tokenizer_of(resources)
        words = self.trigger or reasoning_trigger(task)
        closing = self.answer_trigger or answer_trigger(task, query)
        reserve = self.max_tokens + len(ids_after(closing, tokenizer)) + self.max_answer_tokens
        prompt = renderer_of(resources).prompt(query, (), reserve=reserve, suffix=placed(task, words))
        start, stop = ids_of(prompt.text, tokenizer), renderer_of(resources).stops(chain=True)
        first = decoding.request(start, self.max_tokens, stop, resources.seed)
        (reasoning,) = yield [replace(first, continued=True)]
        assert isinstance(reasoning, Generation)
        asks: list[Request] = [
            GenerateRequest(
                extend(start, sample, closing, tokenizer), max_tokens=self.max_answer_tokens, stop=stop
            )
            for sample in reasoning.samples
        ]
        extractions = yield asks
        chains = []
        for sample, extraction in zip(reasoning.samples, extractions, strict=True):
            assert isinstance(extraction, Generation)
            chains.append(self._chain(sample, extraction.samples[0], closing, prompt, query, resources))
        return chains

    def _chain(
        self, sample: Sample, said: Sample, closing: str, prompt: Prompt, query: Query, resources: Resources
    ) -> Chain:
        reading = Reading("first", self.rules)
        answer, flags, readings = read_answer(said, resources.task, query, reading)
        if sample.stop_reason == "length":
            flags = (*flags, "cut_by_length")
        return Chain(
            prompt,
            cut_run_on(sample.text, resources.task)[0],
            f"{sample.text}{closing}{said.text}",
            answer,
            flags,
            len(sample.token_ids) + len(said.token_ids),
            float(sum(sample.logprobs)),
            readings,
        )
