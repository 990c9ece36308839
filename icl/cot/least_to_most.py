"""A problem taken apart into smaller questions, which are answered one after the other."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from typing import Any, ClassVar, Self

from icl.components import check_number
from icl.cot.shared.chain import (
    Chain,
    ChainDefaults,
    Chains,
    Decoding,
    Reading,
    read_answer,
)
from icl.cot.shared.continuation import extend, ids_after, ids_of, tokenizer_of
from icl.cot.shared.manual import example_of, given_file
from icl.cot.shared.questions import Listed, own_question, read_list, says
from icl.cot.shared.shown import OwnDemonstrations
from icl.cot.shared.triggers import placed
from icl.errors import ConfigError, DataError
from icl.labels import renderer_of
from icl.prompts.answers import cut_run_on
from icl.protocols import Resources, Tokenizer, methods
from icl.tasks.readers import read_file
from icl.tasks.rows import Row
from icl.types import (
    Demonstration,
    Dropped,
    Example,
    GenerateRequest,
    Generation,
    Prompt,
    Query,
    Request,
    Response,
    Sample,
    Task,
    TokenIds,
)

OPENING = "To answer this, first answer:"
ASK, SAY = "Question {}:", "Answer {}:"
NEXT = "\nQuestion"
"""Where an answer ends: the model would put the next question itself."""


@methods.register(
    "least_to_most",
    paper="Zhou et al. 2023, Least-to-Most Prompting Enables Complex Reasoning in Large Language Models",
)
class LeastToMost(ChainDefaults):
    """Least-to-most: the model lists smaller questions, then answers them in sequence.

    First stage: demonstrations of problems with their lists of questions. Second stage: the same
    problems with those questions answered; then the query's questions are put one by one, each
    after all earlier ones with their answers, and the answer is read from the last. The last is the
    problem's own question: it is appended where the list (of the model, or of a demonstration) does
    not end with it. An item that asks nothing ("I do not know.") is left out.
    `prompts`: a JSONL file of demonstrations, {question, steps: [{question, answer}], answer,
    choices?} a line ($ICL_DATA is put in); by default those of the package for the kind of task.
    `max_questions`: asked at most, the own one included. `decomposition_tokens`, `max_tokens`: of the
    list, and of each answer.

    Each prompt of the second stage goes on from the one before in token ids, so a query forwards
    its text once. A list that cannot be read is flagged no_decomposition, and the problem's own
    question is answered alone; a longer list is flagged questions_cut, one with items that ask nothing
    questions_refused. The experiment's selector has no say.
    """

    shows_selected = False
    needs = frozenset({"renderer", "model"})
    example_parameters: ClassVar[dict[str, Any]] = {"max_tokens": 24, "decomposition_tokens": 24}

    def __init__(
        self,
        *,
        prompts: str | None = None,
        max_questions: int = 6,
        decomposition_tokens: int = 128,
        max_tokens: int = 128,
    ) -> None:
        if prompts is not None and not isinstance(prompts, str):
            raise ValueError(f"prompts is {prompts!r}; allowed: the path of a JSONL file")
        check_number("max_questions", max_questions, low=1, whole=True)
        check_number("decomposition_tokens", decomposition_tokens, low=1, whole=True)
        check_number("max_tokens", max_tokens, low=1, whole=True)
        self.prompts = prompts
        self.max_questions = max_questions
        self.decomposition_tokens = decomposition_tokens
        self.max_tokens = max_tokens

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Reads the demonstrations. DataError where a row lacks something, ConfigError without any."""
        task = resources.task
        rows = _rows(self.prompts, task)
        given = [example_of(row, f"least_to_most/{at}", task) for at, row in enumerate(rows)]
        solved = [_with_own(example, row) for example, row in zip(given, rows, strict=True)]
        lists = [_listing(example, row) for example, row in zip(solved, rows, strict=True)]
        self._solved = OwnDemonstrations(solved, resources.duplicate_threshold)
        self._lists = OwnDemonstrations(lists, resources.duplicate_threshold)
        return self

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """One greedy list of questions; then `decoding.n` chains through it side by side."""
        prompt, listed = yield from self._decompose(query, resources)
        asked, flags = self._questions(listed, query, resources.task)
        dropped, paths = yield from self._answer(query, asked.questions, resources, decoding)
        prompt = replace(prompt, dropped=(*prompt.dropped, *dropped), demonstrations=())
        found = (prompt, asked, flags, len(listed.token_ids))
        return [_chain(path, *found, query, resources.task) for path in paths]

    def _decompose(
        self, query: Query, resources: Resources
    ) -> Generator[list[Request], list[Response], tuple[Prompt, Sample]]:
        """The first prompt, and the list that the model goes on with."""
        room = self.decomposition_tokens
        shown = self._lists.show(query).kept
        prompt = renderer_of(resources).prompt(
            query, shown, reserve=room, suffix=placed(resources.task, f"{OPENING}\n1.")
        )
        stop = renderer_of(resources).stops(chain=True)
        (listed,) = yield [GenerateRequest(prompt.text, max_tokens=room, stop=stop)]
        assert isinstance(listed, Generation)
        return prompt, listed.samples[0]

    def _answer(
        self, query: Query, questions: Sequence[str], resources: Resources, decoding: Decoding
    ) -> Generator[list[Request], list[Response], tuple[tuple[Dropped, ...], list[_Path]]]:
        """Each question after the answers to those before it; what did not fit into the prompt."""
        tokenizer, stop = tokenizer_of(resources), renderer_of(resources).stops(chain=True)
        seams = [f"{ASK.format(at)} {q}\n{SAY.format(at)}" for at, q in enumerate(questions, start=1)]
        room = sum(self.max_tokens + len(ids_after(f"\n{seam}", tokenizer)) for seam in seams)
        prompt = renderer_of(resources).prompt(
            query,
            self._solved.show(query).kept,
            style="rationale",
            reserve=room,
            suffix=placed(resources.task, seams[0]),
        )
        paths = [_Path(ids_of(prompt.text, tokenizer), seams[0]) for _ in range(decoding.n)]
        for at, seam in enumerate(seams):
            # The last answer may hold blank lines before "The answer is"; the others end there.
            stops = (*stop, NEXT) if at == len(seams) - 1 else (*stop, NEXT, "\n\n")
            if at == 0:
                ask = decoding.request(paths[0].ids, self.max_tokens, stops, resources.seed)
                (first,) = yield [replace(ask, continued=len(seams) > 1)]
                samples = first.samples if isinstance(first, Generation) else ()
            else:
                for path in paths:
                    path.go_on(f"\n{seam}", tokenizer)
                asks = [
                    replace(decoding, n=1, first=decoding.first + number).request(
                        path.ids, self.max_tokens, stops, resources.seed
                    )
                    for number, path in enumerate(paths)
                ]
                responses = yield [replace(ask, continued=at < len(seams) - 1) for ask in asks]
                samples = tuple(r.samples[0] for r in responses if isinstance(r, Generation))
            for path, sample in zip(paths, samples, strict=True):
                path.take(sample)
        return prompt.dropped, paths

    def _questions(self, sample: Sample, query: Query, task: Task) -> tuple[Listed, list[str]]:
        """The questions of a list that began with "1.", and what was wrong with it."""
        whole = sample.stop_reason != "length"
        text = cut_run_on("1." + sample.text, task)[0]
        listed = read_list(text, query, task, self.max_questions, whole=whole)
        said = {
            "decomposition_cut_by_length": not whole,
            "no_decomposition": listed.own == "alone",
            "questions_refused": bool(listed.refused),
            "questions_cut": listed.cut,
        }
        return listed, [flag for flag, true in said.items() if true]


