"""The section `answer` of a task file: how answers are read and judged, where not as usual."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from icl.prompts.answers.wording.pattern import problem
from icl.thinking import Markers, Marks, pairs_of
from icl.types import ReadingRules


class AnswerFile(BaseModel):
    """What may stand there; see icl.types.ReadingRules."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pattern: str = ""
    tolerance: float | str | None = None
    """An amount, or a share of the gold such as "1%"."""
    guess: bool = True
    think: Markers = ()

    @field_validator("pattern")
    @classmethod
    def _with_a_group(cls, value: str) -> str:
        if value and (wrong := problem(value)):
            raise ValueError(wrong)
        return value

    @field_validator("tolerance", mode="before")
    @classmethod
    def _amount(cls, value: Any) -> Any:
        number = value.strip().removesuffix("%") if isinstance(value, str) and value.endswith("%") else value
        try:
            good = not isinstance(number, bool) and 0 <= float(number) < float("inf")
        except (TypeError, ValueError):
            good = False
        if value is not None and (not good or (isinstance(value, str) and number is value)):
            raise ValueError(f"is {value!r}: must be an amount of 0 or more, or a share such as '1%'")
        return float(value) if isinstance(value, int) else value

    @field_validator("think", mode="before", json_schema_input_type=Marks)
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return pairs_of(value)

    @property
    def rules(self) -> ReadingRules:
        """The noun."""
        relative = isinstance(self.tolerance, str)
        amount = float(str(self.tolerance).removesuffix("%")) / 100 if relative else self.tolerance
        tolerance = None if amount is None else float(amount)
        return ReadingRules(self.pattern, tolerance, relative, self.guess, self.think)
