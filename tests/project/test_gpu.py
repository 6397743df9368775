"""`python -m benchmarks.gpu` on the CPU: the same code as on a GPU, with small steps. No GPU is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as program
from benchmarks.gpu.checks import NAMES, OTHERS, Checks, compare
from benchmarks.gpu.child import WARM, Enough, Stopwatch
from benchmarks.gpu.families import FAMILIES, PERSON, TALL
from benchmarks.gpu.processes import Processes
from benchmarks.gpu.tasks import Answer

ROOT = Path(__file__).parents[2]
LOSS, STEP = ("loss, 32-true", "loss, bf16-mixed"), "step, bf16-mixed"


def run(*arguments: str, path: Path | None = None) -> tuple[int, str, str]:
    """(exit code, table, standard error) of the program without a GPU; `path` comes first on the import path."""
    paths = [*([str(path)] if path else []), str(ROOT), str(ROOT / "plugins")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--tiny", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout, done.stderr


def rows(text: str) -> list[list[str]]:
    """Cells of a table's rows, without its header."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.long
def test_every_family_and_every_check_has_its_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nnothing yet\n<!-- end -->\nafter\n")
    code, text, said = run("--minutes", "30", "-o", str(page))
    assert code == 0, text + said
    found = rows(text)
    for check in LOSS:
        assert [row[1:3] for row in found if row[0] == check] == [[family.name, "ok"] for family in FAMILIES]
    steps = {row[1].partition(":")[0]: row[2:4] for row in found if row[0] == STEP}
    assert list(steps) == [family.name for family in FAMILIES]
    for result, measured in steps.values():
        assert result == "measured"
        assert float(measured.partition(" images/s")[0].replace(",", "")) > 0
    exact = [row for row in found if row[0] in (LOSS[0], "resume", "two processes on one device", "two devices")]
    assert [row[3] for row in exact] == ["0"] * (len(FAMILIES) + 4)  # the CPU against itself
    assert [row[2] for row in found if row[0] == "neighbours"] == ["ok"]
    before, after = page.read_text().split(text)
    assert (before, after) == ("before\n<!-- results -->\n", "<!-- end -->\nafter\n")


# Multiplies cross-entropies by 1.5, only in the third process with tasks.
WRONG = """
import sys
if any("tasks-2" in word for word in sys.orig_argv):
    import torch.nn.functional as F
    right = F.cross_entropy
    F.cross_entropy = lambda *given, **more: 1.5 * right(*given, **more)
"""


@pytest.mark.slow
def test_a_wrong_loss_fails_its_line_and_the_program(tmp_path: Path) -> None:
    """The third process with tasks runs bf16-mixed; those of the CPU and of 32-true are unaffected."""
    (tmp_path / "sitecustomize.py").write_text(WRONG)
    code, text, said = run("--only", "bot", path=tmp_path)
    assert code == 1, text + said
    found = {row[0]: row[2] for row in rows(text)}
    assert found == {LOSS[0]: "ok", LOSS[1]: "failed: another loss", STEP: "measured"}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_the_time_does_not_suffice_for_is_skipped(device: str, tmp_path: Path) -> None:
    """Every family and every check has its lines, even if nothing ran."""
    found = list(Checks(Processes(tmp_path, 0), device, 2, True, []).rows())
    assert {row.result for row in found} == {"skipped: out of time"}
    names = [family.name for family in FAMILIES]
    for check in LOSS:
        assert [row.subject for row in found if row.check == check] == names
    assert [row.subject.partition(":")[0] for row in found if row.check == STEP] == names
    assert len(found) == 3 * len(names) + len(OTHERS) + 1  # two processes have a line each


def test_two_devices_are_left_out_where_there_is_one(tmp_path: Path) -> None:
    found = list(Checks(Processes(tmp_path, 0), "cuda", 1, True, ["two-devices"]).rows())
    assert [(row.check, row.result) for row in found] == [("two devices", "skipped: one GPU")]


