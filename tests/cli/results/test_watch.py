"""`reidbench watch`: on the loopback interface only, and refreshed as results come."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench.cli.results.serving import Server, Source
from reidbench.errors import ReidbenchError
from tests.support.browser import browsing, in_browser, view, wait

STATE: dict[str, Any] = {
    "title": "<b>Test",
    "version": "one",
    "words": ["<b>Test: running; 1 of 4 results", "stages: 2 of 8 done"],
    "rows": {"done": 1, "total": 4},
    "stages": {"done": 2, "total": 8},
    "running": [{"words": "finetune bot: 3 of 20, loss 0.5", "done": 3.0, "total": 20.0, "remaining": float("nan")}],
    "failed": [{"stage": "finetune mgn", "error": "RuntimeError: <i>no"}],
    "remaining_words": "; remaining: about 2 min",
}


class Run:
    """A run whose state tests change, and how often it was asked for its page."""

    def __init__(self) -> None:
        self.now = dict(STATE)
        self.pages = 0

    def state(self) -> dict[str, Any]:
        if "fault" in self.now:
            raise ReidbenchError(self.now["fault"])
        return self.now

    def page(self) -> str:
        self.pages += 1
        return f"<!doctype html><title>page</title><p id='p'>page {self.pages} of {self.now['version']}</p>"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("reidbench.cli.results.serving.EVERY", 0.0)
    return Run()


@pytest.fixture
def server(run: Run) -> Iterator[Server]:
    with Server(Source(run.state, run.page), 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def get(server: Server, path: str, host: str | None = None) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def test_it_listens_on_the_loopback_interface_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


def test_other_hosts_other_paths_and_other_methods_are_refused(server: Server) -> None:
    for path in ("/", "/page", "/state"):
        assert get(server, path, "evil.example")[0] == 403
        assert get(server, path, f"localhost:{server.server_port}")[0] == 200
    for path in ("/../../etc/passwd", "/page/", "/state?x"):
        assert get(server, path)[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("POST", "/state", "{}")
    assert connection.getresponse().status == 501


def test_the_page_is_made_once_for_each_version(server: Server, run: Run) -> None:
    assert [get(server, "/page")[1] for _ in range(2)] == [get(server, "/page")[1]] * 2
    assert run.pages == 1
    run.now = {**STATE, "version": "two"}
    assert "page 2 of two" in get(server, "/page")[1]


def test_states_are_json_that_browsers_read(server: Server) -> None:
    status, text, headers = get(server, "/state")
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(text, parse_constant=pytest.fail)["running"][0]["remaining"] is None


def test_a_matrix_file_with_mistakes_is_an_error_until_it_has_none(server: Server, run: Run) -> None:
    run.now = {"fault": "matrix.yaml:3: unknown task"}
    assert json.loads(get(server, "/state")[1]) == {"error": "matrix.yaml:3: unknown task"}
    assert get(server, "/page")[:2] == (503, "matrix.yaml:3: unknown task")
    run.now = dict(STATE)
    assert get(server, "/page")[0] == 200


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_browser_shows_progress_and_reloads_the_page(server: Server, run: Run, width: int, scheme: str) -> None:
    with browsing(server.address) as browser:
        view(browser, width, scheme)

        def text(selector: str) -> str:
            # in one step: the page replaces these elements while it is read
            script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join(' ')"
            return str(browser.execute_script(script, selector))

        wait(lambda: "1 of 4 results" in text("#all"))
        assert "<b>Test: running" in text("#all")  # shown as text, not obeyed
        assert "about 2 min" in text("#all")
        assert "loss 0.5" in text("#running")
        assert "RuntimeError: <i>no" in text("#failed")
        script = "return [...document.querySelectorAll('#running progress')].map((one) => one.max)"
        assert browser.execute_script(script) == [20]
        assert browser.title == "1/4 <b>Test"
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == (
            "rgb(24, 30, 37)" if scheme == "dark" else "rgb(246, 248, 250)"
        )

        def framed() -> str:
            browser.switch_to.frame("page")
            found = text("#p")
            browser.switch_to.default_content()
            return found

        wait(lambda: framed().endswith(" of one"))  # a slow browser loads the frame later than the state
        before = run.pages
        run.now = {**STATE, "version": "two"}
        wait(lambda: framed() == f"page {before + 1} of two")
        severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert severe == []


@pytest.mark.slow
def test_the_command_serves_a_file_and_stops_with_ctrl_c(matrix: Callable[..., Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reidbench", "watch", str(matrix()), "--store", str(tmp_path / "store")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said.startswith("serving http://127.0.0.1:")
            assert said.endswith("/ (Ctrl-C stops it)\n")
            port = int(said.split(":")[2].split("/")[0])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET", "/page")
            page = connection.getresponse().read().decode()
            assert "untrained" in page
            assert "not measured" in page or "missing" in page
            process.send_signal(signal.SIGINT)
            assert process.stderr.read() == "stopped\n"
            assert process.wait() == 0
        finally:
            process.kill()  # a failed assertion does not wait for a server
    assert not (tmp_path / "store").exists()  # nothing is written
