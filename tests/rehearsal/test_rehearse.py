"""`reidbench rehearse` from the command line: what it runs, what it finds, and how it says so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.testing import make_plugin, write_market_folder

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).parents[1] / "support" / "rehearsed_plugin.py"


@pytest.fixture
def rehearse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command of the program on a file whose parts are given as YAML text, with the plugin installed."""
    make_plugin(tmp_path / "site", "rehearsed_plugin", PLUGIN.read_text())
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-rehearsed-plugin")
    monkeypatch.delenv("REHEARSED_ROOT", raising=False)
    paths = os.pathsep.join([str(tmp_path / "site"), *sys.path])

    def run(*options: object, command: str = "rehearse", **parts: str) -> subprocess.CompletedProcess[str]:
        defaults = {
            "image_size": "[32, 16]",
            "seeds": "[0, 1]",
            "data": "{mine: {use: people, root: '${REHEARSED_ROOT}'}}",
            "tasks": "{mine: {source: mine, target: mine}}",
            "backbone": "{use: resnet-tiny, width: 4}",
            "methods": "{short: {finetune: short}}",
        }
        file = tmp_path / "matrix.yaml"
        file.write_text("".join(f"{key}: {value}\n" for key, value in {**defaults, **parts}.items()))
        words = [sys.executable, "-m", "reidbench", command, str(file), *map(str, options)]
        return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})

    return run


def stages(folder: Path, kind: str) -> list[dict[str, object]]:
    """Return the parameters written by the stages of a kind, and the stage of each manifest."""
    found = []
    for file in sorted((folder / "store" / "objects").glob("*/manifest.json")):
        stage = json.loads(file.read_text())["stage"]
        if stage["kind"] == kind:
            written = file.with_name("params.json")
            found.append({**stage, "told": json.loads(written.read_text()) if written.exists() else None})
    return found


