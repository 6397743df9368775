"""Linear growth: plan, store and table of 100,000 cells take ten times as long as those of 10,000.

Each is measured in a separate process, in CPU seconds, relative to unavoidable work: the plan to one of a tenth of the
size, the store to a bare walk and a bare reading of the same files. `python -m benchmarks.perf.harness.scale_measure`
prints all figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import scale
from benchmarks.perf.harness import scale_measure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return scale_measure.in_child(100_000)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("plan: a cell of 100,000 against a cell of 10,000", 1.5),
        ("keys() against os.scandir", 3.0),
        ("has() against os.stat", 6.0),
        ("reading results against json.loads of the files", 4.0),
        ("the stages that miss against json.loads of the files", 4.0),
        ("a table: a row of 100,000 against a row of 10,000, md", 1.5),
        ("a table: a row of 100,000 against a row of 10,000, csv", 1.5),
        ("a table: a row of 100,000 against a row of 10,000, json", 1.5),
        ("a table: a row of 100,000 against a row of 10,000, latex", 1.5),
    ],
)
def test_ratios(name: str, limit: float, figures: dict[str, Any], figure: Any, benchmark: Any) -> None:
    benchmark.pedantic(lambda: figures["ratios"][name], rounds=1, iterations=1)
    figure(name, figures["ratios"][name], "x", most=limit)


def test_memory(figures: dict[str, Any], figure: Any, benchmark: Any) -> None:
    """Five kB per cell of the plan, and another five for its table."""
    benchmark.pedantic(lambda: figures["mib"], rounds=1, iterations=1)
    figure("memory of a plan of 100,000 cells", figures["mib"]["plan"], "MiB", most=512)
    figure("memory of its table", figures["mib"]["table"], "MiB", most=512)


def test_the_page_is_what_the_script_prints(benchmark: Any) -> None:
    page = Path(scale.__file__).with_suffix(".md").read_text(encoding="utf-8")
    tables = benchmark.pedantic(scale.tables, rounds=1, iterations=1)
    assert page.split("<!-- tables -->\n")[1].split("<!-- end -->")[0].strip() == tables.strip()
    added = ", ".join(f"{name} {seconds} s" for name, seconds in scale.HARNESS.items())
    assert added in page


def test_counts_against_hand_calculation() -> None:
    """The stem of ViT-S: 16 x 8 patches of 16 x 16 x 3 values to 384; ResNet-50 at 224, as counted in its paper."""
    counts = scale.Counts()
    stem = counts.networks["vit-small"].patch_embed
    assert scale.counted(lambda: stem(counts.images(1))) == 2 * 128 * 384 * 16 * 16 * 3
    # He et al. (2016), table 1: 3.8e9 multiply-adds, minus 2.05 million of the classifier, which is left out here.
    assert counts.forward("resnet50", (224, 224)) / 2 == pytest.approx(3.8e9, rel=0.08)
    assert counts.step("resnet50") == pytest.approx(3 * counts.forward("resnet50"), rel=0.03)


def test_hours_by_hand() -> None:
    """3.6e18 operations at half of 1e15 per second take two hours; on eight devices at 0.9, a 7.2nd of that."""
    work = scale.Work("x", "", 1.0, 3.6e18 * scale.PEAK / 1e15, 7200.0, wide=True)
    assert work.hours(0.5) == pytest.approx(2.0)
    assert work.hours(0.5, 8) == pytest.approx(2.0 / 7.2)
    assert work.needed(0.5) == pytest.approx(1.0)
    assert work.decoding(rate=2.0, cores=1) == pytest.approx(1.0)
