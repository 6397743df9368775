"""Published numbers of TransReID and TransReID-SSL, as printed."""

from __future__ import annotations

from reidbench import Published

MSMT17 = "msmt17-v1(train=trainval)"
BOTH = dict.fromkeys(("market1501", MSMT17), "mAP cmc1")
ADAPTED = dict.fromkeys((f"{MSMT17}->market1501", f"market1501->{MSMT17}"), "mAP cmc1")
PRINTED, REPEATED = "paper, as in the official README", "official README, the authors' reproduction"
BEST = "best round on test data; without labels on MSMT17 the last"
# Of each way of learning the columns, and the rows: network, numbers as printed, and as repeated by the authors.
SUPERVISED = (
    ("ViT-S/16, 256x128", "91.0 96.0 66.1 84.6", "91.2 95.8 66.3 84.8"),
    ("ViT-S/16 + ICS, 256x128", "91.3 96.2 68.1 86.1", "91.4 96.2 68.3 86.2"),
    ("ViT-B/16 + ICS, 384x128", "93.2 96.7 75.0 89.6", "93.1 96.6 75.1 89.6"),
)
UNSUPERVISED = (
    ("ViT-S/16, 256x128", "88.2 94.2 40.9 66.4", "88.4 94.6 40.9 66.4"),
    ("ViT-S/16 + ICS, 256x128", "89.6 95.3 50.6 75.0", "89.5 95.3 50.6 75.0"),
)
DOMAIN_ADAPTIVE = (
    ("ViT-S/16, 256x128", "89.4 95.4 47.4 70.8", "89.2 95.3 47.7 71.2"),
    ("ViT-S/16 + ICS, 256x128", "89.9 95.5 57.8 79.5", "89.9 95.4 57.8 79.4"),
)


def _both_rounds(
    columns: dict[str, str], rows: tuple[tuple[str, str, str], ...], learning: str, note: str = "", beside: bool = True
) -> tuple[Published, ...]:
    named = [(f"{network}, DINO on 60 % of LUPerson by CFS, {learning}", *cells) for network, *cells in rows]
    printed = {row: cells for row, cells, _ in named}
    repeated = {row: cells for row, _, cells in named}
    return (
        *Published.table(PRINTED, columns, printed, "step", note, beside),
        *Published.table(REPEATED, columns, repeated, "step", note, beside),
    )


SSL_SUPERVISED = _both_rounds(BOTH, SUPERVISED, "supervised")
SSL = (
    *SSL_SUPERVISED,
    *_both_rounds(BOTH, UNSUPERVISED, "cluster contrast without labels", BEST),
    *_both_rounds(ADAPTED, DOMAIN_ADAPTIVE, "supervised on the source, then cluster contrast", BEST),
)

_TABLE_7, _TABLE_8, _README = "paper, Table 7", "paper, Table 8", "official README"
_PARTS = "jigsaw patches (JPM) and cameras (SIE)"
_STAR = f"{_PARTS}, stride 12, learning rate 8e-3"
_OF_PAPER = dict.fromkeys((MSMT17, "market1501", "dukemtmc-reid", "occluded-duke"), "mAP cmc1")
_VIT, _DEIT = "ViT-B/16 from ImageNet-21k", "DeiT-B/16 from ImageNet"


def of_transreid(whole: bool) -> tuple[Published, ...]:
    """The plain baseline and the full TransReID; `whole` selects the one to show next to measured rows."""
    return (
        *Published.table(
            _README,
            _OF_PAPER,
            {f"{_VIT}, 256x128, baseline": "61.8 81.8 87.1 94.6 79.6 89.0 53.8 61.1"},
            "step",
            beside=not whole,
        ),
        *Published.table(
            _README,
            _OF_PAPER,
            {f"{_VIT}, 256x128, TransReID*": "67.8 85.3 89.0 95.1 82.2 90.7 59.5 67.4"},
            "step",
            _STAR,
            beside=whole,
        ),
        *Published.table(
            _README,
            _OF_PAPER,
            {f"{_DEIT}, 256x128, TransReID*": "66.3 84.0 88.5 95.1 81.9 90.7 57.7 65.2"},
            "step",
            _STAR,
            beside=False,
        ),
        *Published.table(
            _TABLE_7,
            _OF_PAPER,
            {f"{_VIT}, 256x128, baseline": "61.0 81.8 86.8 94.7 79.3 88.8 53.1 60.5"},
            "step",
            beside=not whole,
        ),
        *Published.table(
            _TABLE_7,
            _OF_PAPER,
            {
                f"{_VIT}, 256x128, TransReID": "64.9 83.3 88.2 95.0 80.6 89.6 55.7 64.2",
                f"{_VIT}, 384x128, TransReID": "66.6 84.6 88.8 95.0 81.8 90.4 - -",
            },
            "step",
            _PARTS,
            beside=whole,
        ),
        *Published.table(
            _TABLE_7,
            _OF_PAPER,
            {
                f"{_VIT}, 256x128, TransReID*": "67.4 85.3 88.9 95.2 82.0 90.7 59.2 66.4",
                f"{_VIT}, 384x128, TransReID*": "69.4 86.2 89.5 95.2 82.6 90.7 - -",
            },
            "step",
            _STAR,
            beside=whole,
        ),
        *Published.table(
            _TABLE_7,
            _OF_PAPER,
            {
                f"{_DEIT}, 256x128, baseline": "61.4 81.9 86.6 94.4 78.9 89.3 53.1 60.6",
                f"{_DEIT}, 256x128, TransReID": "63.9 82.7 88.0 94.7 81.2 90.1 55.6 62.8",
                f"{_DEIT}, 384x128, TransReID": "65.5 83.5 88.1 94.9 81.3 90.2 - -",
                f"{_DEIT}, 256x128, TransReID*": "66.2 84.3 88.4 95.0 81.9 91.1 58.1 66.4",
                f"{_DEIT}, 384x128, TransReID*": "66.3 84.5 88.5 95.1 82.1 91.1 - -",
            },
            "step",
            "a network that is not available here",
            beside=False,
        ),
        *Published.table(
            _TABLE_8,
            {MSMT17: "mAP cmc1"},
            {
                f"{_VIT}, 256x128, baseline, {change}": cells
                for change, cells in (
                    ("Adam", "37.4 60.2"),
                    ("AdamW", "60.6 81.7"),
                    ("no position embedding", "22.4 38.3"),
                    ("no stochastic depth", "59.9 80.2"),
                    ("dropout", "60.0 80.7"),
                    ("dropout in the attention", "58.0 78.8"),
                    ("triplet loss with a margin", "60.3 81.3"),
                    ("label smoothing", "59.8 80.4"),
                )
            },
            "step",
            "the baseline of Table 7 with one change",
            beside=False,
        ),
    )


TRANSREID = (*SSL_SUPERVISED, *of_transreid(whole=False))
TRANSREID_SIE = of_transreid(whole=True)
