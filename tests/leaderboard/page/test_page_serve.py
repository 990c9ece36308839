"""What is served, to whom, and how it follows a run that grows."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from icl.api import Run
from icl.errors import ConfigError, DataError
from icl.leaderboard.page import live
from icl.leaderboard.page.live import Runs
from icl.leaderboard.page.serve import PageServer
from icl.pages import page_of_runs

from .conftest import EVIL


def build(path: Path):
    return page_of_runs([Run(path)])


@pytest.fixture
def folder(run_folder, tmp_path):
    """A folder of two runs: one whole, one that has just begun."""
    shutil.copytree(run_folder, tmp_path / "runs" / "whole")
    shutil.copytree(run_folder, tmp_path / "runs" / "growing")
    for path in (tmp_path / "runs" / "growing" / "cells").iterdir():
        path.unlink()
    return tmp_path / "runs"


@pytest.fixture
def server(folder):
    with PageServer(Runs(folder, build)) as started:
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield started
        started.shutdown()


def get(server, path, method="GET", token=None, **headers):
    """(status, body) of a request to the server."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    prefix = f"/{server.token if token is None else token}"
    connection.request(
        method, prefix + path, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, dict(answer.getheaders())


def test_the_token_opens_the_page_and_nothing_else_does(server):
    assert server.url == f"http://127.0.0.1:{server.port}/{server.token}/"
    assert len(server.token) >= 32
    assert get(server, "/")[0] == 200
    for token in ("", "wrong", server.token[:-1], server.token + "x"):
        status, body, _ = get(server, "/", token=token)
        assert (status, body) == (403, b"refused: the address lacks its token\n")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Host": "evil.example"}, b"another host name"),
        ({"Host": "evil.example:80"}, b"another host name"),
        ({"Origin": "http://evil.example"}, b"another site"),
        ({"Origin": "null"}, b"another site"),
        ({"Sec_Fetch_Site": "cross-site"}, b"another site"),
    ],
)
def test_foreign_hosts_and_sites_are_refused(server, headers, said):
    status, body, _ = get(server, "/state", **headers)
    assert status == 403
    assert said in body


def test_its_own_origin_is_answered(server):
    assert get(server, "/state", Origin=f"http://127.0.0.1:{server.port}")[0] == 200
    assert get(server, "/state", Host=f"localhost:{server.port}")[0] == 200


def test_it_only_reads(server, folder):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert get(server, "/", method=method)[0] == 501
    assert get(server, "/run/whole/")[0] == 200
    assert get(server, "/run/whole/", method="HEAD")[:2] == (200, b"")
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


@pytest.mark.parametrize(
    "path", ["/run/none/", "/run/../", "/run/%2e%2e/", "/run/whole/block/none?v=1", "/run/whole", "/x"]
)
def test_what_is_not_there_is_not_found(server, path):
    assert get(server, path)[0] == 404


def test_answers_forbid_frames_sniffing_and_keeping(server):
    _, body, headers = get(server, "/run/whole/")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert b"connect-src 'self'" in body.replace(b"&#x27;", b"'")
    assert EVIL.encode() not in body


def test_blocks_are_those_of_the_report(server, parts):
    index = json.loads(get(server, "/run/whole/index")[1])
    version = index["live"]["version"]
    for name in ("p0", "t0", "e0_0", "r0"):
        status, body, _ = get(server, f"/run/whole/block/{name}?v={version}")
        assert status == 200
        assert json.loads(gzip.decompress(body)) == parts.blocks[name]


