"""vLLM in this process: weights and tokenizer as icl finds them, sharing by vLLM's prefix cache.

scoring.py   which requests score continuations, what they forward, what their answers say
writing.py   sampling parameters, and samples as icl has them
model.py     the LanguageModel
"""

from icl.backends import BACKENDS
from icl.backends.vllm.model import VllmModel

BACKENDS.register("vllm")(VllmModel)
