"""The command line as a person or a script meets it: output, exit codes, and a start without torch."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench import hookspecs, report
from reidbench.cli import options as cli_options
from reidbench.cli import plan as cli_plan
from reidbench.cli import scoring, show
from reidbench.metrics import reranking
from reidbench.metrics.ranking import rules
from reidbench.registry import plugins
from reidbench.report import options
from reidbench.testing import make_plugin, write_market_folder


def reidbench(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-m", "reidbench", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


def unprivileged() -> list[str]:
    """A command that takes away what lets root read everything; skips where there is none."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv to stop it")
    return ["setpriv", *(f"--{kind}=-dac_override,-dac_read_search" for kind in ("bounding-set", "inh-caps"))]


def test_run_refuses_two_distributions_of_faiss(tmp_path: Path) -> None:
    """Whether the matrix needs it or not: before anything is read."""
    for name in ("faiss_cpu", "faiss_gpu"):
        (tmp_path / f"{name}-1.15.1.dist-info").mkdir()
        (tmp_path / f"{name}-1.15.1.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
        )
    done = reidbench("run", tmp_path / "none.yaml", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "reidbench: faiss-cpu and faiss-gpu are installed together and overwrite each other's files: "
        "pip uninstall -y faiss-cpu faiss-gpu, then pip install faiss-gpu (or faiss-cpu, without a GPU)\n"
    )


@pytest.mark.parametrize("reader", ["market-folder", "image-folder", "csv-manifest"])
def test_a_folder_that_cannot_be_read_is_a_sentence(reader: str, tmp_path: Path) -> None:
    root = write_market_folder(tmp_path / "m", identities=2)
    file = tmp_path / "m.csv"
    rows = [f"m/query/{path.name},{n},train" for n, path in enumerate(sorted((root / "query").iterdir()), start=1)]
    file.write_text("\n".join(["path,pid,split", *rows]))
    (root / "query").chmod(0)
    command = [sys.executable, "-m", "reidbench", "data", "check", reader, str(file if "csv" in reader else root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*unprivileged(), *command], capture_output=True, text=True, env=environment)
    (root / "query").chmod(0o755)
    assert done.returncode == 2
    assert re.fullmatch(r"reidbench: .*/m/query.*: cannot be read: Permission denied\n", done.stderr)


HEAVY = ("torch", "torchvision", "lightning_fabric", "faiss", "ray", "sklearn", "scipy.stats", "PIL.Image")


