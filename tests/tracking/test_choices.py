"""Options of trackers are validated before anything runs, and enter no key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import reidbench
from reidbench.errors import ReidbenchError
from reidbench.hookspecs import EVERY_HOOK, HOOKS
from reidbench.registry import plugins
from reidbench.tracking.choices import chosen, validated


def test_options_are_read_as_yaml_and_validated(scribe: Path) -> None:
    (choice,) = chosen(["scribe"], ["scribe.file=calls", "scribe.seconds=0.5", "scribe.fail='3'"], plugins.load())
    assert choice.params.model_dump(mode="json") == {"file": "calls", "fail": "3", "how": "raise", "seconds": 0.5}


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (["scrib"], [], "--track: unknown tracker 'scrib'; did you mean 'scribe'? (known: absent, mlflow, scribe, "),
        (["bot"], [], "--track: unknown tracker 'bot'; it is of kind finetuner"),
        (["absent"], [], "--track: tracker 'absent': not installed: no_such_package (pip install 'reidbench[scribe]')"),
        (["scribe"], [], "--track-option scribe.file: tracker scribe needs this parameter"),
        (["scribe"], ["scribe.file=x", "scribe.seconds=fast"], "--track-option scribe.seconds: must be a number"),
        (
            ["scribe"],
            ["scribe.file=x", "scribe.second=1"],
            "--track-option scribe.second: tracker scribe has no such parameter; did you mean 'seconds'?",
        ),
        (["scribe"], ["file=x"], "--track-option 'file=x': expected NAME.KEY=VALUE"),
        (["scribe"], ["scribe.file"], "--track-option 'scribe.file': expected NAME.KEY=VALUE"),
        (["scribe"], ["scribe.file=x: [y"], "--track-option 'scribe.file=x: [y': the value is not plain YAML"),
        (["scribe"], ["absent.file=x"], "no --track names the tracker 'absent' (add --track absent)"),
        (["scribe"], ["scriba.file=x"], "no --track names the tracker 'scriba' (known: absent, mlflow, scribe, "),
    ],
)
def test_mistakes_are_named_with_a_fix(names: list[str], options: list[str], sentence: str, scribe: Path) -> None:
    with pytest.raises(ReidbenchError) as raised:
        chosen(names, options, plugins.load())
    assert sentence in str(raised.value)


def test_a_program_gives_options_as_a_mapping(scribe: Path, matrix: Callable[..., Path], tmp_path: Path) -> None:
    registry = plugins.load()
    assert [one.name for one in validated({"scribe": {"file": "x"}}, registry)] == ["scribe"]
    with pytest.raises(ReidbenchError, match=r"track\.scribe\.seconds: must be a number, like 2 or 0\.5, not 'fast'"):
        reidbench.run(
            matrix(), store=tmp_path / "s", track={"scribe": {"file": "x", "seconds": "fast"}}, progress=False
        )
    with pytest.raises(ReidbenchError, match="track must map names of trackers to mappings"):
        reidbench.run(matrix(), store=tmp_path / "s", track={"scribe": 3}, progress=False)  # type: ignore[dict-item]
    with pytest.raises(ReidbenchError, match="track must be a list of strings"):
        reidbench.run(matrix(), store=tmp_path / "s", track=[3], progress=False)  # type: ignore[list-item]
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_a_bad_option_stops_the_command_before_it_runs(
    scribe: Path, matrix: Callable[..., Path], tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "reidbench",
        "run",
        str(matrix()),
        "--store",
        str(tmp_path / "s"),
        "--track",
        "nosuch",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--track: unknown tracker 'nosuch'" in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_matrix_file_cannot_name_a_tracker() -> None:
    assert EVERY_HOOK.keys() - HOOKS.keys() >= {"tracker"}
    assert "tracker" not in HOOKS
