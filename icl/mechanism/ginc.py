"""Does a corpus of many hidden concepts make in-context learning, and how near is it to Bayes's rule?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from icl.components import check_flag, check_number, check_numbers
from icl.mechanism.contract import Found, Report, Step, Work, studies
from icl.mechanism.shared.ginc.corpora import Corpus, corpora

if TYPE_CHECKING:
    from icl.mechanism.shared.ginc.material import Material, Sizes
    from icl.mechanism.shared.ginc.pretraining import Pretraining, Recipe

WORLD = ("values", "slots", "concepts", "lengths", "examples", "prompts", "context")
DECODER = (
    "layers", "width", "heads", "deviation", "batch_size", "training_steps", "learning_rate", "warmup",
    "compiled",
)  # fmt: skip
PACED = 40
"""Prompts a kind and length whose Bayes answers are timed."""


@studies.register(
    "ginc", paper="Xie et al. 2022, An Explanation of In-context Learning as Implicit Bayesian Inference"
)
class Ginc:
    """Does a corpus of many hidden concepts make in-context learning, and how near is it to Bayes's rule?

    Small decoders are trained on documents of hidden Markov models that differ in one matrix, the concept,
    and are asked to complete prompts of independent examples. Beside them Bayes's exact answer, to the prompt
    as a document and as what it is. Controls: documents of one concept, documents whose tokens are permuted,
    prompts of concepts that are held out, prompts whose examples are shuffled.

    vocabularies: symbols, the delimiter among them; each is a world of its own. values, slots: of the hidden
    state. concepts: half of them for training, at least two. lengths: of examples, at least 2. examples: how
    many a prompt shows, two numbers at least. prompts: of each kind, length and number. context: of the
    decoders; the longest prompt must fit. sources: concepts of a corpus, at most half of them. documents,
    document_length: sizes of corpora; the largest of both is learned from, as it is and permuted, fewer
    sources at its size, and fewer documents of its sources. trainings: decoders a corpus; they differ in
    their first weights. layers, width, heads, batch_size, training_steps, learning_rate, warmup: of a
    decoder; the rate falls linearly. deviation: of its first weights. leak: probability that Bayes's rule
    gives to a jump of the hidden state where a prompt is read as a document. compiled: by torch.compile.
    resamples: of intervals, over prompts.
    """

    needs_model: ClassVar[bool] = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {},
        "paper": {
            "vocabularies": (50, 100, 150),
            "values": 10,
            "slots": 10,
            "examples": (0, 1, 2, 4, 8, 16, 32, 64),
            "prompts": 2500,
            "context": 1024,
            "sources": (1, 2, 5),
            "documents": (200, 1000),
            "document_length": 10240,
            "trainings": 5,
            "layers": 12,
            "width": 768,
            "heads": 12,
            "deviation": 0.02,
            "batch_size": 8,
            "training_steps": 6250,
            "learning_rate": 8e-4,
            "warmup": 1000,
        },
    }

    def __init__(
        self,
        *,
        vocabularies: Sequence[int] = (25,),
        values: int = 5,
        slots: int = 8,
        concepts: int = 10,
        lengths: Sequence[int] = (3, 5, 8, 10),
        examples: Sequence[int] = (0, 1, 2, 4),
        prompts: int = 200,
        context: int = 64,
        sources: Sequence[int] = (1, 5),
        documents: Sequence[int] = (20, 1000),
        document_length: int = 2000,
        trainings: int = 1,
        layers: int = 2,
        width: int = 64,
        heads: int = 4,
        deviation: float = 0.125,
        batch_size: int = 16,
        training_steps: int = 2500,
        learning_rate: float = 3e-3,
        warmup: int = 100,
        leak: float = 0.01,
        compiled: bool = False,
        resamples: int = 2000,
    ) -> None:
        check_list("vocabularies", vocabularies, low=3)
        check_numbers(low=2, whole=True, values=values, slots=slots, concepts=concepts, prompts=prompts)
        check_list("lengths", lengths, low=2)
        check_list("examples", examples, low=0, least=2)
        check_list("sources", sources, low=1)
        check_list("documents", documents, low=1)
        check_numbers(
            low=1, whole=True, context=context, document_length=document_length, trainings=trainings
        )
        check_numbers(low=1, whole=True, layers=layers, width=width, heads=heads, batch_size=batch_size)
        check_numbers(low=1, whole=True, training_steps=training_steps, resamples=resamples)
        check_numbers(low=0, learning_rate=learning_rate, warmup=warmup)
        check_number("deviation", deviation, low=1e-12)
        check_number("leak", leak, low=1e-9, high=0.5)
        check_flag("compiled", compiled)
        self.vocabularies = tuple(vocabularies)
        self.values = values
        self.slots = slots
        self.concepts = concepts
        self.lengths = tuple(lengths)
        self.examples = tuple(sorted(examples))
        self.prompts = prompts
        self.context = context
        self.sources = tuple(sources)
        self.documents = tuple(documents)
        self.document_length = document_length
        self.trainings = trainings
        self.layers = layers
        self.width = width
        self.heads = heads
        self.deviation = deviation
        self.batch_size = batch_size
        self.training_steps = training_steps
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.leak = leak
        self.compiled = compiled
        self.resamples = resamples
        self._pace: float | None = None
        self._check_sizes()

    def _check_sizes(self) -> None:
        """What must fit into what. ValueError."""
        if max(self.sources) > self.concepts // 2:
            raise ValueError(
                f"sources is {list(self.sources)} and concepts {self.concepts}, half of them for training; "
                f"allowed: at most {self.concepts // 2}"
            )
        for length in self.lengths:
            most = (self.context - length + 1) // (length + 1)
            if max(self.examples) > most:
                raise ValueError(
                    f"examples is {list(self.examples)}: {max(self.examples)} of length {length} and a query "
                    f"exceed the context of {self.context} tokens; allowed: at most {max(most, 0)}"
                )
        if self.document_length <= self.context:
            raise ValueError(
                f"document_length is {self.document_length} and context {self.context}; "
                f"allowed: a document longer than the context"
            )
        if self.width % self.heads:
            raise ValueError(
                f"width is {self.width} and heads {self.heads}; allowed: a width that heads divide"
            )

    def tasks(self) -> tuple[str, ...]:
        """None."""
        return ()

    def steps(self) -> tuple[Step, ...]:
        """Of each vocabulary Bayes's answers, then a training a corpus."""
        return tuple(step for step, *_ in self._plan())

    def _plan(self) -> list[tuple[Step, int, Corpus | None, int]]:
        """Steps with vocabulary, corpus and training."""
        plan: list[tuple[Step, int, Corpus | None, int]] = []
        asked = self._sizes().asked
        for vocabulary in self.vocabularies:
            bayes = Step(f"{vocabulary} symbols, bayes", asked, "prompts", (*WORLD, "leak"), ())
            plan.append((bayes, vocabulary, None, 0))
            for training in range(self.trainings):
                for corpus in corpora(self.sources, self.documents):
                    name = f"{vocabulary} symbols, {corpus.name}" + f", training {training + 1}" * (
                        training > 0
                    )
                    depends = (*WORLD, *DECODER, "document_length")
                    step = Step(name, self.training_steps, "training steps", depends, ())
                    plan.append((step, vocabulary, corpus, training))
        return plan

    def pace(self, step: Step, work: Work) -> float:
        """See Study."""
        _, vocabulary, corpus, training = self._planned(step)
        if corpus is not None:  # corpora and vocabularies differ in what is read, not in how long that takes
            if self._pace is None:
                self._pace = self._pretraining(work, vocabulary, corpus, training).pace()
            return self._pace
        began = time.perf_counter()
        few = self._sizes(PACED)
        self._bayes(self._material(work, vocabulary, few), None)
        return (time.perf_counter() - began) / few.asked

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """Hits of every prompt, losses, and what a reader needs of the prompts."""
        from icl.mechanism.shared.ginc.pretraining import asked
        from icl.tuning.shared.checkpoint import Checkpoint

        _, vocabulary, corpus, training = self._planned(step)
        if corpus is None:
            return self._bayes(self._material(work, vocabulary, self._sizes()), work)
        pretraining = self._pretraining(work, vocabulary, corpus, training)
        of = f"{step.name} {self._recipe()} {work.seed}"
        checkpoint = Checkpoint(work.folder / "network.safetensors", of)
        network, course = pretraining.run(checkpoint, work.progress)
        found = asked(network, pretraining.material, pretraining.device)
        checkpoint.clear()
        return {**found, "losses": course.losses, "parameters": sum(p.numel() for p in network.parameters())}

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        from icl.mechanism.shared.ginc.reading import Reading

        reading = Reading(self._sizes(), self.vocabularies, self.sources, self.documents, self.resamples)
        done = [planned for planned in self._plan() if planned[0].name in found]
        return reading.report([(found[step.name], symbols, corpus) for step, symbols, corpus, _ in done])

    def _planned(self, step: Step) -> tuple[Step, int, Corpus | None, int]:
        return next(planned for planned in self._plan() if planned[0].name == step.name)

    def _bayes(self, material: Material, work: Work | None) -> dict[str, Any]:
        """work: None where results are thrown away."""
        progress = None if work is None else work.progress
        return {
            "documents": material.hits(lambda shown, *_: material.as_document(shown, self.leak)),
            "prompts": material.hits(material.as_prompt, progress),
            "concepts": {str(length): material.concepts(length) for length in self.lengths},
            "loss": material.least_loss(),
        }

    def _material(self, work: Work, vocabulary: int, sizes: Sizes) -> Material:
        from icl.mechanism.shared.ginc.material import Material

        def streams(purpose: str, item: str) -> Any:
            return work.generator(f"ginc {purpose}", item)

        return Material.of(sizes, vocabulary, streams)

    def _sizes(self, prompts: int = 0) -> Sizes:
        from icl.mechanism.shared.ginc.material import Sizes

        number = min(prompts, self.prompts) or self.prompts
        return Sizes(
            self.values, self.slots, self.concepts, self.lengths, self.examples, number, self.context
        )

    def _recipe(self) -> Recipe:
        from icl.mechanism.shared.ginc.pretraining import Recipe
        from icl.mechanism.shared.small import Size
        from icl.mechanism.shared.training import Schedule

        size = Size(self.layers, self.width, self.heads, self.context)
        rate, clip = self.learning_rate, 1.0
        schedule = Schedule(self.training_steps, rate, warmup=self.warmup, schedule="linear", clip=clip)
        return Recipe(size, self.deviation, schedule, self.document_length, self.batch_size, self.compiled)

    def _pretraining(self, work: Work, vocabulary: int, corpus: Corpus, training: int) -> Pretraining:
        import torch

        from icl.mechanism.shared.ginc.pretraining import Pretraining

        material = self._material(work, vocabulary, self._sizes())
        device = work.device or torch.device("cpu")
        return Pretraining(self._recipe(), material, corpus, training, work.seed, device)


def check_list(name: str, value: object, *, low: int, least: int = 1) -> None:
    """ValueError for what is no list of `least` different integers of at least `low`."""
    items = value if isinstance(value, list | tuple) else ()
    good = len(items) >= least and all(type(item) is int and item >= low for item in items)
    good = good and len(set(items)) == len(items)
    if not good:
        shown = list(value) if isinstance(value, tuple) else value
        some = f"{least} different integers or more" if least > 1 else "different integers"
        raise ValueError(f"{name} is {shown!r}; allowed: a list of {some} >= {low}")
