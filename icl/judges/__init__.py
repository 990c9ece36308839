"""Judges, one file each: a model grades an answer or a pair of them."""

from icl.judging import judges as registry

create = registry.create
"""`create(name, parameters)` builds a registered one; see `icl list judges`."""

__all__ = ["create", "registry"]
