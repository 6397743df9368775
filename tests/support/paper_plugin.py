"""A plugin of methods with invented published numbers; and a matrix file that expects some of them.

Tests copy this file into a plugin folder: see the fixture `papers`.
"""

from reidbench import Component, Paper, Params, Published, Uses, hookimpl
from reidbench_baseline.params import HistogramParams
from reidbench_cluster.params import AdaBNParams

TABLE = "paper, Table 1"
NUMBERS = [
    *Published.line("market1501", "Made, 256x128, full", TABLE, "step", mAP=0.859, cmc1=0.945),
    *Published.line("market1501", "Made, 256x128, full", "README", "trapezoid", mAP=0.862, cmc1=0.948),
    *Published.line("market1501", "Made, small, 32x16", TABLE, "step", cmc1=0.7, mAP=0.6128),
    *Published.line("market1501", "Made, small, 32x16, old rule", TABLE, "trapezoid", mAP=0.7, cmc1=0.7),
    *Published.line("market1501", "Made, re-ranked", TABLE, "step", "re-ranked (k-reciprocal); other batches", mAP=0.9),
    *Published.line("market1501", "Made, chosen", TABLE, "unknown", "best round on test data", mAP=0.5),
    *Published.line("market1501", "baseline", TABLE, "step", beside=False, mAP=0.4, distance=1.5),
    *Published.line(
        "market1501", "Made, one camera", TABLE, "step", rules=("queries of camera 0",), mAP=0.45, cmc1=0.6
    ),
    *Published.line("market1501(distractors=True)", "Made, crowded", TABLE, "step", mAP=0.3),
    *Published.line("market-folder->market1501", "Made, across", TABLE, "step", mAP=0.2),
]
STYLED = Published.line("market-folder->market1501", "Painted", "paper, Table 2", "step", mAP=0.25)
MOVED = Published.line("market-folder->market1501", "Made, across", "paper, Table 2", "step", mAP=0.35)


class StyledParams(AdaBNParams):
    """Parameters of moved."""

    style: Uses["preparer", "target"]


@hookimpl
def reidbench_preparers():
    yield Component("painted", "paper_plugin:never", Params, paper=Paper("Painted", published=STYLED))


@hookimpl
def reidbench_finetuners():
    target = "reidbench_baseline.frozen:colour_histogram"
    yield Component("made", target, HistogramParams, paper=Paper("Made", published=NUMBERS))
    yield Component("copied", target, HistogramParams, paper=Paper("Copied", published=NUMBERS))


@hookimpl
def reidbench_adapters():
    yield Component("moved", "paper_plugin:never", StyledParams, paper=Paper("Moved", published=MOVED))
