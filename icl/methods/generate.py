"""Letting the model write the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from icl.components import MethodDefaults, check_choice, check_number, check_stops, if_said
from icl.labels import renderer_of
from icl.prompts.answers import ParsedAnswer, Where, audit, parse
from icl.prompts.template import query_head
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, GenerateRequest, Generation, Outcome, Query, Sample, Task

ReadAt = Literal["auto", "first", "last", "trigger"]
READ_AT: tuple[ReadAt, ...] = ("auto", "first", "last", "trigger")


@methods.register("generate", paper="Brown et al. 2020, Language Models are Few-Shot Learners")
class Generate(MethodDefaults):
    """Greedy decoding, from which the answer is parsed by the task's answer format.

    `max_tokens`: of the answer; the task's own limit where it is not given.
    `stop`: texts that end the answer; by default the task's separator and the beginning of the
    next question, in a chat none (the model ends its turn). An empty list stops at nothing.
    `where`: which match counts: "auto", the one after a phrase such as "the answer is", without
    such a phrase the first; "first", "last" or "trigger" (after the phrase, without it the last).

    Flags: unparsed (no answer could be read), run_on (the model went on to another question),
    cut_by_length, empty_trigger (nothing to be read after "the answer is"), unfinished (the limit
    broke into the sentence after it), and first_last_disagree, first_trigger_disagree,
    last_trigger_disagree (another rule of reading would have found another answer;
    details["readings"] has all three).
    """

    def __init__(
        self, *, max_tokens: int | None = None, stop: Sequence[str] | None = None, where: ReadAt = "auto"
    ) -> None:
        if max_tokens is not None:
            check_number("max_tokens", max_tokens, low=1, whole=True)
        if stop is not None:
            check_stops(stop)
        check_choice("where", where, READ_AT)
        self.max_tokens = max_tokens
        self.stop = stop
        self.where = where

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """One request for one greedy sample."""
        task = resources.task
        room = task.max_answer_tokens if self.max_tokens is None else self.max_tokens
        prompt = renderer_of(resources).prompt(query, demonstrations, reserve=room)
        stop = renderer_of(resources).stops(chain=False) if self.stop is None else tuple(self.stop)
        (generation,) = yield [GenerateRequest(prompt.text, max_tokens=room, stop=stop)]
        assert isinstance(generation, Generation)
        sample = generation.samples[0]
        cut = sample.stop_reason == "length"
        parsed = read(sample.text, task, query, self.where, cut=cut, after=prompt.text)
        flags = list(parsed.flags)
        if "run_on" not in flags and _ran_on(sample, resources):
            flags.append("run_on")
        if cut:
            flags.append("cut_by_length")
        readings = audit(sample.text, task, query, cut=cut, after=prompt.text)
        flags += [flag for flag in readings.flags if flag.endswith("_disagree")]
        details = {
            "readings": {name: said for name, said in readings.as_dict().items() if name != "flags"},
            "stop_reason": sample.stop_reason,
            "span": list(parsed.span) if parsed.span else None,
            "logprob": if_said(float(sum(sample.logprobs))),
        }
        return Outcome(parsed.answer, prompt, sample.text, flags=tuple(flags), details=details)


def read(
    output: str, task: Task, query: Query, where: ReadAt, *, cut: bool = False, after: str = ""
) -> ParsedAnswer:
    """The answer in `output`; "auto" prefers a trigger phrase and else takes the first match.

    cut: the output was broken off; after: the prompt (see `parse`).
    """
    policy: Where = "trigger" if where == "auto" else where
    parsed = parse(output, task, query, where=policy, cut=cut, after=after)
    if where == "auto" and "no_trigger" in parsed.flags:
        return parse(output, task, query, where="first", cut=cut, after=after)
    return parsed


def _ran_on(sample: Sample, resources: Resources) -> bool:
    """Whether the stop string was the beginning of another question, not the task's separator.

    Only what stands directly after the text counts: how much more an engine draws in the step
    that meets a stop string is its own affair.
    """
    head = query_head(resources.task.template)
    if resources.model is None or sample.stop_reason != "stop" or not head:
        return False
    drawn = resources.model.tokenizer.decode(sample.token_ids)
    return drawn.startswith(f"{sample.text}\n{head}")
