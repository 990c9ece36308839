"""Templates, prompts that fit the context window, and answers read back out of what a model wrote.

What is named here is imported when it is first used, and the template language with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icl.prompts.renderer import PromptRenderer
    from icl.prompts.template import check_template, check_templates

_WHERE = {"renderer": ("PromptRenderer",), "template": ("check_template", "check_templates")}

__all__ = ["PromptRenderer", "check_template", "check_templates"]


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"icl.prompts.{module}"), name)
    raise AttributeError(f"module 'icl.prompts' has no attribute {name!r}")
