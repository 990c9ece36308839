"""The probe finds out what a server does, and what it leaves out in silence."""

from __future__ import annotations

import pytest

from tests.backends.conftest import opened

HONEST = {"n": "many", "seed": "seeds", "stop": "stops", "limit": "limits"}


def test_an_honest_server_is_believed(started):
    found = opened(started()).found
    assert (found.endpoint, found.takes_ids, found.extras, found.ids, found.counts) == (
        "completions",
        *[True] * 4,
    )
    assert (found.many, found.seeds, found.stops, found.limits, found.raw) == (True,) * 5
    assert (found.top, found.echo, found.prompt_logprobs, found.token_ids) == (20, 0, True, True)
    assert (found.forced, found.choice, found.notes) == ("logit_bias", "structured_outputs", ())


@pytest.mark.parametrize(
    ("field", "instead", "seen", "value"),
    [
        ("n", "ignored", "many", False),
        ("n", "copies", "many", False),
        ("n", "refused", "many", False),
        ("seed", "ignored", "seeds", False),
        ("stop", "ignored", "stops", False),
        ("limit", "ignored", "limits", False),
        ("top", 0, "top", 0),
        ("top", 3, "top", 3),
        ("heat", True, "raw", False),
        ("ids", False, "ids", False),
        ("echo", "ignored", "echo", None),
        ("echo", "off_by_one", "echo", None),
        ("prompt_logprobs", "ignored", "prompt_logprobs", False),
        ("prompt_logprobs", "stale", "prompt_logprobs", False),
        ("token_ids", "ignored", "token_ids", False),
        ("bias", "ignored", "forced", ""),
        ("bias", "after", "forced", "allowed_token_ids"),
        ("takes_ids", False, "takes_ids", False),
        ("strict", True, "extras", False),
        ("counts", False, "counts", False),
        ("choice", "grammar", "choice", "grammar"),
        ("choice", "guided_choice", "choice", "guided_choice"),
        ("choice", "response_format", "choice", "response_format"),
        ("choice", "", "choice", ""),
    ],
)
def test_what_a_server_leaves_out_is_noticed(started, field, instead, seen, value):
    found = opened(started(**{field: instead})).found
    assert getattr(found, seen) == value
    others = {name for other, name in HONEST.items() if other != field}
    assert all(getattr(found, name) for name in others)


def test_what_is_not_heeded_is_said(started, caplog):
    server = started(seed="ignored", stop="ignored", limit="ignored")
    model = opened(server)
    engine = model.engine
    for words in ("not reproducible", "stop strings are not heeded", "longer than max_tokens"):
        assert words in caplog.text
        assert words in engine


def test_chat_where_only_that_exists(started):
    found = opened(started(completions=False)).found
    assert (found.endpoint, found.top, found.prefills, found.overhead > 0) == ("chat", 20, True, True)
    assert not opened(started(completions=False, prefill=False)).found.prefills


def test_the_token_that_was_drawn_may_stand_first_among_the_likely_ones(started):
    for heat, raw in ((False, True), (True, False)):
        server = started(completions=False, drawn_first=True, heat=heat, top=5)
        assert opened(server).found.raw == raw


def test_a_server_is_probed_once_a_process(started):
    server = started()
    opened(server).found  # noqa: B018
    asked = len(server.asked)
    again = opened(server, concurrency=2)
    assert again.found == opened(server).found
    assert len(server.asked) == asked
    assert opened(server, endpoint="chat").found.endpoint == "chat"
    assert len(server.asked) > asked
