"""The inference engine: scoring and decoding that never compute a shared prefix twice."""

from icl.engine.loading.files import load_tokenizer
from icl.engine.loading.load import load_model
from icl.engine.loading.sources import ALIASES, resolve

__all__ = ["ALIASES", "load_model", "load_tokenizer", "resolve"]
