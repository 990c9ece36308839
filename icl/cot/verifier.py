"""A vote in which each chain counts as much as a trained verifier trusts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from icl.components import check_choice, check_flag, check_number, check_numbers
from icl.cot.shared.annotate import model_of
from icl.cot.shared.chain import ChainDefaults, ChainMethod, Chains, Decoding, drive, side_by_side
from icl.cot.shared.nested import InnerKinds, InnerNeeds, InnerShows, chain_method
from icl.cot.shared.sampled import check_sampling, elect, elected
from icl.cot.shared.scorer import ChainScorer, Training
from icl.cot.shared.shown import has_rationale
from icl.cot.shared.steps import gold_chain
from icl.cot.shared.tuned import TunedScorer, Tuning, untunable
from icl.encoders.load import HASHED
from icl.errors import ConfigError
from icl.prompts.answers import is_right
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Example, Query

Kind = Literal["finetuned", "features"]
KINDS: tuple[Kind, ...] = ("finetuned", "features")


@methods.register(
    "verifier",
    paper="Li et al. 2023, Making Language Models Better Reasoners with Step-Aware Verifier (DiVeRSe)",
)
class Verifier(ChainDefaults):
    """Weighs each sampled chain by a verifier that was trained on chains of pool questions.

    `of`: the method whose chains are drawn; the paper's is {diverse_prompts: {}}.
    `n`, `temperature`, `top_k`: of the chains that vote (paper 100). The answer with the largest
    sum of scores wins; unparsed chains do not vote.
    `questions`, `samples`: pool questions that the verifier learns from, and chains of each.
    `shots`: demonstrations for those questions, drawn at random from the rest of the pool, where
    `of` shows what it is given.
    `kind`: "finetuned", the paper's verifier on a copy of the experiment's encoder, a sentence
    transformer: `epochs`, `learning_rate`, `batch_size` (paper: DeBERTa-v3-large, 5 epochs at 1e-5).
    "features": logistic regression over the frozen encoder's embeddings and a few numbers.
    `step_aware`: whether step labels count, with the weight `alpha`: of the step loss (finetuned,
    paper 0.1), or of the steps' own scores (features). A step is right if it is one of a right
    chain, or if the results so far are among those of a right chain; the annotated rationale is one.

    Chains of a weak model can all be wrong: then nothing can be learned, all weights are 1, and
    every outcome is flagged untrained_verifier.
    """

    shows_selected = InnerShows()
    needs = InnerNeeds("model", "encoder")  # type: ignore[assignment]
    kinds = InnerKinds()  # type: ignore[assignment]
    example_parameters: ClassVar[dict[str, Any]] = {
        "of": {"few_shot": {"max_tokens": 24}},
        "n": 3,
        "questions": 4,
        "samples": 2,
        "shots": 2,
        "kind": "features",
    }

    def __init__(
        self,
        *,
        of: str | Mapping[str, Any] | ChainMethod = "few_shot",
        n: int = 100,
        temperature: float = 0.7,
        top_k: int = 40,
        questions: int = 64,
        samples: int = 8,
        shots: int = 8,
        kind: Kind = "finetuned",
        epochs: int = 5,
        learning_rate: float = 1e-4,
        batch_size: int = 8,
        step_aware: bool = True,
        alpha: float = 0.1,
    ) -> None:
        chain_method(of)
        check_sampling(n, temperature, top_k)
        check_number("questions", questions, low=1, whole=True)
        check_number("samples", samples, low=1, whole=True)
        check_number("shots", shots, low=0, whole=True)
        check_choice("kind", kind, KINDS)
        check_numbers(low=1, whole=True, epochs=epochs, batch_size=batch_size)
        check_number("learning_rate", learning_rate, low=1e-9, high=1)
        check_flag("step_aware", step_aware)
        check_number("alpha", alpha, low=0, high=1)
        self.of = of
        self.n = n
        self.temperature = temperature
        self.top_k = top_k
        self.questions = questions
        self.samples = samples
        self.shots = shots
        self.kind = kind
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.step_aware = step_aware
        self.alpha = alpha

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Draws chains for pool questions, all at once, and trains the verifier on them.

        ConfigError without an encoder or a model.
        """
        self._scorer = self._untrained(resources)
        self._inner = chain_method(self.of).fit(pool, resources)
        order = resources.generator("cot.verifier").permutation(len(pool))
        shuffled = [pool[int(at)] for at in order]
        asked = shuffled[: self.questions]
        rest = [e for e in shuffled[self.questions :] if has_rationale(e)]
        given = [Demonstration(example) for example in rest[: self.shots]]
        decoding = Decoding(self.samples, self.temperature, self.top_k)
        talks = [self._inner.chains(example.query, given, resources, decoding) for example in asked]
        drawn = drive(side_by_side(talks), model_of(resources))
        right = [
            [is_right(chain.answer, example, resources.task) for chain in chains]
            for example, chains in zip(asked, drawn, strict=True)
        ]
        gold = [gold_chain(example, resources.task) for example in asked]
        training = Training([e.text for e in asked], drawn, right, gold)
        # Answers of a rehearsal are made up: what they teach changes nothing of what is asked.
        self._about = {} if resources.rehearsal else self._scorer.fit(training)
        return self

    def _untrained(self, resources: Resources) -> ChainScorer | TunedScorer:
        """The scorer of the kind that is asked for. ConfigError without an encoder that it can use."""
        if resources.encoder is None:
            raise ConfigError("verifier reads chains with an encoder: Resources.encoder is missing")
        weight = self.alpha if self.step_aware else 0.0
        if self.kind == "finetuned" and resources.encoder.name == HASHED:
            raise untunable(HASHED)
        if self.kind == "features" or resources.rehearsal:
            return ChainScorer(resources.encoder, weight)
        seed = int(resources.generator("cot.verifier.training").integers(2**31))
        tuning = Tuning(self.epochs, self.learning_rate, self.batch_size, seed)
        return TunedScorer(resources.encoder, weight, tuning)

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """The inner method's chains, as asked."""
        return (yield from self._inner.chains(query, demonstrations, resources, decoding))

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """Draws n chains; each votes with its score."""
        decoding = Decoding(self.n, self.temperature, self.top_k)
        drawn = yield from self.chains(query, demonstrations, resources, decoding)
        scores = self._scorer.score(query.text, drawn)
        told = {"scores": scores, "training": dict(self._about)}
        outcome = elected(drawn, elect(drawn, resources.task, scores), told)
        if self._scorer.trained:
            return outcome
        return replace(outcome, flags=(*outcome.flags, "untrained_verifier"))
