"""Where the methods of this plugin come from, and where ours differ."""

from __future__ import annotations

from reidbench import Paper

TRANSREID_SSL = Paper(
    title="Self-Supervised Pre-Training for Transformer-Based Person Re-Identification",
    venue="arXiv 2111.12084, 2021",
    url="https://arxiv.org/abs/2111.12084",
    code="https://github.com/damo-cv/TransReID-SSL",
    code_licence="MIT; its DINO part Apache-2.0",
    deviations=(
        "crops are taken from pictures of the network's size, and blur is scaled with their height",
        "colours are real numbers between the augmentations, which the official code rounds to eight bits",
        "each view and image draws from streams of the run's seed; the official blur and solarisation are not seeded",
        "a part of the pool is held out for the monitor (held_out: 0 learns from all of it)",
        "a collapse stops the run after `collapse_grace` epochs; the official code goes on",
    ),
    published={
        "Market-1501 mAP/R1, ViT-S, fine-tuned": "91.0/96.0 (official README)",
        "Market-1501 mAP/R1, ViT-S + ICS, fine-tuned": "91.3/96.2 (official README)",
        "MSMT17 mAP/R1, ViT-S, fine-tuned": "66.1/84.6 (official README)",
        "MSMT17 mAP/R1, ViT-S + ICS, fine-tuned": "68.1/86.1 (official README)",
    },
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
    published={
        "Market-1501 mAP/R1, ViT-B": "89.0/95.1 (official README)",
        "MSMT17 mAP/R1, ViT-B": "67.8/85.3 (official README)",
    },
)
