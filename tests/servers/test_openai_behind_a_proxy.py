"""The openai backend behind a proxy that answers wrongly: nothing is lost, and nothing is asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icl.backends import BACKENDS
from icl.backends.openai import client as asking
from icl.errors import IclError
from icl.protocols import LanguageModel
from icl.types import GenerateRequest, ScoreRequest
from tests.backends.server import NAME, logprob, next_logprobs

from .faulty import Faults, Proxy, made_up
from .loopback import Answered, Asked, Handler, Loopback
from .real import free_port

KEY = "sk-not-a-real-key-0123456789"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def opened(address: str, **options: Any) -> LanguageModel:
    """The backend before the made-up server."""
    return BACKENDS.create(
        "openai", {"model": NAME, "base_url": f"{address}/v1", "tokenizer": "fake", **options}
    )


@contextmanager
def probed(proxy: Proxy, **options: Any) -> Iterator[LanguageModel]:
    """A model that has found out what the server does before faults begin; the ledger is empty."""
    faults, proxy.faults = proxy.faults, Faults()
    with Loopback(proxy) as server:
        model = opened(server.url, **options)
        model.generate([GenerateRequest("before", max_tokens=1)])
        proxy.begin(faults)
        yield model


def greedy(prompt: str, length: int) -> str:
    ids = tuple(prompt.encode())
    for _ in range(length):
        ids += (int(next_logprobs(ids).argmax()),)
    return bytes(ids[len(prompt.encode()) :]).decode()


def test_a_thousand_requests_are_all_answered_and_none_twice() -> None:
    kinds = {"429": 0.04, "500": 0.03, "503": 0.03, "hang": 0.05, "garbage": 0.02}
    proxy = Proxy(made_up(), Faults(kinds, seed=7, hang=60, retry_after="0.01"))
    prompts = [f"Question {at}: how many?" for at in range(1000)]
    final: list[int] = []
    with probed(proxy, concurrency=64, timeout=5.0) as model:
        answers = model.generate(
            [GenerateRequest(prompt, max_tokens=3) for prompt in prompts],
            lambda index, _: final.append(index),
        )
    ledger = proxy.ledger
    assert [answer.samples[0].text for answer in answers] == [greedy(prompt, 3) for prompt in prompts]
    assert sorted(final) == list(range(1000))
    assert len(ledger.asked) == ledger.outcomes["ok"] == 1000
    assert ledger.answered_twice == ledger.asked_after_an_answer == []
    for kind, rate in kinds.items():
        assert 0.6 * rate < ledger.outcomes[kind] / 1000 < 1.7 * rate, kind
    assert ledger.most_together <= 64


@pytest.mark.parametrize(
    "way",
    ["echo", "forced", "token_ids", "prompt_logprobs"],
)
def test_scores_are_right_whatever_goes_wrong_on_the_way(way: str) -> None:
    kinds = {"500": 0.1, "garbage": 0.1, "shape": 0.1, "cut": 0.1, "drop": 0.1}
    proxy = Proxy(made_up(), Faults(kinds, seed=5))
    prompts = [f"Review {at}: fine.\nSentiment:" for at in range(8)]
    labels = (" good", " bad", " so so")
    with probed(proxy, retries=12, scoring=way) as model:
        found = model.score([ScoreRequest(prompt, labels) for prompt in prompts])
    for prompt, scores in zip(prompts, found, strict=True):
        assert scores.logprobs == pytest.approx([logprob(prompt, label) for label in labels])
    assert proxy.ledger.never_answered == []
    assert set(kinds) <= set(proxy.ledger.outcomes)


def test_faults_before_and_around_the_requests_for_text_change_nothing() -> None:
    """While the probe looks, in the list of models and in the tokeniser's calls."""
    kinds = {"500": 0.08, "garbage": 0.08, "cut": 0.08, "drop": 0.08, "429": 0.08}
    proxy = Proxy(made_up(), Faults(kinds, seed=11, everywhere=True, retry_after="0"))
    calm, requests = (
        made_up(),
        [ScoreRequest("Is it?", (" yes", " no")), ScoreRequest("Or?", (" yes", " no"))],
    )
    with Loopback(proxy) as server, Loopback(calm) as other:
        model, expected = opened(server.url, tokenizer="server"), opened(other.url, tokenizer="server")
        assert [s.logprobs for s in model.score(requests)] == [s.logprobs for s in expected.score(requests)]
        assert model.found == expected.found
    paths = {json.loads(content)[0] for content in proxy.ledger.asked}
    assert paths >= {"/v1/models", "/tokenize", "/v1/completions"}
    assert set(kinds) <= set(proxy.ledger.outcomes)


