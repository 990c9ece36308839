"""Does a result depend on what else is asked? The load-time check behind `batch_invariant`."""

from __future__ import annotations

from typing import Any

from icl.engine.rungs.probe import SHORT, WRITTEN, probe_sequences
from icl.protocols import LanguageModel
from icl.types import GenerateRequest, ScoreRequest


def varies(network: Any, candidate: LanguageModel) -> str:
    """Why `candidate`, an engine over `network`, does not answer a request alone as among others, to the last
    bit; "" if it does. Mixtures of experts, for one, group the rows of a batch by expert."""
    texts = probe_sequences(network, min(SHORT, candidate.context_length - WRITTEN))
    scoring = [ScoreRequest(t[:1], (t[1:],)) for t in texts]
    writing = [GenerateRequest(t, n=2, max_tokens=WRITTEN, temperature=1.0, ignore_eos=True) for t in texts]
    scored = [s.token_logprobs for s in candidate.score(scoring)]
    written = [g.samples for g in candidate.generate(writing)]
    if scored != [candidate.score([r])[0].token_logprobs for r in scoring]:
        return "its scores depend on what else is asked"
    if written != [candidate.generate([r])[0].samples for r in writing]:
        return "its samples depend on what else is asked"
    return ""
