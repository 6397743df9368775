"""Selection of pre-training images from a pool: catastrophic forgetting score (CFS), other selectors, controls."""

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
        "the code of CFS was never released: implemented from the definition and from the script that an author "
        "quotes in issue 3 of that repository",
        "each proxy gets pixels with the normalisation of its training; the official code uses different statistics "
        "for the two",
        "equal scores are ordered by a hash of the image's pixels, since methods do not see file names",
        "the target proxy is fine-tuned on the task's target; the official list used MSMT17 and Market-1501 "
        "together, as `data: auxiliary` in the target proxy does with the task's auxiliary data sets",
        "published rows used 60 % of LUPerson (`preset: code`); the abstract claims that 50 % are enough",
        "the proxies use the matrix file's image size; a preset of a proxy sets only its parameters",
        "the default proxies are the paper's: plain ViT-S, 20 epochs on the whole pool, then 120 with labels; a "
        "proxy set without `backbone` uses the recipe's network",
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
        "the list is used as is, with any labels it was made with: the official one used the identities of MSMT17 "
        "and Market-1501, which the protocol column does not show",
        "published rows used 60 % of LUPerson (`preset: code`); the abstract claims that 50 % are enough",
        "rebuilt copies of LUPerson have other file names: missing entries are counted, and allowed up to `tolerance`",
    ),
)
SCRIPT = "the proxies of an author's script in issue 3 of the repository"
SOURCE_PROXY = {"use": "dino", "preset": "proxy", "backbone": {"use": "vit-small"}}
TARGET_PROXY = {"use": "transreid", "preset": "transreid-ssl"}


@hookimpl
def reidbench_selectors() -> Iterator[Component]:
    """Return CFS, other selectors, and controls."""
    yield Component(
        "cfs",
        "reidbench_cfs.cfs:select",
        CfsParams,
        summary="catastrophic forgetting score: keeps images whose features change least in a fine-tuning "
        "on the target",
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
                f"the released list's 60 %; {SCRIPT}, on the task's auxiliary data sets, for the paper MSMT17 and "
                "Market-1501",
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
        version=2,  # lists with a byte-order mark and with any line endings
        summary="the first entries of a published list of files, such as CFS_list.pkl",
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
        summary="k-means of self-supervised features; the same number of images per cluster, nearest to "
        "the centre first",
        rehearsal={"clusters": 4},
    )
    yield Component(
        "random", "reidbench_cfs.controls:random", RandomParams, summary="control: random images, drawn with the seed"
    )
    yield Component(
        "all",
        "reidbench_cfs.controls:everything",
        NoParams,
        summary="control: the whole pool, as a separate row",
        traits=SEEDLESS,
    )
    yield Component(
        "oracle",
        "reidbench_cfs.controls:oracle",
        OracleParams,
        summary="control: images that truly show a person come first; rendered pools only",
        traits=OracleParams.traits,
        requires=frozenset({"truth"}),
        protocol=frozenset({"truth"}),
    )
