"""Shell and Python blocks of the documents run, in order, on small data. What cannot run is listed with its reason."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.io import savemat

from reidbench.cli import main
from reidbench.cli.end import exit_code
from reidbench.testing import write_market_folder

ROOT = Path(__file__).parents[3]
NOT_RUN = {
    r"\bKEY\b": "a key of the reader's store; `--file` and `--row` name the same network",
    r"benchmarks/papers": "real data and a GPU; tests/project/test_papers.py plans these files",
    r"--executor ray": "a cluster; tests/plugins/executors starts one on this machine",
    r"--executor slurm": "Slurm; tests/plugins/submitit runs jobs of this machine, and a stand-in for Slurm",
    r"--signers": "a signature; tests/packs signs and checks",
    r"--track ": "another program; tests/plugins/tensorboard, mlflow and wandb",
    r"rehearse .*": "minutes; tests/rehearsal",
    r"~/data|^data make": "real data, or a world at full size; tests/cli/test_data.py",
    r"^check ": "the installed package; tests/scaffold",
    r"^validity ": "groups of published numbers; tests/cli/results/test_validity.py",
    r"^serve ": "a server; tests/serving",
    r"^trials ": "a file with a search; tests/tuning",
}
PAGES = (
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/score-features.md",
    "docs/how-to/search-images.md",
    "docs/how-to/look-at-rows.md",
    "docs/how-to/share-models.md",
    "docs/how-to/share-results.md",
    "docs/how-to/write-a-plugin.md",
    "docs/reference/tables.md",
    "docs/explanation/stores.md",
)
ELSEWHERE = {
    "docs/how-to/own-data.md": "tests/cli/test_manifests.py",
    "docs/how-to/choose-without-test-labels.md": "trials",
    "docs/how-to/run-a-paper.md": "benchmarks/papers",
    "docs/how-to/cluster.md": "--executor ray",
    "docs/how-to/vehicles-and-animals.md": "~/data",
    "docs/how-to/track-runs.md": "--track",
    "docs/how-to/serve-searches.md": "serve",
    "docs/explanation/statistics.md": "validity",
}
WORLD = re.compile(r"\{\"?use\"?: \"?synthetic\b[^}]*\}")  # rendering costs seconds: all matrices have the same folder
MATRIX = {
    "title": "My comparison",
    "image_size": [32, 16],
    "data": {"market": {"use": "market-folder", "root": "DATA"}},
    "tasks": {"plaza": {"source": "market", "target": "market"}},
    "backbone": {"use": "resnet-tiny", "width": 4},
    "methods": {"untrained": {"finetune": "none"}, "bot": {"finetune": {"use": "bot", "epochs": 1}}},
}


def lines(page: str) -> list[str]:
    """The `reidbench` commands of a page, without the program and the comment."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [line for block in blocks for line in re.findall(r"^reidbench +(.*?)(?: +#.*)?$", block, re.MULTILINE)]


def embedded(seed: int) -> dict[str, np.ndarray]:
    """Features of 8 identities at 2 cameras, with clothes, such that every query has a match."""
    random = np.random.default_rng(seed)
    pids, cameras = np.repeat(np.arange(1, 9), 3), np.tile([0, 1, 2], 8)
    centres = random.normal(size=(9, 16))
    found = {}
    for part, chosen in (("query", cameras > 0), ("gallery", cameras >= 0)):
        found[f"{part}_pids"], found[f"{part}_camids"] = pids[chosen], cameras[chosen]
        found[f"{part}_clothes"] = cameras[chosen]
        found[f"{part}_features"] = centres[pids[chosen]] + random.normal(size=(int(chosen.sum()), 16))
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the pages name, small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REIDBENCH_STORE", raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    market = write_market_folder(tmp_path / "market")
    for name in ("my.yaml", "benchmarks/quickstart.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(yaml.safe_dump(MATRIX).replace("DATA", str(market)))
    for seed, name in enumerate(("features", "mine", "theirs", "prcc", "ltcc")):
        np.savez(f"{name}.npz", **embedded(seed))
    savemat("pytorch_result.mat", embedded(9))
    shutil.copytree(market / "bounding_box_test", "photos")
    query = next((market / "query").iterdir())
    Image.open(query).save("query.jpg")
    rows = ["path,pid,split,camid"]
    for part, camera in (("query", 0), ("gallery", 1)):
        images = sorted((market / "query").glob(f"*_c{camera + 1}*"))
        rows += [f"market/query/{path.name},{int(path.name[:4])},{part},{camera}" for path in images]
    Path("mine.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def reason(line: str) -> str:
    """The reason why a command does not run here, or nothing."""
    return next((said for pattern, said in NOT_RUN.items() if re.search(pattern, line)), "")


def test_every_page_with_commands_is_in_one_list() -> None:
    with_commands = {
        path.relative_to(ROOT).as_posix()
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
        if lines(path.relative_to(ROOT).as_posix())
    }
    assert with_commands == {*PAGES, *ELSEWHERE}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_run_in_the_order_of_the_page(page: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / page).read_text()
    for name, block in re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", text, re.DOTALL):
        small = re.sub(r"epochs: \d+", "epochs: 1", block)
        Path(name).write_text(WORLD.sub("{use: market-folder, root: market}", small))
    if "results.zip" in text:
        assert exit_code(lambda: main.app(["run", "my.yaml"])) == 0, capfd.readouterr().err
        for store in ("one-store", "another-store"):
            shutil.copytree(".reidbench", store)
    ran = 0
    for line in lines(page):
        if reason(line):
            continue
        words = shlex.split(line.replace("/data/Market-1501", "market"))
        ended = exit_code(lambda words=words: main.app(words))
        assert ended == 0, "\n".join([line, *capfd.readouterr()])
        ran += 1
    assert ran


@pytest.mark.slow
def test_the_page_on_python_runs(place: Path) -> None:
    pytest.importorskip("pandas")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "python.md").read_text(), re.DOTALL)
    small = block.replace('"epochs": 10', '"epochs": 1').replace("range(3)", "range(2)")
    small = WORLD.sub('{"use": "market-folder", "root": "market"}', small)
    assert "synthetic" not in small
    names: dict[str, object] = {}
    exec(compile(small, "python.md", "exec"), names)  # noqa: S102
    assert len(names["frame"]) == len(names["later"].frame()) == 4
