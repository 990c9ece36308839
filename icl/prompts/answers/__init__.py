"""Answers read back out of what a model wrote: one module a format, one policy for all."""

from icl.prompts.answers.audit import Audit, audit
from icl.prompts.answers.equivalence import equivalent, is_right, normalise_text
from icl.prompts.answers.parse import default_where, parse
from icl.prompts.answers.reading import ParsedAnswer, Where
from icl.prompts.answers.wording.languages import abstention
from icl.prompts.answers.wording.triggers import cut_run_on

__all__ = [
    "Audit",
    "ParsedAnswer",
    "Where",
    "abstention",
    "audit",
    "cut_run_on",
    "default_where",
    "equivalent",
    "is_right",
    "normalise_text",
    "parse",
]
