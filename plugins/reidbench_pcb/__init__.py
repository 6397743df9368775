"""PCB: stripes of a map with a classifier for each, and refined part pooling."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from .params import PcbParams
from .presets import FEW
from .presets import PCB as PRESETS
from .published import PCB

PAPER = Paper(
    title="Beyond Part Models: Person Retrieval with Refined Part Pooling (and A Strong Convolutional Baseline)",
    venue="ECCV 2018",
    url="https://arxiv.org/abs/1711.09349",
    code="https://github.com/syfafterzy/PCB_RPP_for_reID",
    code_licence="none stated; academic use only",
    deviations=(
        "only the abstract of the paper was available: the network follows the official code, whose features and "
        "gradients it equals up to rounding (7e-15 and 7e-8 of their size in float64, with the same weights, without "
        "dropout, for stripes and refined parts)",
        "refined part pooling trains the part classifier alone, then all layers (induce_epochs), as the method is "
        "described; the official script trains all layers from the start, with one learning rate, for 30 epochs after "
        "20 of stripes",
        "the 5 + 10 epochs of `preset: rpp` are those of the reproduction by Xiaoccer, after the learning rates of the "
        "paper: 0.01, and a tenth for the backbone",
        "while the part classifier is trained alone, the statistics of all batch norms are fixed, too",
        "the part classifier reads means over groups of 8 of 2048 channels, relative to the whole map, as in the "
        "official code; part_inputs: null has a linear layer on all channels, without a bias (eq. 5)",
        "stripes by adaptive pooling, so any map of at least as many rows as parts works; official stripes of a height "
        "that does not divide are longer",
        "reduced features are those that are classified, after batch norm and ReLU; each part has unit length",
        "images have the size that the matrix file sets unless the step says 384x128, as the presets do",
        "the last epoch is kept, or one chosen on held-out images, among those with refined parts if there are any",
    ),
    published=PCB,
)


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the fine-tuner of this plugin."""
    yield Component(
        "pcb",
        "reidbench_pcb.finetune:finetune",
        PcbParams,
        summary="Part-based Convolutional Baseline: a classifier for each of six stripes; refined parts (RPP) optional",
        requires=frozenset({"stages"}),
        protocol=PcbParams.protocol,
        paper=PAPER,
        presets=PRESETS,
        rehearsal=FEW,
        workload="reidbench_pcb.workload:workload",
    )