@pytest.mark.slow
@pytest.mark.parametrize("command", [["--help"], ["plugins"], ["plan"], ["table"], ["show", "finetuner", "bot"]])
def test_starts_without_torch(command: list[str], matrix: Callable[..., Path], tmp_path: Path) -> None:
    arguments = [*command, str(matrix()), "--store", str(tmp_path)] if command[0] in ("plan", "table") else command
    code = (
        "import sys\nfrom reidbench.cli import main as cli\n"
        f"sys.argv = ['reidbench', *{arguments!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\nHEAVY', [name for name in " + repr(HEAVY[:5]) + " if name in sys.modules])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("HEAVY []\n")


def test_choices_on_the_command_line_are_those_that_are_there() -> None:
    assert typing.get_args(cli_options.Format) == report.FORMATS
    assert typing.get_args(show.Kind) == tuple(hookspecs.HOOKS)
    named = ("AveragePrecision", "Invalid", "Ties", "Exclude", "Cross", "Pool", "ShotsPer", "Cmc")
    pairs = [(getattr(scoring, name), getattr(rules, name)) for name in named]
    pairs += [(scoring.Variant, reranking.Variant), (cli_options.Pictures, options.Pictures)]
    pairs += [(cli_options.Format, options.Format), (cli_options.Breakdown, options.Breakdown)]
    pairs += [(show.Kind, hookspecs.Kind)]
    assert [own for own, there in pairs if own != there] == []


@pytest.mark.parametrize("option", ["--k1", "--k2", "--lambda"])
def test_an_option_of_re_ranking_without_re_ranking_is_refused(option: str) -> None:
    scored = reidbench("score", "a.npz", option, "1")
    assert (scored.returncode, scored.stdout) == (2, "")
    assert scored.stderr == f"reidbench: {option} requires --rerank VARIANT; add it or remove {option}\n"


def test_counts_of_one_have_a_singular() -> None:
    assert [cli_plan.counted(number, "stage") for number in (0, 1, 2)] == ["0 stages", "1 stage", "2 stages"]


def test_run_table_and_plan(matrix: Callable[..., Path], tmp_path: Path) -> None:
    file, store = matrix(), tmp_path / "store"
    planned = reidbench("plan", file, "--store", store)
    assert "4 stages, 4 to run" in planned.stdout
    assert not store.exists()  # planning writes nothing
    first = reidbench("run", file, "--store", store)
    assert first.returncode == 0, first.stderr
    assert "| untrained | " in first.stdout
    assert f"results: {store}" in first.stderr
    assert "\x1b" not in first.stdout + first.stderr  # no terminal, no colours
    again = reidbench("run", file, "--store", store)
    assert again.stdout == first.stdout
    assert "nothing to run" in again.stderr
    shown = reidbench("table", file, REIDBENCH_STORE=str(store))
    assert shown.stdout == first.stdout
    planned = reidbench("plan", file, "--store", store, "--json")
    assert json.loads(planned.stdout)["to_run"] == 0
    scored = json.loads(reidbench("table", file, "--store", store, "--format", "json", "--metric", "score").stdout)
    metrics = scored["rows"][0]["metrics"]
    assert metrics["score"] == (metrics["cmc1"] + metrics["mAP"]) / 2
    out = tmp_path / "table.csv"
    assert reidbench("table", file, "--store", store, "--format", "csv", "-o", out).stdout == ""
    assert out.read_text().startswith("method,task,evaluator,seed,")


@pytest.mark.slow
def test_plan_warns_when_code_changed_and_its_version_did_not(matrix: Callable[..., Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    text = (
        "from reidbench import Component, hookimpl\n@hookimpl\ndef reidbench_finetuners():\n"
        "    yield Component('mine', 'my_plugin:run')\n\ndef run(ctx):\n"
        "    from reidbench.training import BackboneEmbedder, Preprocess\n"
        "    return BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size))\n"
    )
    module = make_plugin(site, "my_plugin", text)
    environment = {"PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "REIDBENCH_PLUGINS": "reidbench-my-plugin"}
    file = matrix(methods="{m: {finetune: mine}}")
    run = reidbench("run", file, "--store", tmp_path / "s", **environment)
    assert run.returncode == 0, run.stderr
    assert reidbench("plan", file, "--store", tmp_path / "s", **environment).stderr == ""
    module.write_text(text + "\n# changed\n")
    warned = reidbench("plan", file, "--store", tmp_path / "s", **environment)
    assert "the code of finetune mine has changed since cached results" in warned.stderr


@pytest.mark.slow
def test_only_and_set(matrix: Callable[..., Path], tmp_path: Path) -> None:
    file = matrix(methods="{untrained: {finetune: none}, colours: {finetune: colour-histogram}}")
    done = reidbench(
        "run", file, "--store", tmp_path / "s", "--only", "col*", "--set", "seeds=[5]", "--executor", "inline"
    )
    assert done.returncode == 0, done.stderr
    assert "untrained" not in done.stdout
    both = reidbench(
        "table", file, "--store", tmp_path / "s", "--breakdown", "camera", "--only", "unt*", "--only", "col*"
    )
    assert both.returncode == 0, both.stderr
    assert "untrained" in both.stdout
    assert "colours" in both.stdout
    wrong = reidbench("run", file, "--only", "untrained", "--only", "nothing")
    assert wrong.returncode == 2
    assert "--only 'nothing' matches no method and no method/task (methods: untrained, colours)\n" in wrong.stderr


@pytest.mark.slow
def test_failed_cells_exit_with_1_and_end_with_the_command_that_resumes(
    matrix: Callable[..., Path], tmp_path: Path
) -> None:
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / "bad" / part).mkdir(parents=True)
        (tmp_path / "bad" / part / "readme.txt").write_text("no picture")
    file = matrix(data=f"{{tiny: {{use: market-folder, root: {tmp_path / 'bad'}}}}}")
    done = reidbench("run", file, "--store", tmp_path / "a store")
    assert done.returncode == 1
    assert "failed" in done.stdout
    assert done.stderr.rstrip().endswith(f"reidbench run {file} --store '{tmp_path}/a store'")


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(matrix: Callable[..., Path], tmp_path: Path) -> None:
    methods = ", ".join(f"m{n}: {{finetune: {{use: bot, epochs: 300, lr: 0.{n}}}}}" for n in range(1, 5))
    file = matrix(methods="{" + methods + "}")
    run = subprocess.Popen(
        [sys.executable, "-m", "reidbench", "run", str(file), "--store", str(tmp_path / "s")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((tmp_path / "s").glob("scratch/*/checkpoint")) and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "interrupted; finished stages are cached" in error
    assert "Traceback" not in error
    (checkpoint,) = (tmp_path / "s").glob("scratch/*/checkpoint")
    assert checkpoint.stat().st_size > 0


@pytest.mark.slow
def test_plugins_listing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    make_plugin(site, "broken_one", "raise RuntimeError('no \\x1b[31m good')\n")
    path = os.pathsep.join([str(site), *sys.path])
    listed = reidbench("plugins", PYTHONPATH=path, REIDBENCH_PLUGINS="reidbench-broken-one")
    assert listed.returncode == 0
    assert re.search(r"finetuner +bot ", listed.stdout)
    assert "reidbench-broken-one:broken_one: NOT LOADED" in listed.stdout
    assert "\x1b" not in listed.stdout
    found = json.loads(reidbench("plugins", "--json", PYTHONPATH=path, REIDBENCH_PLUGINS="reidbench-broken-one").stdout)
    assert [broken["name"] for broken in found["broken"]] == ["reidbench-broken-one:broken_one"]
    assert {plugin["name"] for plugin in found["plugins"]} == set(plugins.BUILTIN)


@pytest.mark.slow
def test_show_tells_params_and_paper() -> None:
    shown = reidbench("show", "finetuner", "bot").stdout
    assert "epochs (int, default 120)" in shown
    assert "paper: Bag of Tricks and A Strong Baseline" in shown
    assert "official code: https://github.com/michuanhaohao/reid-strong-baseline (MIT)" in shown
    assert "  official README, ablation; AP rule: step; rows: 16" in shown
    ranked = reidbench("show", "evaluator", "cosine").stdout
    assert "  pool (one of mean, max, none, default None)  pools the images of a tracklet" in ranked
    assert "  query_cameras (one of list, none, default None)  cameras of the queries to use; default: all" in ranked
    assert "preset sysu-mm01-all-single (Wu et al., RGB-Infrared Cross-Modality" in ranked
    assert "peer (one of Nested, none, default None)" in reidbench("show", "adapter", "mmt").stdout
    wrong = reidbench("show", "finetuner", "bott")
    assert wrong.returncode == 2
    assert wrong.stderr == wrong.stderr.strip() + "\n"
    assert "did you mean 'bot'?" in wrong.stderr


@pytest.mark.slow
def test_an_unwritable_store_is_one_sentence(matrix: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = reidbench("run", matrix(), "--store", tmp_path / "file" / "store")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "the store cannot be" in done.stderr


@pytest.mark.slow
def test_data_make_renders_a_folder_that_any_market_reader_reads(tmp_path: Path) -> None:
    done = reidbench("data", "make", "plaza", "--size", "tiny", "-o", tmp_path / "plaza")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "plaza").iterdir() if path.is_dir()) == [
        "bounding_box_test",
        "bounding_box_train",
        "query",
    ]
    assert "train: 72 images, 12 identities, 3 cameras" in done.stdout  # 12 identities x 3 cameras x 2 images
    assert "query: 36 images, 12 identities, 3 cameras" in done.stdout
    wrong = reidbench("data", "make", "plazza", "-o", tmp_path / "x")
    assert wrong.returncode == 2
    assert "world" in wrong.stderr