def test_a_storm_of_429_is_waited_out_as_long_as_the_server_says() -> None:
    proxy = Proxy(made_up(), Faults(storm=6, retry_after="0.4"))
    with probed(proxy, concurrency=4) as model:
        began = time.monotonic()
        (answer,) = model.generate([GenerateRequest("storm", max_tokens=2)])
        assert time.monotonic() - began > 6 * 0.4
    assert answer.samples[0].text == greedy("storm", 2)
    assert proxy.ledger.outcomes == {"429": 6, "ok": 1}


def test_who_is_told_to_wait_makes_the_others_wait() -> None:
    proxy = Proxy(made_up(), Faults(storm=4, retry_after="0.5"))
    with probed(proxy, concurrency=4) as model:
        model.generate([GenerateRequest(f"storm {at}", max_tokens=2) for at in range(30)])
    assert proxy.ledger.outcomes == {"429": 4, "ok": 30}


def test_retries_end_with_the_last_fault_and_what_came_before_is_kept() -> None:
    proxy = Proxy(made_up(), Faults({"500": 0.6}, seed=2))
    final = []
    with probed(proxy, retries=1, concurrency=2) as model, pytest.raises(IclError, match="500") as ended:
        model.generate(
            [GenerateRequest(f"question {at}", max_tokens=1) for at in range(40)],
            lambda index, answer: final.append(index),
        )
    assert "(2 tries)" in str(ended.value)
    assert len(final) == proxy.ledger.outcomes["ok"] > 0


@pytest.mark.parametrize("dropped", ["n", "seed", "logprobs", "stop", "echo", "logit_bias"])
def test_what_a_server_drops_in_silence_is_noticed_and_done_without(dropped: str) -> None:
    """The probe sees the loss, so that texts, samples and scores are right all the same."""
    proxy = Proxy(made_up(), Faults(dropped=(dropped,)))
    asked = GenerateRequest("Count:", n=4, max_tokens=8, temperature=1.0, stop=("e", "a", "i", "o"), seed=3)
    with Loopback(proxy) as server:
        model = opened(server.url)
        samples = model.generate([asked])[0].samples
        assert len({sample.text for sample in samples}) == 4
        assert not any(set(sample.text) & set("eaio") for sample in samples)
        if dropped == "seed":
            assert "not reproducible" in model.engine
        else:
            assert [s.text for s in model.generate([asked])[0].samples] == [s.text for s in samples]
        (scores,) = model.score([ScoreRequest("Count:", (" one", " two"))])
        right = [logprob("Count:", " one"), logprob("Count:", " two")]
        if dropped == "logprobs":  # what is left is which one the server chooses
            assert scores.bounded == (0, 1)
            assert (scores.logprobs[0] > scores.logprobs[1]) == (right[0] > right[1])
        else:
            assert scores.logprobs == pytest.approx(right)


def test_answers_longer_than_asked_are_cut_and_said() -> None:
    proxy = Proxy(made_up(), Faults(longer=6))
    with Loopback(proxy) as server:
        model = opened(server.url)
        (answer,) = model.generate([GenerateRequest("Count:", max_tokens=5)])
        (sample,) = answer.samples
        assert "longer than max_tokens" in model.engine
    assert (sample.text, sample.stop_reason) == (greedy("Count:", 5), "length")
    assert len(sample.token_ids) == 5


def test_a_limit_that_is_no_longer_heeded_is_kept_here() -> None:
    proxy = Proxy(made_up(), Faults(longer=6))
    with probed(proxy) as model:
        (answer,) = model.generate([GenerateRequest("Count:", max_tokens=5)])
    assert (answer.samples[0].text, answer.samples[0].stop_reason) == (greedy("Count:", 5), "length")


def test_a_missing_label_is_bounded_from_above_and_said() -> None:
    with Loopback(made_up(top=3)) as server:
        model = opened(server.url, scoring="top_k")
        best, *_, worst = sorted(map(chr, range(97, 123)), key=lambda c: -logprob("Is it?", c))
        (scores,) = model.score([ScoreRequest("Is it?", (best, worst))])
    top = sorted(next_logprobs(tuple(b"Is it?")), reverse=True)
    if best.encode()[0] in next_logprobs(tuple(b"Is it?")).argsort()[-3:]:
        assert scores.logprobs[0] == pytest.approx(logprob("Is it?", best))
    assert scores.bounded[-1] == 1
    assert logprob("Is it?", worst) < scores.logprobs[1] <= top[2] + 1e-9


