"""Choosing pre-training images from a pool: catastrophic forgetting score (CFS), other ways, controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reidbench import Component, Paper, Preset, Published, hookimpl

from .params import CfsParams, ClusterParams, ListParams, NoParams, OracleParams, RandomParams

SEEDLESS = frozenset({"seedless"})
PRINTED, REPEATED = "paper, as in the official README", "official README, the authors' reproduction"
BOTH = dict.fromkeys(("market1501", "msmt17-v1(train=trainval)"), "mAP cmc1")
DINO = "DINO on 60 % of LUPerson by CFS, supervised"
PAPER = Paper(
    title="Self-Supervised Pre-Training for Transformer-Based Person Re-Identification",
    venue="arXiv 2021",
    url="https://arxiv.org/abs/2111.12084",
    code="https://github.com/damo-cv/TransReID-SSL (the resulting list of files only, not the code of CFS)",
    code_licence="MIT",
    deviations=(
        "the code of CFS was never released: written from the definition and from the script that an author quotes in "
        "issue 3 of that repository",
        "each proxy sees pixels normalised as it was trained; the official code changes statistics between the two",
        "equal scores are ordered by a hash of the image's pixels: file names are hidden from methods",
        "the target proxy is fine-tuned on the task's target; the official list used MSMT17 and Market-1501 together, "
        "as `data: auxiliary` in the target proxy does with the task's auxiliary data sets",
        "published rows used 60 % of LUPerson (`preset: code`); that 50 % do as well is the claim of the abstract",
        "the proxies see pictures of the file's image size; a proxy's preset brings its parameters alone",
        "the proxies of the default are the paper's: plain ViT-S, 20 epochs on the whole pool, then 120 with labels; a "
        "proxy that is written without `backbone` has the recipe's network",
    ),
    published=(
        *Published.table(
            PRINTED,
            BOTH,
            {
                f"ViT-S/16, 256x128, {DINO}": "91.0 96.0 66.1 84.6",
                f"ViT-S/16 + ICS, 256x128, {DINO}": "91.3 96.2 68.1 86.1",
                f"ViT-B/16 + ICS, 384x128, {DINO}": "93.2 96.7 75.0 89.6",
            },
            "step",
        ),
        *Published.table(
            REPEATED,
            BOTH,
            {
                f"ViT-S/16, 256x128, {DINO}": "91.2 95.8 66.3 84.8",
                f"ViT-S/16 + ICS, 256x128, {DINO}": "91.4 96.2 68.3 86.2",
                f"ViT-B/16 + ICS, 384x128, {DINO}": "93.1 96.6 75.1 89.6",
            },
            "step",
        ),
    ),
)
LIST = replace(
    PAPER,
    deviations=(
        "the list is taken as it is, whatever labels it was made with: the official one's were the identities of "
        "MSMT17 and Market-1501, of which the protocol column says nothing",
        "published rows used 60 % of LUPerson (`preset: code`); that 50 % do as well is the claim of the abstract",
        "rebuilt copies of LUPerson have other file names: entries that are missing are counted, up to `tolerance`",
    ),
)
SCRIPT = "the proxies of an author's script in issue 3 of the repository"
SOURCE_PROXY = {"use": "dino", "preset": "proxy", "backbone": {"use": "vit-small"}}
TARGET_PROXY = {"use": "transreid", "preset": "transreid-ssl"}


@hookimpl
def reidbench_selectors() -> Iterator[Component]:
    """CFS, other ways to choose, and controls."""
    yield Component(
        "cfs",
        "reidbench_cfs.cfs:select",
        CfsParams,
        summary="catastrophic forgetting score: keeps images whose features a fine-tuning on the target changes least",
        traits=SEEDLESS,
        paper=PAPER,
        presets={
            "paper": Preset(
                f"the abstract's 50 %; {SCRIPT}, on the task's target",
                keep=0.5,
                order="highest",
                proxy=SOURCE_PROXY,
                target_proxy=TARGET_PROXY,
            ),
            "code": Preset(
                f"the released list's 60 %; {SCRIPT}, on the task's auxiliary sets, for it MSMT17 and Market-1501",
                keep=0.6,
                order="highest",
                proxy=SOURCE_PROXY,
                target_proxy={**TARGET_PROXY, "data": "auxiliary"},
            ),
        },
    )
    yield Component(
        "list",
        "reidbench_cfs.released:select",
        ListParams,
        version=2,  # lists with a byte-order mark and with any line ends
        summary="the head of a list of files that somebody published, such as CFS_list.pkl",
        traits=SEEDLESS,
        paper=LIST,
        presets={
            "code": Preset("the official scripts' --keep_num, 60 % of LUPerson", by="name", count=2_508_146),
            "half": Preset("the official README's 50 % of LUPerson", by="name", count=2_090_122),
        },
        rehearsal={"keep": 1.0, "count": None},
    )
    yield Component(
        "cluster",
        "reidbench_cfs.cluster:select",
        ClusterParams,
        summary="k-means of self-supervised features; the same number of images from each cluster, centres first",
        rehearsal={"clusters": 4},
    )
    yield Component(
        "random", "reidbench_cfs.controls:random", RandomParams, summary="a control: images drawn with the seed"
    )
    yield Component(
        "all",
        "reidbench_cfs.controls:everything",
        NoParams,
        summary="a control: the whole pool, in a row of its own",
        traits=SEEDLESS,
    )
    yield Component(
        "oracle",
        "reidbench_cfs.controls:oracle",
        OracleParams,
        summary="a control: the images that truly show a person come first; rendered pools only",
        traits=OracleParams.traits,
        requires=frozenset({"truth"}),
        protocol=frozenset({"truth"}),
    )
