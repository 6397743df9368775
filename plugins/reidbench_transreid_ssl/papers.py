"""Papers of this plugin's methods, and deviations from them."""

from __future__ import annotations

from dataclasses import replace

from reidbench import Paper

from . import published

TRANSREID_SSL = Paper(
    title="Self-Supervised Pre-Training for Transformer-Based Person Re-Identification",
    venue="arXiv 2111.12084, 2021",
    url="https://arxiv.org/abs/2111.12084",
    code="https://github.com/damo-cv/TransReID-SSL",
    code_licence="MIT; its DINO part Apache-2.0",
    deviations=(
        "crops are taken from images of the network's size (`crop_from: original`, set next to `image_size`, takes "
        "them from stored images, as the official code does), and blur is scaled with their height",
        "colours stay real numbers between augmentations; the official code rounds them to eight bits",
        "each view and image draws from random streams of the run's seed; the official blur and solarisation are "
        "not seeded",
        "a part of the pool is held out for the monitor (held_out: 0 trains on all of it)",
        "a collapse stops the run after `collapse_grace` epochs; the official code continues",
        "precision is the matrix file's, 32-true by default; the official runs use fp16 with loss scaling",
        "published rows on MSMT17 are of its train and val lists together: `train: trainval` of the data set",
    ),
    published=published.SSL,
)
TRANSREID = Paper(
    title="TransReID: Transformer-based Object Re-Identification",
    venue="ICCV 2021",
    url="https://arxiv.org/abs/2102.04378",
    code="https://github.com/damo-cv/TransReID",
    code_licence="MIT",
    deviations=(
        "the defaults are TransReID-SSL's, for weights pre-trained on persons; for ImageNet weights use `preset: "
        "paper`",
        "precision is the matrix file's, 32-true by default; the official runs use fp16 with loss scaling",
        "published rows on MSMT17 are of its train and val lists together: `train: trainval` of the data set",
        "the four-device runs of TransReID-SSL (batches of 256, learning rate 3.2e-3) have no preset",
        "pixel statistics are the backbone's; the official code normalises with 0.5 for any pre-training",
        "jigsaw patches as in the paper: shifted by 5 and shuffled among 4 groups; the code shifts 4 and shuffles 2",
        "patches left over after equal parts are dropped, as in the code; the code has no rule for runs that lack "
        "two or more patches; here the rest of the shifted sequence is dropped",
        "drop_path is the backbone's if it was built with one; the official code has one number for both",
        "the global branch is the backbone's last block, not a copy of it",
        "runs on one device only",
    ),
    published=published.TRANSREID,
)
TRANSREID_SIE = replace(
    TRANSREID,
    deviations=(
        "cameras are always used, jigsaw patches only with `jpm`; the paper's TransReID has both",
        "a test image of an unknown camera gets the mean of the cameras' vectors; view angles have no vectors",
        "the overlapping patches of TransReID* are `stride: 12` of the ViT, in the matrix file",
        *TRANSREID.deviations,
    ),
    published=published.TRANSREID_SIE,
)
