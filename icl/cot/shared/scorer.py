"""A model of whether a chain is right: logistic regression over its embedding and a few numbers.

It trains in seconds on a frozen sentence encoder; `tuned.py` is the paper's verifier. Features of a
chain: the embedding of question and chain, its number of steps, length, mean log-probability,
whether it announces its answer, and the share of its equations that hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.components import needed
from icl.cot.shared.chain import Chain
from icl.cot.shared.steps import step_labels, steps, value
from icl.protocols import Encoder

Floats = NDArray[np.float64]

_NUMBER = r"-?\$?\d[\d,]*(?:\.\d+)?"
_EQUATION = re.compile(rf"({_NUMBER})\s*([-+*/x×÷])\s*({_NUMBER})\s*=\s*({_NUMBER})")


def equations_held(text: str) -> float:
    """Share of the "a op b = c" in `text` that are true; 0.5 where there is none."""
    truths = []
    for left, sign, right, result in _EQUATION.findall(text):
        a, b, c = value(left), value(right), value(result)
        if sign in "/÷" and b == 0:
            truths.append(False)
            continue
        made = {"+": a + b, "-": a - b}.get(sign, a / b if sign in "/÷" and b else a * b)
        truths.append(math.isclose(made, c, rel_tol=1e-2, abs_tol=1e-2))
    return sum(truths) / len(truths) if truths else 0.5


@dataclass(frozen=True, slots=True)
class Training:
    """Chains of the questions that the scorer learns from."""

    questions: Sequence[str]
    chains: Sequence[Sequence[Chain]]
    """One list a question."""
    right: Sequence[Sequence[bool]]
    """Whether each chain reaches its question's answer."""
    gold: Sequence[Chain | None] = ()
    """The annotated chain of each question, where it has one; empty: none has."""

    @property
    def mixed(self) -> bool:
        """Whether some of the drawn chains are right and some wrong: else there is nothing to learn."""
        return len({good for some in self.right for good in some}) == 2

    def paths(self, at: int) -> list[Chain]:
        """All right chains of a question, the annotated one first."""
        gold = [chain for chain in self.gold[at : at + 1] if chain is not None]
        return gold + [c for c, good in zip(self.chains[at], self.right[at], strict=True) if good]


class ChainScorer:
    """P(chain is right). `step_weight`: share of the score that comes from its steps' own scores."""

    def __init__(self, encoder: Encoder, step_weight: float) -> None:
        self._encoder = encoder
        self._step_weight = step_weight
        self._whole: Any = None
        self._step: Any = None

    @property
    def trained(self) -> bool:
        """False where the training chains were all right or all wrong: there was nothing to learn."""
        return self._whole is not None

    def fit(self, training: Training) -> Mapping[str, int]:
        """Learns; returns how many chains and steps of each kind there were."""
        questions = [q for q, chains in zip(training.questions, training.chains, strict=True) for _ in chains]
        chains = [chain for some in training.chains for chain in some]
        right = [good for some in training.right for good in some]
        self._whole = _regression(self._features(questions, chains), right)
        about = {"chains": len(chains), "right": sum(right)}
        if self._step_weight > 0 and self.trained:
            texts, labels = _step_rows(training)
            self._step = _regression(self._step_features(texts), labels)
            about |= {"steps": len(labels), "right_steps": sum(labels)}
        return about

    def score(self, question: str, chains: Sequence[Chain]) -> list[float]:
        """One number in (0, 1) a chain; 1 for all where nothing was learned."""
        if not self.trained or not chains:
            return [1.0] * len(chains)
        whole = self._whole.predict_proba(self._features([question] * len(chains), chains))[:, 1]
        if self._step is None:
            return [float(p) for p in whole]
        scores = []
        for p, chain in zip(whole, chains, strict=True):
            texts = _prefixed([step.text for step in steps(chain)])
            of_steps = self._step.predict_proba(self._step_features(texts))[:, 1].mean() if texts else p
            scores.append(float((1 - self._step_weight) * p + self._step_weight * of_steps))
        return scores

    def _features(self, questions: Sequence[str], chains: Sequence[Chain]) -> Floats:
        """[chains, d + 5]."""
        texts = [f"{question}\n{chain.text}" for question, chain in zip(questions, chains, strict=True)]
        return np.hstack([self._encoder.encode(texts).astype(float), [_numbers(chain) for chain in chains]])

    def _step_features(self, texts: Sequence[tuple[str, float]]) -> Floats:
        """[steps, d + 2]: the embedding, where it stands, whether its equations hold."""
        vectors = self._encoder.encode([text for text, _ in texts]).astype(float)
        return np.hstack([vectors, [[place, equations_held(text)] for text, place in texts]])


def _numbers(chain: Chain) -> list[float]:
    return [
        float(chain.steps),
        math.log1p(chain.tokens),
        needed(chain.logprob, "verifier") / max(chain.tokens, 1),
        0.0 if "no_trigger" in chain.flags else 1.0,
        equations_held(chain.text),
    ]


def _prefixed(texts: Sequence[str]) -> list[tuple[str, float]]:
    return [(text, at / len(texts)) for at, text in enumerate(texts)]


def _step_rows(training: Training) -> tuple[list[tuple[str, float]], list[bool]]:
    texts: list[tuple[str, float]] = []
    labels: list[bool] = []
    for at, chains in enumerate(training.chains):
        paths = training.paths(at)
        for chain in chains:
            texts += _prefixed([step.text for step in steps(chain)])
            labels += step_labels(chain, paths)
    return texts, labels


def _regression(features: Floats, labels: Sequence[bool]) -> Any:
    """A fitted classifier; None where all labels are alike."""
    if len(set(labels)) < 2:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return model.fit(features, np.asarray(labels, dtype=int))
