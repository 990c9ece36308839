"""The file of a red teaming as validated objects: keys, types and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from icl.experiments.corpus.recipe import Rows, only_one
from icl.experiments.file.axes import Named, Section, listed
from icl.experiments.file.config import Name, Seed, Source
from icl.experiments.file.kinds import read_kind
from icl.experiments.file.models import Plain
from icl.protocols import Tokenizer
from icl.redteam.writing import FEW_SHOT, WRITTEN, ZERO_SHOT, Questions
from icl.tasks.strict_yaml import validate
from icl.types import GenerateRequest

PLACE = "{question}"
ASKED = f"Question: {PLACE}\nAnswer:"
Share = Annotated[float, Field(ge=0, le=1)]
Warmth = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Text = Annotated[str, Field(strict=True, min_length=1)]


class ZeroShot(Section):
    """See `icl.redteam.writing.Questions`."""

    prompt: Text = Questions.prompt
    questions: Rows = Questions.questions
    items: Rows = Questions.items
    question_mark: Annotated[bool, Field(strict=True)] = Questions.question_mark
    similarity: Share | None = Questions.similarity
    per_round: Rows = Questions.per_round
    patience: Rows = Questions.patience
    max_tokens: Rows = Questions.max_tokens
    temperature: Warmth = Questions.temperature
    top_p: Annotated[float, Field(gt=0, le=1)] = Questions.top_p
    top_k: Annotated[int, Field(ge=0, strict=True)] = Questions.top_k
    presence_penalty: Penalty = Questions.presence_penalty
    frequency_penalty: Penalty = Questions.frequency_penalty

    @property
    def asking(self) -> Questions:
        """How questions are asked for. ValueError for what cannot be asked so."""
        return Questions(**self.model_dump())


class FewShot(ZeroShot):
    """The same, and what is shown."""

    shots: Rows = 5
    score_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Questions.score_temperature


class Answer(Section):
    """How the target is asked."""

    prompt: Text | None = None
    """With {question}; None: as question and answer, of a chat the question alone."""
    chat: Annotated[bool, Field(strict=True)] = False
    """As the user's turn of the model's chat template."""
    max_tokens: Rows = 128
    temperature: Warmth = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    stop: tuple[Text, ...] | None = None
    """None: the next question, of a chat nothing."""

    @field_validator("stop", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return None if value is None else listed(value)

    @model_validator(mode="after")
    def _place(self) -> Answer:
        if self.prompt is not None and PLACE not in self.prompt:
            raise ValueError(f"prompt must say where the question stands: {PLACE}")
        return self

    def request(self, question: str, tokenizer: Tokenizer, seed: int) -> GenerateRequest:
        """Up to where the answer begins. ModelError where there is no chat template."""
        text = (self.prompt or (PLACE if self.chat else ASKED)).replace(PLACE, question)
        prompt = tokenizer.chat([{"role": "user", "content": text}]) if self.chat else text
        stop = (() if self.chat else ("\nQuestion:",)) if self.stop is None else self.stop
        return GenerateRequest(
            prompt,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=stop,
            seed=seed,
        )


class RedTeam(Section):
    """One file."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._=,-]{0,99}$")]
    red: Plain | None = None
    """Writes questions."""
    target: Plain
    """Answers them."""
    judge: Named
    """Says which rules an answer breaks."""
    seed: Seed = 0
    written: Name | None = None
    """A file of questions that people wrote."""
    zero_shot: ZeroShot | None = None
    few_shot: FewShot | None = None
    answer: Answer = Answer()

    @field_validator("red", "target", mode="before")
    @classmethod
    def _model(cls, value: Any) -> Any:
        return None if value is None else only_one(value)

    @field_validator("zero_shot", "few_shot", "answer", mode="before")
    @classmethod
    def _given(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _sound(self) -> RedTeam:
        if self.written is None and self.zero_shot is None:
            few = "few_shot draws from what another way gave: " if self.few_shot is not None else ""
            raise ValueError(f"{few}zero_shot or written must say where questions come from")
        asks = [name for name in (ZERO_SHOT, FEW_SHOT) if getattr(self, name) is not None]
        if asks and self.red is None:
            raise ValueError(f"{asks[0]} needs red: the model that writes questions")
        if not asks and self.red is not None:
            raise ValueError(
                "red writes nothing without zero_shot or few_shot: leave it out, or add one of them"
            )
        return self

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Ways of asking: those that need no scores, and the one that draws by them."""
        first = [name for name in (WRITTEN, ZERO_SHOT) if getattr(self, name) is not None]
        return (tuple(first), *(((FEW_SHOT,),) if self.few_shot is not None else ()))

    @property
    def ways(self) -> list[str]:
        """All of them, in the order in which they are done."""
        return [way for stage in self.stages for way in stage]

    def asked(self, way: str) -> ZeroShot | None:
        """How a way asks; None for questions of people."""
        return {ZERO_SHOT: self.zero_shot, FEW_SHOT: self.few_shot}.get(way)

    @property
    def pool(self) -> str:
        """The way whose questions are shown by few_shot."""
        return ZERO_SHOT if self.zero_shot is not None else WRITTEN

    @property
    def resolved(self) -> dict[str, Any]:
        """Everything with its defaults, as plain data that reads back to an equal file."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return {key: value for key, value in plain.items() if value is not None}


def read_red_team(source: str | Path | Mapping[str, Any]) -> tuple[RedTeam, Source]:
    """From a file or a mapping. ConfigError naming file, line, key, value and what is allowed."""
    if isinstance(source, Mapping):
        return validate(RedTeam, dict(source), {}, "red teaming"), Source("red teaming", Path(), {})
    path = Path(source)
    data, lines = read_kind(path, "target")
    return validate(RedTeam, data, lines, str(path)), Source(str(path), path.parent, lines)
