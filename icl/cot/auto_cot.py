"""Demonstrations that the model writes itself, one for each cluster of questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from icl.components import check_number
from icl.cot.shared.annotate import reason
from icl.cot.shared.chain import Chain, ChainDefaults, Chains, Decoding, Reading
from icl.cot.shared.shown import OwnDemonstrations, Shown, Writing, write_chains
from icl.cot.shared.triggers import placed, reasoning_trigger
from icl.cot.zero_shot import ZeroShot
from icl.errors import ConfigError
from icl.labels import renderer_of
from icl.prompts.template import render_side
from icl.protocols import Resources, methods
from icl.types import Demonstration, Example, Query, Task

LOOK_AHEAD = 4
"""Questions of a cluster that are asked about in the first round, twice as many in each that follows:
more are asked than may be needed, in far fewer rounds."""
LAST_WORDS = 10


@methods.register(
    "auto_cot",
    paper="Zhang et al. 2023, Automatic Chain of Thought Prompting in Large Language Models",
)
class AutoCot(ChainDefaults):
    """Auto-CoT: one zero-shot chain from each cluster of the pool's questions as demonstrations.

    The pool's questions (never their answers) are embedded and clustered by k-means into
    `clusters` (paper 8; AQuA and letters 4, CSQA 7, StrategyQA 6) with random state `seed` (code
    192). A question is embedded, and its words counted, as the prompt shows it: with its choices, "Q:"
    and "A:". From each centroid outward, the first question is taken that has at most `max_words`
    words and whose rationale has at most `max_steps` lines (letters 7), ends in a full stop and has
    an answer, for numbers one that occurs in the last sentence or the last ten words. "Let's think
    step by step." is a line of its own where the model begins a new one after it.
    `demonstration_tokens`: of those rationales; `max_tokens`: of the chain for a query.

    A cluster in which no question passes gives no demonstration (flag fewer_demonstrations). The
    query's own chain is opened with "Let's think step by step." too, as in the code. The
    experiment's selector has no say.
    """

    shows_selected = False
    needs = frozenset({"renderer", "model", "encoder"})
    example_parameters: ClassVar[dict[str, Any]] = {
        "clusters": 2,
        "max_tokens": 24,
        "demonstration_tokens": 24,
    }

    def __init__(
        self,
        *,
        clusters: int = 8,
        max_words: int = 60,
        max_steps: int = 5,
        seed: int = 192,
        max_tokens: int = 256,
        demonstration_tokens: int = 128,
    ) -> None:
        check_number("clusters", clusters, low=1, whole=True)
        check_number("max_words", max_words, low=1, whole=True)
        check_number("max_steps", max_steps, low=1, whole=True)
        check_number("seed", seed, low=0, whole=True)
        check_number("max_tokens", max_tokens, low=1, whole=True)
        check_number("demonstration_tokens", demonstration_tokens, low=1, whole=True)
        self.clusters = clusters
        self.max_words = max_words
        self.max_steps = max_steps
        self.seed = seed
        self.max_tokens = max_tokens
        self.demonstration_tokens = demonstration_tokens

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Clusters the questions and has the model reason about those nearest to each centroid.

        ConfigError for fewer questions than clusters, or without an encoder.
        """
        if resources.encoder is None:
            raise ConfigError("auto_cot clusters questions: Resources.encoder is missing")
        if len(pool) < self.clusters:
            raise ConfigError(
                f"auto_cot: {self.clusters} clusters cannot be made of {len(pool)} questions; "
                f"allowed: clusters: 1 to {len(pool)}, or a larger pool"
            )
        texts = [render_side(resources.task, "query", example.query) for example in pool]
        vectors = resources.encoder.encode(texts)
        walks = outward(vectors, self.clusters, self.seed)
        self._rejected = 0
        short = [[at for at in walk if len(texts[at].split()) <= self.max_words] for walk in walks]
        demonstrations = self._accept(short, pool, resources)
        self._own = OwnDemonstrations(demonstrations, resources.duplicate_threshold)
        return self

    def _accept(
        self, short: Sequence[Sequence[int]], pool: Sequence[Example], resources: Resources
    ) -> list[Example]:
        """The first question of each walk that passes, with its chain; asked in rounds."""
        taken: dict[int, Example] = {}
        method = ZeroShot(max_tokens=self.demonstration_tokens)
        opening = reasoning_trigger(resources.task)
        start, ahead = 0, LOOK_AHEAD
        while asked := {c: w[start : start + ahead] for c, w in enumerate(short) if c not in taken}:
            pairs = [(cluster, pool[at]) for cluster, walk in asked.items() for at in walk]
            if not pairs:
                break
            chains = reason([example for _, example in pairs], resources, method)
            for (cluster, example), chain in zip(pairs, chains, strict=True):
                if cluster in taken:
                    continue
                if accepted(chain, opening, resources.task, self.max_steps):
                    text = " ".join(f"{opening} {chain.text}".split())
                    taken[cluster] = replace(example, rationale=text, target=chain.answer or "")
                else:
                    self._rejected += 1
            start, ahead = start + ahead, 2 * ahead
        return [taken[cluster] for cluster in sorted(taken)]

    def shown(self, query: Query, demonstrations: Sequence[Demonstration]) -> Shown:
        """Its own demonstrations, instead of `demonstrations`."""
        return self._own.show(query)

    def written(self, query: Query, shown: Shown, resources: Resources, decoding: Decoding) -> Chains:
        """Chains after a prompt that shows `shown`."""
        task = resources.task
        opening = placed(task, reasoning_trigger(task))
        writing = Writing(
            self.max_tokens,
            renderer_of(resources).stops(chain=True),
            Reading("trigger"),
            opening,
            wanted=self.clusters,
        )
        return (yield from write_chains(query, shown, resources, decoding, writing))

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """One request for `decoding.n` chains."""
        return (yield from self.written(query, self.shown(query, demonstrations), resources, decoding))


def outward(vectors: np.ndarray, clusters: int, seed: int) -> list[list[int]]:
    """For each cluster its members (rows of `vectors`, [n, d]), nearest to the centroid first."""
    from sklearn.cluster import KMeans

    means = KMeans(n_clusters=clusters, random_state=seed, n_init=10).fit(vectors)
    distance = means.transform(vectors)
    walks = []
    for cluster in range(clusters):
        members = np.flatnonzero(means.labels_ == cluster)
        walks.append([int(at) for at in members[np.argsort(distance[members, cluster], kind="stable")]])
    return walks


def accepted(chain: Chain, opening: str, task: Task, max_steps: int) -> bool:
    """The published filters on a rationale and its answer."""
    # Not stripped in front: a model that begins with a line break leaves the opening on its own line.
    rationale = f"{opening} {chain.text.lstrip(' ')}".rstrip()
    lines = rationale.replace("\n\n", "\n").split("\n")
    if not chain.answer or len(lines) > max_steps or not rationale.endswith((".", "。")):
        return False
    if task.kind != "numeric":
        return True
    plain = rationale.replace(",", "")
    sentence = plain.replace("。", ".").rstrip(".").rsplit(". ", maxsplit=1)[-1]
    return chain.answer in sentence or chain.answer in plain.split()[-LAST_WORDS:]
