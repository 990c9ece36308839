"""A command that is written wrongly: one line with the nearest guess and where to look."""

from __future__ import annotations

import re
from typing import Any

import typer

from icl.errors import nearest

UsageError: Any = typer.BadParameter.__base__
"""What the command line's parser raises, of whatever package it comes from."""


def usage_line(error: Any) -> str:
    """The parser's message with the nearest option or value, and the command that explains more."""
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    wrong = getattr(error, "option_name", None)
    if wrong is not None and error.ctx is not None:
        options = [o for p in error.ctx.command.params for o in p.opts if o.startswith("--")]
        message = f"No such option: {wrong}" + _guess(wrong, [*options, "--help"])
    listed = re.search(r"'([^']*)' is not one of ((?:'[^']*'(?:, )?)+)", message)
    if listed:
        message += _guess(listed[1], re.findall(r"'([^']*)'", listed[2]))
    command = error.ctx.command_path if error.ctx is not None else "icl"
    end = "" if message.endswith("?") else "."
    return f"{message}{end} See: {command} --help"


def _guess(wrong: str, allowed: list[str]) -> str:
    found = nearest(wrong, allowed)
    return f". Did you mean {found!r}?" if found else ""