class _Path:
    """One chain on its way: the ids so far, and the last sample drawn after them."""

    def __init__(self, ids: TokenIds, text: str) -> None:
        self.ids = ids
        self.text = text
        self.samples: list[Sample] = []

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.text += sample.text

    def go_on(self, seam: str, tokenizer: Tokenizer) -> None:
        self.ids = extend(self.ids, self.samples[-1], seam, tokenizer)
        self.text += seam


def _chain(
    path: _Path,
    prompt: Prompt,
    asked: Listed,
    flags: Sequence[str],
    spent: int,
    query: Query,
    task: Task,
) -> Chain:
    """`spent`: tokens drawn for the list of questions."""
    answer, read, readings = read_answer(path.samples[-1], task, query, Reading("trigger"))
    cut = ["cut_by_length"] if any(s.stop_reason == "length" for s in path.samples) else []
    return Chain(
        prompt,
        path.text,
        path.text,
        answer,
        tuple(dict.fromkeys([*flags, *read, *cut])),
        spent + sum(len(s.token_ids) for s in path.samples),
        float(sum(sum(s.logprobs) for s in path.samples)),
        readings,
        {"questions": list(asked.questions), "own_question": asked.own, "refused": list(asked.refused)},
    )


def _rows(prompts: str | None, task: Task) -> list[Row]:
    """The file's rows, or those of the package for this kind of task, with a rationale written out."""
    if prompts is not None:
        rows = list(read_file(given_file(prompts)).rows)
    else:
        with as_file(files("icl.cot") / "data" / "least_to_most.jsonl") as path:
            rows = [row for row in read_file(path).rows if row.values.get("kind") == task.kind]
    if not rows:
        raise ConfigError(
            f"least_to_most has no demonstrations for tasks of kind {task.kind}; give prompts: <file>"
        )
    return [replace(row, values={**row.values, "rationale": _worked(row)}) for row in rows]


def _steps(row: Row) -> list[Mapping[str, Any]]:
    steps = row.values.get("steps")
    if not isinstance(steps, list) or not steps or not all(_whole(step) for step in steps):
        raise DataError(f"{row.where}: steps is {steps!r}; allowed: a list of {{question, answer}}")
    return steps


def _whole(step: object) -> bool:
    return isinstance(step, Mapping) and bool(step.get("question")) and bool(step.get("answer"))


def _worked(row: Row) -> str:
    """The questions with their answers, as the query's will stand there."""
    return "\n".join(
        f"{ASK.format(at)} {step['question']}\n{SAY.format(at)} {step['answer']}"
        for at, step in enumerate(_steps(row), start=1)
    )


def _with_own(example: Example, row: Row) -> Example:
    """The worked example, ended by the problem's own question where its steps do not ask it."""
    steps, own = _steps(row), own_question(example.query)
    if says(steps[-1]["question"], own):
        return example
    at = len(steps) + 1
    return replace(example, rationale=f"{example.rationale}\n{ASK.format(at)} {own}\n{SAY.format(at)}")


def _listing(example: Example, row: Row) -> Example:
    """The same problem, answered by its list of questions."""
    lines = [f"{at}. {step['question']}" for at, step in enumerate(_steps(row), start=1)]
    return replace(example, target="\n".join([OPENING, *lines]))
