"""The proxy and the servers that other tests stand on: faults at their rates, counted, nothing left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.client import IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest

from tests.backends.server import NAME

from . import real
from .faulty import Faults, Proxy, made_up
from .loopback import Loopback


def post(address: str, body: dict[str, Any], path: str = "/v1/completions", key: str = "") -> Any:
    """The answer as JSON. Raises what urllib raises."""
    request = urllib.request.Request(address + path, json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())


def outcome(address: str, body: dict[str, Any]) -> str:
    """How a request ended for a client that knows nothing of the proxy."""
    try:
        choices = post(address, body)["choices"]
    except urllib.error.HTTPError as error:
        return str(error.code)
    except IncompleteRead:
        return "cut"
    except (RemoteDisconnected, ConnectionError):
        return "drop"
    except ValueError:
        return "garbage"
    return "ok" if "text" in choices[0] else "shape"


def test_faults_come_at_their_rates_and_are_counted_by_content() -> None:
    kinds = {"429": 0.1, "500": 0.1, "503": 0.1, "garbage": 0.1, "shape": 0.1, "cut": 0.1, "drop": 0.1}
    proxy = Proxy(made_up(), Faults(kinds, seed=3))
    bodies = [{"model": NAME, "prompt": f"question {at}", "max_tokens": 2} for at in range(300)]
    with Loopback(proxy) as server:
        met = [outcome(server.url, body) for body in bodies]
    assert met == [outcomes[0] for outcomes in proxy.ledger.asked.values()]
    for kind, rate in kinds.items():
        assert 0.5 * rate < met.count(kind) / len(met) < 1.6 * rate, kind
    assert met.count("ok") > 60


def test_what_happens_does_not_depend_on_the_order_of_requests() -> None:
    faults = Faults({"500": 0.5}, seed=1)
    bodies = [{"model": NAME, "prompt": f"question {at}", "max_tokens": 1} for at in range(40)]
    met = []
    for order in (bodies, bodies[::-1]):
        proxy = Proxy(made_up(), faults)
        with Loopback(proxy) as server:
            for body in order:
                outcome(server.url, body)
        met.append(proxy.ledger.asked)
    assert met[0] == met[1]
    assert {tuple(outcomes) for outcomes in met[0].values()} == {("ok",), ("500",)}


def test_the_second_try_of_a_request_has_a_fate_of_its_own_and_a_second_answer_shows() -> None:
    proxy = Proxy(made_up(), Faults(storm=2, retry_after="7"))
    body = {"model": NAME, "prompt": "a", "max_tokens": 1}
    with Loopback(proxy) as server:
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(server.url, body)
        assert refused.value.headers["Retry-After"] == "7"
        assert [outcome(server.url, body) for _ in range(3)] == ["429", "ok", "ok"]
    assert proxy.ledger.outcomes == {"429": 2, "ok": 2}
    assert len(proxy.ledger.answered_twice) == 1
    assert proxy.ledger.never_answered == []


def test_a_parameter_can_be_lost_and_an_answer_be_too_long() -> None:
    body = {"model": NAME, "prompt": "a", "max_tokens": 3, "n": 4, "logprobs": 2, "temperature": 0}
    with Loopback(Proxy(made_up(), Faults(dropped=("n", "logprobs"), longer=5))) as server:
        (choice,) = post(server.url, body)["choices"]
    assert choice["logprobs"] is None
    assert len(choice["text"]) == 15


def test_a_wrong_key_and_a_wrong_model_are_refused() -> None:
    proxy = Proxy(made_up(), Faults(key="right", model=NAME))
    with Loopback(proxy) as server:
        for model, key, code in ((NAME, "wrong", 401), ("other", "right", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(server.url, {"model": model, "prompt": "a"}, key=key)
            assert refused.value.code == code
        assert post(server.url, {"model": NAME, "prompt": "a"}, key="right")["choices"]
    assert proxy.ledger.outcomes == {"ok": 1}


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def gone(group: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while alive(group) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(group)


@pytest.mark.parametrize("how", ["closed", "killed", "late"])
def test_a_kept_server_ends_with_its_test(tmp_path: Path, how: str) -> None:
    note = tmp_path / "group"
    server = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    keeper = [sys.executable, str(real.HERE / "keeper.py"), "1" if how == "late" else "60"]
    test = (
        "import os, subprocess, time\n"
        f"kept = subprocess.Popen({[*keeper, sys.executable, '-c', server]!r}, stdin=subprocess.PIPE)\n"
        f"while not os.path.exists({str(note)!r}) or not os.path.getsize({str(note)!r}): time.sleep(0.05)\n"
        f"{'kept.stdin.close(); kept.wait(30)' if how == 'closed' else 'time.sleep(60)'}\n"
    )
    process = subprocess.Popen([sys.executable, "-c", test])
    try:
        until = time.monotonic() + 30
        while not (note.exists() and note.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        group = int(note.read_text())
        if how == "killed":
            assert alive(group)
            process.send_signal(signal.SIGKILL)
        assert gone(group)
    finally:
        process.kill()
        process.wait()


def test_a_server_that_does_not_start_is_said_with_its_last_words() -> None:
    command = [sys.executable, "-c", "print('no such file: model.gguf'); raise SystemExit(3)"]
    with (
        pytest.raises(AssertionError, match=r"no such file: model\.gguf"),
        real.served(command, real.free_port(), ready=20),
    ):
        pytest.fail("served")