def test_a_run_that_grows_has_another_version_and_its_first_rows(server, folder, monkeypatch):
    monkeypatch.setattr(live, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(live, "SHARE", 0.0)
    before = json.loads(get(server, "/run/growing/state")[1])
    (progress,) = before["progress"]
    assert (progress["done"], progress["state"]) == (0, "stopped")
    source = next((folder / "whole" / "cells").glob("*knn_4*direct_s0*.jsonl"))
    lines = source.read_bytes().splitlines(keepends=True)
    (folder / "growing" / "cells" / source.name).write_bytes(b"".join(lines[:3]) + lines[3][:20])
    after = json.loads(get(server, "/run/growing/state")[1])
    assert after["version"] != before["version"]
    assert after["progress"][0]["done"] == 3
    assert after["progress"][0]["total"] == before["progress"][0]["total"] > 3
    index = json.loads(get(server, "/run/growing/index")[1])
    assert sum(cell["n"] for cell in index["cells"]) == 3
    assert json.loads(get(server, "/run/growing/state")[1])["version"] == after["version"]


def test_a_page_is_not_made_again_within_moments(server, folder):
    before = json.loads(get(server, "/run/growing/state")[1])
    shutil.copy(next((folder / "whole" / "cells").glob("*.jsonl")), folder / "growing" / "cells")
    assert json.loads(get(server, "/run/growing/state")[1])["version"] == before["version"]


def test_a_folder_that_cannot_be_read_is_said_and_the_others_are_served(server, folder):
    manifest = folder / "growing" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    listed = {one["name"]: one for one in json.loads(get(server, "/state")[1])["progress"]}
    assert "newer icl" in listed["growing"]["problem"]
    assert listed["whole"]["state"] == "complete"
    status, body, _ = get(server, "/run/growing/")
    assert status == 409
    assert body.count(b"\n") == 1
    assert b"newer icl" in body


def test_one_run_alone_is_a_folder_too(folder):
    runs = Runs(folder / "whole", build)
    assert runs.names() == ["whole"]
    assert runs.index("whole")["live"]["up"] is None


def test_one_run_that_cannot_be_read_is_refused_and_listed_among_others(folder):
    manifest = folder / "whole" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    with pytest.raises(DataError, match="newer icl"):
        Runs(folder / "whole", build)
    problems = {one["name"]: one["problem"] for one in Runs(folder, build).state()["progress"]}
    assert "newer icl" in problems["whole"]
    assert problems["growing"] == ""


def test_folders_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Runs(tmp_path / "none", build)
    with pytest.raises(DataError, match="holds no run folder"):
        Runs(tmp_path, build)


def test_a_port_in_use_is_one_clear_line(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^--port: {port} is in use; name another, or 0 for any"):
            PageServer(Runs(folder, build), port)
    with pytest.raises(ConfigError, match="--port: 70000 is no port"):
        PageServer(Runs(folder, build), 70000)


def test_control_c_ends_it_quietly(folder):
    command = [sys.executable, "-m", "icl", "view", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/\n", address)
        assert process.stderr.readline() == "Ctrl-C ends it.\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0
    assert said.strip() == ""


def test_a_run_that_is_removed_is_not_listed_any_more(server, folder):
    assert get(server, "/run/growing/")[0] == 200
    shutil.rmtree(folder / "growing")
    assert [one["name"] for one in json.loads(get(server, "/state")[1])["progress"]] == ["whole"]
    for place in ("/run/growing/", "/run/growing/state", "/run/growing/block/p0?v=1"):
        assert get(server, place)[0] == 404
    shutil.rmtree(folder)
    assert json.loads(get(server, "/state")[1])["progress"] == []


def test_the_page_follows_a_run_in_a_browser(server, folder, watch, monkeypatch):
    monkeypatch.setattr(live, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(live, "SHARE", 0.0)
    page = watch(server.url)
    page.tab.click("text=growing")
    page.tab.wait_for_selector("table.board")
    source = next((folder / "whole" / "cells").glob("*knn_4*direct_s0*.jsonl"))
    shutil.copy(source, folder / "growing" / "cells")
    page.tab.wait_for_selector("text=of 12 so far")
    shutil.copy(source.with_suffix(".json"), folder / "growing" / "cells")
    page.tab.wait_for_function("() => !document.querySelector('main').innerText.includes('of 12 so far')")
    page.tab.fill("#filter", "knn 4 as_selected direct")
    page.tab.locator("tr.row").first.click()
    page.tab.wait_for_selector("table.listing tr.row")
    page.tab.locator("table.listing tr.row").first.click()
    assert page.tab.wait_for_selector("pre.prompt").inner_text().strip()
