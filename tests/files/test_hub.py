"""Files of the hub: brought from a server once, then found in the cache without any."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.files import hub

COMMIT = "0123456789" * 4
FILES = {"model.safetensors": b"eight by", "config.json": b"{}"}


class Hub(BaseHTTPRequestHandler):
    """Serves the files of someone/model at its newest commit, as the hub does; all else is not there."""

    def do_HEAD(self) -> None:
        name = self.path.rpartition("/")[2]
        known = self.path.startswith("/someone/model/resolve/main/") and name in FILES
        self.send_response(200 if known else 404)
        self.send_header("X-Repo-Commit", COMMIT)
        if known:
            self.send_header("ETag", f'"{hashlib.sha256(FILES[name]).hexdigest()}"')
            self.send_header("Content-Length", str(len(FILES[name])))
        else:
            self.send_header("X-Error-Code", "EntryNotFound" if "/someone/model/" in self.path else "RepoNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()
        if known and self.command == "GET":
            self.wfile.write(FILES[name])

    def do_GET(self) -> None:
        self.do_HEAD()

    def log_message(self, *given: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def run(endpoint: str, cache: Path, code: str) -> str:
    """Output of a child; our own errors are printed unchanged."""
    script = f"""
from reidbench.errors import ReidbenchError
from reidbench.files import hub
try:
    {code}
except ReidbenchError as error:
    print("ERROR", error)
"""
    places = {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run([sys.executable, "-c", script], env={**kept, **places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_what_is_fetched_once_is_found_without_a_network(server: str, tmp_path: Path) -> None:
    look = "print(hub.cached('someone/model', 'model.safetensors'))"
    assert run(server, tmp_path, look) == "None"
    wanted = "['model.safetensors', 'absent.json', 'config.json']"
    assert run(server, tmp_path, f"print(hub.fetch('someone/model', {wanted}))") == "None"
    found = Path(run("http://127.0.0.1:1", tmp_path, look))
    assert found.read_bytes() == b"eight by"
    assert found.parent.name == COMMIT
    by_commit = f"print(hub.cached('someone/model', 'config.json', '{COMMIT}'))"
    assert Path(run("http://127.0.0.1:1", tmp_path, by_commit)).read_bytes() == b"{}"


@pytest.mark.slow
def test_what_cannot_be_fetched_is_one_sentence(server: str, tmp_path: Path) -> None:
    for place, repository, words in (
        (server, "someone/other", f"someone/other is not in the cache {tmp_path} and cannot be fetched"),
        ("http://127.0.0.1:1", "someone/model", f"someone/model is not in the cache {tmp_path} and cannot be fetched"),
    ):
        told = run(place, tmp_path, f"hub.fetch('{repository}', ['model.safetensors'])")
        assert told.startswith(f"ERROR {words}")
        assert "\n" not in told
    told = run(server, tmp_path, "hub.fetch('someone/model', ['absent.bin'])")
    assert told == "ERROR someone/model on the hub has none of absent.bin"


def test_a_name_that_is_none() -> None:
    with pytest.raises(ReidbenchError, match="is not the name of a repository"):
        hub.cached("a/b/c", "model.safetensors")
