"""`reidbench.run` and `reidbench.load` as a program calls them: files and mappings, failures, interrupts, threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import reidbench
from reidbench.errors import ConfigError, ReidbenchError

FAILS = "{use: command, extract: 'false {images} {out}'}"
METHODS = f"{{untrained: {{finetune: none}}, bot: {{finetune: {{use: bot, epochs: 2}}}}, bad: {{finetune: {FAILS}}}}}"


def inline(given: Any, folder: Path, **more: Any) -> reidbench.Results:
    return reidbench.run(given, store=folder, executor="inline", **more)


def start(script: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A script of a user, without `if __name__ == "__main__"`."""
    file = folder / "script.py"
    file.write_text(textwrap.dedent(script))
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, str(file), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=variables,
    )


# ---------------------------------------------------------------------- what comes back
@pytest.mark.slow
def test_a_file_and_its_mapping_give_the_table_of_the_command(
    matrix: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = matrix(methods=METHODS, seeds="[0, 1]")
    results = inline(file, tmp_path / "store")
    command = [sys.executable, "-m", "reidbench", "table", str(file), "--store", str(tmp_path / "store")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert results.markdown() == done.stdout
    capsys.readouterr()
    again = inline(yaml.safe_load(file.read_text()), tmp_path / "store")
    assert "[1/" in capsys.readouterr().err  # only what has failed is tried again
    assert again.markdown() == done.stdout
    assert reidbench.load(str(file), store=str(tmp_path / "store")).board.results == results.board.results


@pytest.mark.slow
def test_a_failing_cell_is_a_row_and_raises_nothing(matrix: Callable[..., Path], tmp_path: Path) -> None:
    results = inline(matrix(methods=METHODS), tmp_path / "store")
    (failed,) = results.failed
    assert (failed.row.method, failed.status) == ("bad", "blocked")
    assert "extract ended with exit code 1" in failed.error
    assert [result.status for result in results.board.results] == ["ok", "ok", "blocked"]
    assert repr(results) == "<Results of 'Test': 3 results: 2 ok, 1 blocked>"


def test_load_runs_and_writes_nothing(matrix: Callable[..., Path], tmp_path: Path) -> None:
    results = reidbench.load(matrix(), store=tmp_path / "store")
    assert [result.status for result in results.board.results] == ["missing"]
    assert results.failed == ()
    assert not (tmp_path / "store").exists()


def test_only_set_and_without_are_those_of_the_command(matrix: Callable[..., Path], tmp_path: Path) -> None:
    file = matrix(methods=METHODS)
    results = reidbench.load(file, store=tmp_path, only="b*/tiny", set=["seeds=[0, 1]", "title=Other"])
    assert results.board.title == "Other"
    assert [(one.row.method, one.row.seed) for one in results.board.results] == [("bot", 0), ("bot", 1), ("bad", None)]
    assert results.arguments == ("--set", "seeds=[0, 1]", "--set", "title=Other")
    assert reidbench.load(file, store=tmp_path, set="seeds=[3]", only="bot").board.results[0].row.seed == 3
    several = reidbench.load(file, store=tmp_path, only=["unt*", "b*/tiny"]).board.results
    assert {one.row.method for one in several} == {"untrained", "bot", "bad"}
    with pytest.raises(ConfigError, match="unknown finetuner 'bot'"):
        reidbench.load(file, store=tmp_path, without="reidbench_baseline")


def test_relative_paths_of_a_mapping_begin_in_the_working_folder(
    matrix: Callable[..., Path], market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = yaml.safe_load(matrix(data=f"{{tiny: {{use: market-folder, root: {market.name}}}}}").read_text())
    monkeypatch.chdir(market.parent)
    monkeypatch.setenv("REIDBENCH_STORE", str(tmp_path / "other"))
    results = reidbench.load(mapping)
    assert results.store.root == tmp_path / "other"
    assert results.plan.benchmark.data["tiny"].root == market


def test_a_mapping_is_written_nowhere_but_into_the_store(
    matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = matrix()
    mapping = yaml.safe_load(file.read_text())
    (tmp_path / "empty").mkdir()
    file.unlink()
    monkeypatch.chdir(tmp_path / "empty")
    results = inline(mapping, tmp_path / "store", progress=False)
    assert list((tmp_path / "empty").iterdir()) == []
    assert [result.status for result in results.board.results] == ["ok"]
    (board,) = results.store.boards()
    assert yaml.safe_load(board.board["text"]) == mapping  # the record reproduces the board


def test_a_recorded_board_shows_what_an_uninstalled_plugin_made(
    matrix: Callable[..., Path], tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = matrix(methods="{toy: {finetune: toy}}")
    before = inline(file, tmp_path / "store")
    monkeypatch.setenv("REIDBENCH_PLUGINS", "")
    after = reidbench.load(file, store=tmp_path / "store")
    assert [one.metrics for one in after.board.results] == [one.metrics for one in before.board.results]
    assert "not installed: finetuner toy" in after.warnings[0]
    with pytest.raises(ConfigError, match="unknown finetuner 'toy'"):
        inline(file, tmp_path / "store")


# ---------------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"executor": "proces"}, "unknown executor 'proces'; did you mean 'process'?"),
        ({"executor": None}, "unknown executor 'None'"),
        ({"jobs": 0}, "jobs must be a whole number from 1, not 0"),
        ({"jobs": True}, "jobs must be a whole number from 1, not True"),
        ({"jobs": 1.5}, "jobs must be a whole number from 1, not 1.5"),
        ({"workers": -1}, "workers must be a whole number from 0, not -1"),
        ({"time_limit": float("nan")}, "time_limit must be a number above 0, not nan"),
        ({"memory_limit": "1"}, "memory_limit must be a number above 0, not '1'"),
        ({"executor": "inline", "time_limit": 1}, "limits of a stage need a separate process"),
        ({"address": "auto"}, "--address is the address of a Ray cluster"),
        ({"only": "nothing*"}, "'nothing\\*' matches no method and no method/task \\(methods: untrained\\)"),
        ({"only": ["untrained", "bot"]}, "'bot' matches no method and no method/task \\(methods: untrained\\)"),
        ({"only": ""}, "'' matches no method and no method/task"),
        ({"only": [1]}, "only must be a list of strings, for example .*, not list"),
        ({"set": ["seeds"]}, "--set 'seeds': expected KEY=VALUE"),
        ({"set": {"seeds": [0]}}, "set must be a list of strings, for example .*, not dict"),
        ({"set": [1]}, "set must be a list of strings"),
        ({"without": 3}, "without must be a list of strings, .*, not int"),
        ({"store": 3}, "store must be the path of a folder, not int"),
    ],
)
def test_arguments_that_mean_nothing(
    arguments: dict[str, Any], sentence: str, matrix: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ReidbenchError, match=sentence):
        reidbench.run(matrix(), **{"store": tmp_path / "store", **arguments})
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("given", [None, 3, ["a.yaml"], object()])
def test_what_is_no_matrix(given: Any) -> None:
    with pytest.raises(ReidbenchError, match="a matrix must be the path of a file or a mapping, not"):
        reidbench.load(given)


def test_all_mistakes_of_a_file_with_their_lines(matrix: Callable[..., Path], tmp_path: Path) -> None:
    file = matrix(seeds="[0, 0]", tasks="{tiny: {source: nope, target: tiny}}")
    with pytest.raises(ConfigError) as raised:
        reidbench.run(file, store=tmp_path / "store")
    assert len(raised.value.problems) == 2
    assert all(problem.startswith(f"{file}:") for problem in raised.value.problems)


# ---------------------------------------------------------------------- where it is called
@pytest.mark.slow
def test_nothing_is_printed_without_progress(
    matrix: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inline(matrix(methods=METHODS), tmp_path / "store", progress=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_thread_and_a_running_event_loop(executor: str, matrix: Callable[..., Path], tmp_path: Path) -> None:
    """As a notebook and a server have them; two threads share a store, and each stage is made once."""
    import asyncio

    file = matrix(seeds="[0, 1]")
    found: list[Any] = []

    async def call() -> None:
        found.append(reidbench.run(file, store=tmp_path / "store", executor=executor, progress=False))

    threads = [threading.Thread(target=asyncio.run, args=(call(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[row.status for row in results.board.results] for results in found] == [["ok", "ok"]] * 2
    assert found[0].board.results == found[1].board.results


SCRIPT = """
    import sys
    import reidbench

    results = reidbench.run(sys.argv[1], store="store", jobs=2)
    print(*(row.status for row in results.board.results))
"""


@pytest.mark.slow
def test_a_script_without_a_guard(matrix: Callable[..., Path], tmp_path: Path) -> None:
    """Workers do not run the script again."""
    (tmp_path / "here").mkdir()
    out, error = start(SCRIPT, tmp_path / "here", str(matrix(seeds="[0, 1]"))).communicate()
    assert out == "ok ok\n", error
    assert error.count("stages to run") == 1


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_same_call_goes_on(
    matrix: Callable[..., Path], tmp_path: Path, interruptible: None
) -> None:
    file = matrix(methods="{bot: {finetune: {use: bot, epochs: 60}}}")
    run = start(SCRIPT, tmp_path, str(file))
    while not list((tmp_path / "store").glob("scratch/*/checkpoint")):
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, error = run.communicate()
    assert out == ""
    assert run.returncode == -signal.SIGINT  # as Python ends at a KeyboardInterrupt that nobody catches
    assert "note: interrupted; finished stages are cached, and the same call resumes" in error
    assert error.rstrip().endswith("KeyboardInterrupt")
    store = os.fsencode(tmp_path / "store")
    assert [file for file in Path("/proc").glob("[0-9]*/cmdline") if store in contents(file)] == []
    out, error = start(SCRIPT, tmp_path, str(file)).communicate()
    assert out == "ok\n", error
    assert "data tiny" not in error  # which was kept


def contents(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