@pytest.mark.parametrize(
    ("faults", "options", "said"),
    [
        (Faults(key="right"), {"api_key_env": "MY_KEY"}, "MY_KEY"),
        (Faults(key="right"), {}, "OPENAI_API_KEY"),
        (Faults(), {"model": "tinny"}, "Did you mean 'tiny'"),
        (Faults({"garbage": 1.0}), {"retries": 1}, "no JSON"),
        (Faults({"drop": 1.0}), {"retries": 1}, "connection"),
        (Faults({"cut": 1.0}), {"retries": 1}, "connection"),
        (Faults({"hang": 1.0}, hang=5), {"retries": 1, "timeout": 0.5}, "no answer within 0.5 s"),
        (Faults({"429": 1.0}, retry_after="0"), {"retries": 2}, "429"),
    ],
    ids=["key", "no key", "model", "garbage", "drop", "cut", "hang", "429"],
)
def test_what_cannot_be_asked_ends_in_one_line(
    faults: Faults, options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with Loopback(Proxy(made_up(), faults)) as server, pytest.raises(IclError) as ended:
        opened(server.url, **options).generate([GenerateRequest("a", max_tokens=1)])
    assert said in str(ended.value)
    assert "\n" not in str(ended.value)
    assert KEY not in "".join(map(str, (ended.value, ended.value.__cause__, ended.value.__context__)))


def test_a_server_that_is_down_is_said_with_its_address() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(IclError, match="no connection") as ended:
        opened(address, retries=1).generate([GenerateRequest("a", max_tokens=1)])
    assert f"{address}/v1" in str(ended.value)


def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent() -> None:
    proxy = Proxy(made_up(context=128))
    with probed(proxy, context_length=128) as model, pytest.raises(IclError, match="128"):
        model.generate([GenerateRequest("a" * 120, max_tokens=20)])
    assert proxy.ledger.asked == {}


YAML = """\
name: remote
model: {{openai: {{model: tiny, base_url: "{url}/v1", concurrency: 4, tokenizer: fake, retries: 3}}}}
task: questions
pool: 12
test: 10
seeds: [0]
encoder: hashed
grid:
  selector: [random]
  shots: [2]
  method: [direct]
leaderboard: {{compare_to: random, metric: accuracy}}
"""


def slowly(server: Handler, seconds: float) -> Any:
    """The same server, which thinks first."""
    import asyncio

    async def handler(asked: Asked) -> Answered:
        if asked.path.endswith("/completions"):
            await asyncio.sleep(seconds)
        return await server(asked)

    return handler


def test_a_driver_that_is_killed_goes_on_with_nothing_asked_twice(tmp_path: Path) -> None:
    proxy = Proxy(slowly(made_up(), 0.02))
    faults = Faults({"500": 0.1, "garbage": 0.05}, seed=1)
    command = [sys.executable, "-m", "icl", "run", str(tmp_path / "e.yaml"), "-o", str(tmp_path / "runs")]
    env = {**os.environ, "OPENAI_API_KEY": KEY}
    with Loopback(proxy) as server:
        (tmp_path / "e.yaml").write_text(YAML.format(url=server.url))
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 120
        log = tmp_path / "runs" / "remote" / "cells"
        while not any(path.stat().st_size for path in log.glob("*.jsonl")) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        time.sleep(0.2)
        before = proxy.begin(faults)
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        after = proxy.ledger
    scored = {c for c in {**before.asked, **after.asked} if "Answer type" in decoded(c)}
    twice = [c for c in scored if (before.asked.get(c, []) + after.asked.get(c, [])).count("ok") > 1]
    assert len(scored & set(after.asked)) > 10
    assert len(twice) <= 4, "no more than were under way when it was killed"
    for cell in log.glob("*.jsonl"):
        ids = [json.loads(line)["query_id"] for line in cell.read_text().splitlines()]
        assert len(ids) == len(set(ids)) == 10
    held = [p for p in tmp_path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    assert held == []
    assert KEY not in done.stdout + done.stderr


def decoded(content: str) -> str:
    """The prompt of a request as text."""
    prompt = json.loads(content)[1]["prompt"]
    return prompt if isinstance(prompt, str) else bytes(prompt).decode()


def test_the_same_run_with_and_without_faults(tmp_path: Path) -> None:
    import icl

    answers = []
    for name, faults in (
        ("calm", Faults()),
        ("stormy", Faults({"500": 0.15, "cut": 0.1, "429": 0.1}, seed=9)),
    ):
        proxy = Proxy(made_up(), replace(faults, retry_after="0"))
        with Loopback(proxy) as server:
            (tmp_path / name).mkdir()
            file = tmp_path / name / "e.yaml"
            file.write_text(YAML.format(url=server.url).replace("retries: 3", "retries: 20, identity: one"))
            run = icl.run(file, output=tmp_path / name / "runs")
        answers.append(
            [(p.query_id, p.answer, dict(p.label_scores)) for r in run.results for p in r.predictions]
        )
        assert proxy.ledger.never_answered == []
    assert answers[0] == answers[1]
    assert len(answers[0]) >= 20