@pytest.mark.slow
def test_the_program_refuses_where_there_is_no_gpu() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("benchmarks.gpu: no GPU is visible to torch")


def test_names_are_checked() -> None:
    code, text, said = run("--only", "bot,botty")
    assert (code, text) == (2, "")
    assert said.startswith("benchmarks.gpu: --only: botty is unknown; choose from bot, bdb, ")


@pytest.mark.parametrize(
    ("expected", "found", "result", "measured"),
    [
        (Answer(({"loss": 2.0}, {"loss": 4.0})), Answer(({"loss": 2.01}, {"loss": 3.9})), "ok", "0.025"),
        (Answer(({"loss": 2.0},)), Answer(({"loss": 2.1},)), "failed: another loss", "0.05"),
        (Answer(({"loss": 2.0},)), Answer(({"loss": float("nan")},)), "failed: another loss", "nan"),
        (Answer(({"loss": 2.0}, {"loss": 2.0})), Answer(({"loss": float("nan")}, {"loss": 3.0})), "failed", "nan"),
        (Answer(({"loss": 2.0}, {"loss": 2.0})), Answer(({"loss": 2.0},)), "failed: 1 lines", "-"),
        (Answer(({"skipped": 1.0},)), Answer(({"skipped": 1.0},)), "failed: 1 lines with loss", "-"),
        (Answer(({"loss": 2.0},)), Answer(error="broken"), "failed: broken", "-"),
        (Answer(error="broken"), Answer(({"loss": 2.0},)), "failed: reference: broken", "-"),
        (Answer(({"loss": 2.0},)), None, "skipped: out of time", "-"),
    ],
)
def test_losses_are_held_against_each_other(
    expected: Answer | None, found: Answer | None, result: str, measured: str
) -> None:
    row = compare("loss", "bot", expected, found, FAMILIES[0], 0.03)
    assert row.result.startswith(result)
    assert row.measured == measured


def test_a_stopwatch_leaves_out_what_lies_between_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates are a piece. The clock shows 1, 2, 3, ... at each update, and 100 more after each epoch."""
    clock = iter([*range(1, 6), *range(105, 110), *range(209, 260)])
    monkeypatch.setattr("benchmarks.gpu.child.SECONDS", float("inf"))
    monkeypatch.setattr("benchmarks.gpu.child.time.perf_counter", lambda: float(next(clock)))
    watch = Stopwatch(2)
    for _ in range(2):
        for _ in range(5):
            watch.update()
        watch.epoch()
    assert watch.pieces == [2.0] * 4
    assert watch.seconds == 2.0
    assert len(watch.pieces) > WARM
    with pytest.raises(Enough):
        for _ in range(20):
            watch.update()


def test_the_timed_steps_have_the_papers_sizes_and_batches() -> None:
    """Parameters are the defaults, which are the papers', except those that do not affect a batch."""
    sizes = {family.name: (family.full.size, family.full.images) for family in FAMILIES}
    assert sizes["bot"] == (PERSON, 64)
    assert sizes["mgn"] == (TALL, 64)
    assert sizes["moco-v2"] == (PERSON, 256)
    assert sizes["dino"] == (PERSON, 512)
    for family in FAMILIES:
        steps = [family.full.method.get(kind) for kind in ("pretrain", "finetune", "adapt")]
        (step,) = [step for step in steps if isinstance(step, dict)]
        assert set(step) <= {"use", "held_out", "probe", "style", "k1", "k2"}


def test_the_page_names_every_family_and_every_check() -> None:
    page = (ROOT / "benchmarks" / "gpu.md").read_text()
    assert all(mark in page for mark in program.MARKS)
    assert [name for name in NAMES if f"`{name}`" not in page] == []
    assert len(NAMES) == len(FAMILIES) + len(OTHERS)
    for family in FAMILIES:
        for precision in ("32-true", "bf16-mixed"):
            assert f"{family.allowed(precision):g}" in page
