"""Standard streams that are closed, full, or of an encoding without ±; and places that are not what they should be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.store.artifacts import Store

RUN = [sys.executable, "-m", "reidbench"]


def shell(words: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """The program with its streams redirected as a shell does it."""
    line = f'"$@" {words}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}
    return subprocess.run(
        ["/bin/sh", "-c", line, "sh", *RUN, *arguments], capture_output=True, env=environment, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_output_is_one_sentence(unbuffered: str, matrix: Callable[..., Path]) -> None:
    done = shell(">/dev/full", "table", str(matrix()), "--format", "csv", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert done.stderr.decode() == "reidbench: standard output cannot be written: No space left on device\n"


@pytest.mark.slow
def test_closed_output_is_one_sentence(matrix: Callable[..., Path]) -> None:
    done = shell(">&-", "table", str(matrix()), "--format", "csv")
    assert done.returncode == 2
    assert done.stderr.decode() == "reidbench: standard output is closed; the output is lost\n"


def test_an_encoding_that_lacks_characters(matrix: Callable[..., Path]) -> None:
    done = shell("", "table", str(matrix()), LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="")
    assert done.returncode == 0
    assert rb"mean \xb1 sd over seeds" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [">&- 2>&- <&-", "2>/dev/full", ">&-"])
def test_a_run_is_finished_whatever_its_streams_are(words: str, matrix: Callable[..., Path], tmp_path: Path) -> None:
    """A pipe to a worker that gets the number of a closed stream is not heard."""
    if "/dev/full" in words and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    file = matrix(methods="{mine: {finetune: colour-histogram}}")
    done = shell(words, "run", str(file), "--store", str(tmp_path / "store"))
    assert done.returncode == 0
    assert len(Store(tmp_path / "store").keys()) == 4
    assert not list((tmp_path / "store").glob("failures/*"))


@pytest.mark.slow
def test_the_store_may_begin_with_a_tilde(matrix: Callable[..., Path], tmp_path: Path) -> None:
    for arguments, more in (([], {"REIDBENCH_STORE": "~/s"}), (["--store", "~/s"], {})):
        done = shell("", "table", str(matrix()), *arguments, HOME=str(tmp_path), **more)
        assert f"results: {tmp_path}/s" in done.stderr.decode()


def test_a_tilde_that_leads_nowhere(matrix: Callable[..., Path]) -> None:
    done = shell("", "plan", str(matrix()), "--store", "~nobody-of-this-name/s")
    assert done.returncode == 2
    assert "no home folder for `~`; set HOME" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
