"""`reidbench validity`: packs and matrix files against a file of groups."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from scipy.stats import kendalltau
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.errors import ConfigError, ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from tests.support.sites import publish, read

ROOT = Path(__file__).parents[3]
GROUPS = ROOT / "benchmarks" / "validity.yaml"
PACK = ROOT / "benchmarks" / "results" / "packs" / "adaptation.zip"
# mAP from Duke to Market and back, as the papers print them; no two are within a point of each other.
PRINTED = {"direct": (20.6, 16.9), "hhl": (31.4, 27.2), "arn": (39.4, 33.4), "pseudo-label": (53.7, 49.0)}
PRINTED |= {"mmt": (71.2, 63.1), "spcl": (76.7, 68.8)}


def run(*arguments: object) -> Result:
    """A command in this process. Its errors are raised."""
    return CliRunner().invoke(main.app, [str(one) for one in arguments], catch_exceptions=False)


def lines(page: str, begin: str) -> list[list[str]]:
    """The cells of the lines of tables that begin so."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith(begin)]


def test_tau_is_that_of_the_numbers_in_the_pack() -> None:
    with zipfile.ZipFile(PACK) as archive:
        values = defaultdict(list)
        for row in json.loads(archive.read("board.json"))["rows"]:
            manifest = json.loads(archive.read(f"manifests/{row['key']}.json"))
            values[row["method"], row["task"]].append(manifest["metrics"]["mAP"])
    page = run("validity", GROUPS, PACK).stdout
    (section,) = (part for part in page.split("\n## ") if part.startswith("Adaptation between"))
    found = {(cells[0], cells[1]): cells[8] for cells in lines(section, "| Adaptation: ") if cells[2] == "mAP, cosine"}
    for task in ("plaza->station", "station->plaza"):
        means = [np.mean(values[row, task]) for row in PRINTED]
        for place, published in enumerate(("dukemtmc-reid->market1501", "market1501->dukemtmc-reid")):
            tau = kendalltau([numbers[place] for numbers in PRINTED.values()], means).statistic
            assert found[f"Adaptation: {task}", published].startswith(f"{tau:.2f} [")


def test_a_matrix_file_is_read_from_its_store(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> None:
    methods = "{one: {finetune: {use: bot, epochs: 1}}, two: {finetune: {use: bot, epochs: 2}}}"
    file, store, groups = matrix(methods=methods), Store(tmp_path / "store"), tmp_path / "groups.yaml"
    groups.write_text(
        "groups:\n  mine:\n    tasks: market1501\n    metrics: mAP\n    rows:\n"
        "      one: {component: transreid, row: 'ViT-B/16 from ImageNet-21k, 256x128, baseline', "
        "source: official README}\n"
        "      two: {component: bot, row: '+ BNNeck: no centre loss'}\n"
    )
    publish(read(file, registry), store, {"one": 0.5, "two": 0.4})
    done = run("validity", groups, file, "--store", store.root, "-o", tmp_path / "page.md")
    assert (done.exit_code, done.stdout) == (0, "")
    (cells,) = lines((tmp_path / "page.md").read_text(), "| Test: tiny")
    assert cells[1:-1] == ["market1501", "mAP, cosine", "2 (too few)", "1", "1", "0", "0", "1.00, 1 seed"]
    assert float(cells[-1]) == pytest.approx(0.5, abs=0.03)
    both = run("validity", groups, file, PACK, "--store", store.root).stdout
    assert len(lines(both, "| Test: tiny")) == 1


def test_nothing_measured_is_said(matrix: Callable[..., Path], tmp_path: Path) -> None:
    done = run("validity", GROUPS, matrix(), "--store", tmp_path / "store")
    assert done.exit_code == 0
    assert done.stdout.count("No results yet.") == 5


@pytest.mark.slow
def test_mistakes_are_one_sentence(matrix: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match="remove --store"):
        run("validity", GROUPS, PACK, "--store", tmp_path)
    with pytest.raises(ConfigError, match=r"matrix\.yaml:\d+: .*unknown key"):
        run("validity", matrix(), PACK)  # a matrix file does not define groups
    with pytest.raises(ReidbenchError, match="cannot be written"):
        run("validity", GROUPS, PACK, "-o", tmp_path)