def test_a_good_file_is_ready(rehearse: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Two seeds become one; the parameters that are shortened are, the others stay. The stand-in serves `plan`."""
    methods = "{short: {finetune: {use: short, shift: 0.5}}, styled: {finetune: long, adapt: styled}}"
    done = rehearse("--keep", tmp_path / "kept", "--images-per-second", "100", methods=methods)
    assert done.returncode == 0, done.stderr + done.stdout
    # 1 data, 2 trainings, 1 adaptation, 1 preparation; each method is embedded and evaluated
    assert re.search(r"^rehearsed: 9 stages of 2 methods in [0-9.]+ min; ready$", done.stdout, re.MULTILINE)
    # 1000 published images are 31 batches of 32 an epoch
    assert re.search(r"^finetune short .* 32x16 +32 +6,200 x 2 +396,800 +\S+ MiB +66.1 min$", done.stdout, re.MULTILINE)
    assert "note: finetuner long declares no `rehearsal`; it was run at full length" in done.stderr
    told = {stage["use"]: stage["told"] for stage in stages(tmp_path / "kept", "finetune")}
    assert told == {
        "short": {"epochs": 1, "batch": 4, "shift": 0.5, "accumulate": 1},
        "long": {"epochs": 200, "batch": 32, "shift": 0.0, "accumulate": 1},
    }
    (adapted,) = stages(tmp_path / "kept", "adapt")
    assert adapted["told"] == {"rounds": 1, "steps": 2}  # the preparer's short form is laid over the nested one

    root = tmp_path / "kept" / "mine" / "released"
    assert f"export REHEARSED_ROOT={root}\n" in done.stdout
    command = re.search(r"^reidbench plan .* (--set .*)$", done.stdout, re.MULTILINE)
    assert command
    assert command[1] == f"--set data.mine.root={root}"
    planned = rehearse(*command[1].split(), command="plan", methods=methods)
    assert planned.returncode == 0, planned.stderr
    assert "4 results, 0 of them not applicable" in planned.stdout
    again = rehearse("--keep", tmp_path / "kept")
    assert (again.returncode, again.stderr) == (
        2,
        f"reidbench: --keep {tmp_path / 'kept'}: this path already exists; name a new folder\n",
    )


def test_all_failures_are_told_at_once(
    rehearse: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing stage, a missing extra, an impossible network, and data without a stand-in."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    done = rehearse(
        data="{mine: {use: people, root: /nowhere}, other: {use: nobody, root: /nowhere}, "
        "third: {use: broken, root: /nowhere}}",
        tasks="{mine: {source: mine, target: mine}, other: {source: other, target: mine}, "
        "third: {source: mine, target: third}}",
        methods="{short: {finetune: short}, lost: {finetune: lost}, absent: {finetune: absent}, "
        "tokens: {finetune: tokens-only}}",
    )
    assert done.returncode == 1, done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed: ")]
    assert failed == [
        "failed: task other: no stand-in for other (nobody); use --real",
        "failed: task third: the stand-in for third (broken) failed: the disk is made of cheese",
        "failed: finetune lost [mine, seed 0]: RuntimeError: the loss is not a number",
        "failed: finetune absent [mine, seed 0]: ModuleNotFoundError: No module named 'no_such_package_at_all'",
        "failed: method tokens: not applicable: tokens-only needs tokens, which resnet-tiny does not provide",
    ]
    assert re.search(r"^rehearsed: .*; 5 failed$", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stderr + done.stdout
    assert list((tmp_path / "tmp").glob("reidbench-*")) == []  # nothing is left without --keep


def test_only_some_cells_are_rehearsed(rehearse: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = rehearse("--only", "nothing")
    assert (done.returncode, done.stderr) == (
        2,
        "reidbench: --only 'nothing' matches no method and no method/task (methods: short)\n",
    )


def test_mistakes_of_the_file_are_told_with_their_lines(
    rehearse: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = rehearse(methods="{short: {finetune: {use: short, epoch: 3}}}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path / 'matrix.yaml'}:6: methods.short.finetune.epoch: ")
    assert done.stdout == ""


def test_weights_and_folders_that_are_not_there_are_stood_in_for(
    rehearse: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Of twelve training images: three persons, two cameras, two pictures each."""
    done = rehearse(
        "--keep",
        tmp_path / "kept",
        backbone="{use: osnet-x0-25, weights_file: '${OSNET}', labels: [ImageNet labels]}",
        methods="{short: {finetune: short}, pretrained: {backbone: {use: resnet-tiny, width: 4}, "
        "pretrain: {use: weights, file: /nowhere/lup.pth, layout: moco}, finetune: short}, "
        "pictures: {finetune: short, adapt: {use: styled, style: {use: pictures, folder: /nowhere/styles}}}, "
        "listed: {finetune: short, adapt: {use: styled, style: {use: listed, file: /nowhere/list.txt}}}}",
    )
    assert [line for line in done.stdout.splitlines() if line.startswith("failed")] == [
        "failed: method listed: listed requires your own file /nowhere/list.txt (parameter file); it has no stand-in"
    ]
    (adapted,) = stages(tmp_path / "kept", "adapt")
    assert adapted["told"] == {"rounds": 1, "steps": 12}
    exported = re.search(r"^export OSNET=(.+)$", done.stdout, re.MULTILINE)
    assert exported
    assert Path(exported[1]).is_file()  # so that `plan` finds it


def test_weights_of_another_network_are_told_before_anything_trains(
    rehearse: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A file that is there is used as it is."""
    import torch

    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    done = rehearse(backbone="{use: osnet-x0-25, weights_file: other.pth}")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("failed")]
    assert line.startswith(f"failed: finetune short [mine, seed 0]: {tmp_path / 'other.pth'}: ")
    assert "missing" in line


def test_real_takes_a_few_of_the_users_own_images(
    rehearse: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Of 14 train identities with 2 cameras and 5 images, 12 with 4 images; their own counts are the full scale."""
    root = write_market_folder(tmp_path / "own", identities=14, images=5)
    data = f"{{mine: {{use: market-folder, root: {root}}}}}"
    done = rehearse("--real", "--keep", tmp_path / "kept", data=data)
    assert done.returncode == 0, done.stderr + done.stdout
    # 14 * 2 * 5 = 140 images are 4 batches of 32 in each of 200 epochs
    assert re.search(r"^finetune short .* 32x16 +32 +800 x 2 +51,200 ", done.stdout, re.MULTILINE)
    (counted,) = stages(tmp_path / "kept", "data")
    assert counted["few"] == 12
    lists = json.loads(next((tmp_path / "kept" / "store" / "objects").glob("*/train.json")).read_text())
    assert len(lists["paths"]) == 12 * 2 * 4
    missing = rehearse("--real", data="{mine: {use: market-folder, root: /nowhere}}")
    assert (missing.returncode, "no such folder or file: '/nowhere'" in missing.stderr) == (2, True)


def test_rows_that_searches_fill_are_left_out_with_a_note(
    rehearse: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """The row as it is written has the same steps, and is rehearsed."""
    step = "{use: bot, search: {lr: [1e-4, 1e-3]}, select: oracle}"
    done = rehearse(
        methods=f"{{bot: {{finetune: {step}}}, short: {{finetune: short}}, both: {{ensemble: [bot (tuned), short]}}}}"
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert " of 2 methods in " in done.stdout
    for name in ("bot (tuned)", "both"):
        assert f"note: {name} is not rehearsed: its search requires results" in done.stderr


def test_rows_of_files_are_left_out_with_a_note(
    rehearse: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Their features are of the user's own images, which stand-ins are not; nor need the files be here."""
    methods = "{short: {finetune: short}, theirs: {features: 'far/{seed}.npz'}, both: {ensemble: [short, theirs]}}"
    done = rehearse(methods=methods)
    assert done.returncode == 0, done.stderr + done.stdout
    assert re.search(r"^rehearsed: 4 stages of 1 method in [0-9.]+ min; ready$", done.stdout, re.MULTILINE)
    for name in ("theirs", "both"):
        assert f"note: {name} is not rehearsed: its features come from files" in done.stderr
