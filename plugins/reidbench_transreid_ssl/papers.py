"""Where the methods of this plugin come from, and where ours differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reidbench import Paper, Published

MSMT17 = "msmt17-v1(train=trainval)"
PRINTED, REPEATED = "paper, as in the official README", "official README, the authors' reproduction"
# Network; then mAP and rank 1 on Market-1501 and on MSMT17, as printed in the paper and as repeated by its authors.
SSL_ROWS = (
    ("ViT-S/16", (0.91, 0.96), (0.912, 0.958), (0.661, 0.846), (0.663, 0.848)),
    ("ViT-S/16 + ICS", (0.913, 0.962), (0.914, 0.962), (0.681, 0.861), (0.683, 0.862)),
)


def _of_ssl() -> Iterator[Published]:
    for network, *cells in SSL_ROWS:
        row = f"{network}, 256x128, DINO on 60 % of LUPerson by CFS, supervised"
        places = (("market1501", PRINTED), ("market1501", REPEATED), (MSMT17, PRINTED), (MSMT17, REPEATED))
        for (task, source), (mean_ap, rank1) in zip(places, cells, strict=True):
            yield from Published.line(task, row, source, "step", mAP=mean_ap, cmc1=rank1)


def _of_transreid(whole: bool) -> tuple[Published, ...]:
    """The plain baseline and the whole TransReID; `whole` chooses which of them stands beside measured rows."""
    plain, star = "ViT-B/16 from ImageNet-21k, 256x128, baseline", "ViT-B/16 from ImageNet-21k, 256x128, TransReID*"
    readme, parts = "official README", "stride 12, jigsaw patches (JPM), cameras (SIE), learning rate 8e-3"
    return (
        *Published.line("market1501", plain, readme, "step", beside=not whole, mAP=0.871, cmc1=0.946),
        *Published.line(MSMT17, plain, readme, "step", beside=not whole, mAP=0.618, cmc1=0.818),
        *Published.line("market1501", star, readme, "step", parts, beside=whole, mAP=0.89, cmc1=0.951),
        *Published.line(MSMT17, star, readme, "step", parts, beside=whole, mAP=0.678, cmc1=0.853),
    )


TRANSREID_SSL = Paper(
    title="Self-Supervised Pre-Training for Transformer-Based Person Re-Identification",
    venue="arXiv 2111.12084, 2021",
    url="https://arxiv.org/abs/2111.12084",
    code="https://github.com/damo-cv/TransReID-SSL",
    code_licence="MIT; its DINO part Apache-2.0",
    deviations=(
        "crops are taken from pictures of the network's size (`crop_from: original`, beside `image_size`, cuts them "
        "from stored pictures, as the official code does), and blur is scaled with their height",
        "colours are real numbers between the augmentations, which the official code rounds to eight bits",
        "each view and image draws from streams of the run's seed; the official blur and solarisation are not seeded",
        "a part of the pool is held out for the monitor (held_out: 0 learns from all of it)",
        "a collapse stops the run after `collapse_grace` epochs; the official code goes on",
    ),
    published=tuple(_of_ssl()),
)
TRANSREID = Paper(
    title="TransReID: Transformer-based Object Re-Identification",
    venue="ICCV 2021",
    url="https://arxiv.org/abs/2102.04378",
    code="https://github.com/damo-cv/TransReID",
    code_licence="MIT",
    deviations=(
        "the recipe is TransReID-SSL's: no label smoothing, and neither jigsaw patches nor cameras unless asked for",
        "pixel statistics are the backbone's own; the official code normalises with 0.5 whatever the pre-training took",
        "jigsaw patches as in the paper: shifted by 5 and shuffled among 4 groups; the code shifts 4 and shuffles 2",
        "the global branch is the backbone's own last block, not a copy of it",
        "a test image of an unknown camera gets the mean of the cameras' vectors; views (angles) have none",
        "one device",
    ),
    published=_of_transreid(whole=False),
)
TRANSREID_SIE = replace(TRANSREID, published=_of_transreid(whole=True))
