"""`reidbench serve`: the searches of `reidbench search` over HTTP, on this machine only, until Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.cli.networks.serve import check_host
from reidbench.errors import ReidbenchError
from tests.support.services import Command, ask, command, row, search


def run(*words: str) -> str:
    """A command in this process; its output. Its errors are raised."""
    return CliRunner().invoke(main.app, list(words), catch_exceptions=False).output


def test_the_service_answers_as_the_command_searches(served: Command) -> None:
    queries = served.queries[:3]
    with contextlib.chdir(served.folder):
        said = run("search", *row(served.folder), str(served.gallery), *map(str, queries), "--top", "4")
    found = []
    for query in queries:
        matches = search(served.port, query.read_bytes(), 4).json["matches"]
        found.append(f"query {query}")
        found += [f"{one['rank']:>5}  {one['distance']:.4f}  {served.gallery / one['name']}" for one in matches]
    assert [line for line in said.splitlines() if not line.startswith("note:")] == found
    about = ask(served.port, "GET", "/about").json
    assert (about["row"], about["task"], about["seed"]) == ("colours", "t", None)
    assert about["images"] == len(list(served.gallery.iterdir()))
    assert (about["index"], about["exact"]) == ("flat", True)
    assert (about["most_bytes"], about["most_pixels"], about["most_results"]) == (1 << 20, 1 << 20, 100)
    assert about["protocol"]
    assert about["keys"][0] in about["network"]
    with pytest.raises(OSError):  # noqa: PT011 - the words depend on the system
        socket.create_connection(("127.0.0.2", served.port), timeout=60)  # another address of this machine


@pytest.mark.slow
def test_features_of_a_file_answer_the_same_and_ctrl_c_stops_it(served: Command, tmp_path: Path) -> None:
    with contextlib.chdir(served.folder):
        run("embed", *row(served.folder), "data/bounding_box_test", "-o", str(tmp_path / "x.npz"))
    before = set(served.folder.rglob("*"))
    with command(
        served.folder, "--index", "hnsw", "--result-limit", "3", "--features", str(tmp_path / "x.npz")
    ) as another:
        about = ask(another.port, "GET", "/about").json
        assert (about["index"], about["exact"], about["most_results"]) == ("hnsw", False, 3)
        picture = served.queries[0].read_bytes()
        assert search(another.port, picture, 3).body == search(served.port, picture, 3).body  # so few are all found
        another.process.send_signal(signal.SIGINT)
        assert another.process.stderr is not None
        assert another.process.stderr.read() == "stopped\n"
        assert another.process.wait() == 0
    assert set(served.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["KEY", "--gallery", "GALLERY"], r"^both a key \(KEY\) and --file are given; remove one of them$"),
        (["--gallery", "none"], r"^none: no such folder; --gallery requires a folder of images$"),
        (["--gallery", "GALLERY", "--host", "::"], r"^--host :: lets other machines search .*; add --allow-remote if"),
        (["--gallery", "GALLERY", "--host", "x", "--allow-remote"], r"^--host x --port 0: .*; use another host"),
        (["--gallery", "GALLERY", "--features", "none.npz"], r"^none\.npz: not a feature file; give an \.npz or \.mat"),
        (["--gallery", "GALLERY", "--features", "matrix.yaml"], r"^matrix\.yaml: not a feature file; give an "),
        (["--gallery", "GALLERY", "--pixel-limit", "86"], r"^--pixel-limit 86: must be at most 85$"),
    ],
)  # fmt: skip
def test_a_slip_is_one_sentence(served: Command, words: list[str], sentence: str) -> None:
    given = [str(served.gallery) if word == "GALLERY" else word for word in words]
    with contextlib.chdir(served.folder), pytest.raises(ReidbenchError, match=sentence):
        run("serve", *row(served.folder), *given)


def test_a_host_that_others_reach_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fastapi")
    check_host("127.0.0.1", allow_remote=False)
    assert capsys.readouterr().err == ""
    check_host("192.0.2.7", allow_remote=True)
    assert capsys.readouterr().err == (
        "note: any machine that reaches 192.0.2.7 can search and see the gallery, without a password and unencrypted\n"
    )


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    sentence = r"^`reidbench serve` requires fastapi, uvicorn, python_multipart: pip install 'reidbench\[serve\]'$"
    with pytest.raises(ReidbenchError, match=sentence):
        run("serve", "key", "--gallery", str(tmp_path))
