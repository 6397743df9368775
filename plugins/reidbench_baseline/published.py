"""Published numbers of the pre-training methods and part-based heads, as printed."""

from __future__ import annotations

from reidbench import Published

README = "official README"
MARKET_DUKE = dict.fromkeys(("market1501", "dukemtmc-reid"), "cmc1 mAP")
LABELED = "cuhk03-np(boxes=labeled)"

_BOT = "256x128, from ImageNet"
_STEP = "a step of the ladder: the method without the tricks that follow"
_ODD = "as printed; far below its neighbours, without explanation"
BOT = (
    *Published.table(
        f"{README}, ablation",
        MARKET_DUKE,
        {
            f"BoT, ResNet-50, {_BOT}, {tricks}": cells
            for tricks, cells in (
                ("standard baseline", "87.7 74.0 79.7 63.8"),
                ("+ warm-up", "88.7 75.2 80.6 65.1"),
                ("+ random erasing", "91.3 79.3 81.5 68.3"),
                ("+ label smoothing", "91.4 80.3 82.4 69.3"),
                ("+ last stride 1", "92.0 81.7 82.6 70.6"),
            )
        },
        "step",
        _STEP,
        beside=False,
    ),
    *Published.table(
        f"{README}, ablation",
        MARKET_DUKE,
        {f"BoT, ResNet-50, {_BOT}, + BNNeck: no centre loss": "94.1 85.7 86.2 75.9"},
        "step",
    ),
    *Published.table(
        f"{README}, ablation",
        MARKET_DUKE,
        {f"BoT, ResNet-50, {_BOT}, + centre loss": "94.5 85.9 86.4 76.4"},
        "step",
        beside=False,  # the other table has it as well
    ),
    *Published.table(
        f"{README}, ablation",
        MARKET_DUKE,
        {f"BoT, ResNet-50, {_BOT}, + re-ranking": "95.4 94.2 90.3 89.1"},
        "step",
        "re-ranked (k-reciprocal)",
    ),
    *Published.table(
        f"{README}, networks",
        MARKET_DUKE,
        {
            f"BoT, {network}, {_BOT}, centre loss": cells
            for network, cells in (
                ("ResNet-18", "91.7 77.8 82.5 68.8"),
                ("ResNet-50", "94.5 85.9 86.4 76.4"),
                ("ResNet-101", "94.5 87.1 87.6 77.6"),
                ("SE-ResNet-50", "94.4 86.3 86.4 76.5"),
                ("IBN-Net50-a", "95.0 88.2 90.1 79.1"),
            )
        },
        "step",
    ),
    *Published.table(
        f"{README}, networks",
        MARKET_DUKE,
        {
            f"BoT, {network}, {_BOT}, centre loss": cells
            for network, cells in (
                ("ResNet-34", "92.7 82.7 86.4 73.6"),
                ("SE-ResNet-101", "94.6 87.3 87.5 78.0"),
                ("SE-ResNeXt-50", "94.9 87.6 88.0 78.3"),
                ("SE-ResNeXt-101", "95.0 88.0 88.4 79.0"),
            )
        },
        "step",
        beside=False,
    ),
    *Published.table(
        f"{README}, networks",
        MARKET_DUKE,
        {f"BoT, ResNet-152, {_BOT}, centre loss": "80.9 59.0 87.5 78.0"},
        "step",
        _ODD,
        beside=False,
    ),
    *Published.table(
        "model zoo of fast-reid",
        {"market1501": "cmc1 mAP mINP"},
        {f"BoT of fast-reid, ResNet-50, {_BOT}": "94.4 86.1 59.4"},
        "step",
        "a different schedule: rate falls at epochs 40 and 90",
    ),
    *Published.table(
        "paper of circle loss, as listed by Papers with Code",
        {"market1501": "cmc1 mAP"},
        {"MGN with circle loss, ResNet-50": "96.1 87.4"},
        note="another network; numbers of a single global vector were not available",
        beside=False,
    ),
)

_DISTILLED = "SBS of fast-reid, ResNet-34, 256x128"
DISTILL = (
    *Published.table(
        "README of FastDistill",
        {"dukemtmc-reid": "cmc1 mAP"},
        {f"{_DISTILLED}, distilled from ResNet-101-IBN": "88.60 77.80"},
        "step",
    ),
    *Published.table(
        "README of FastDistill",
        {"dukemtmc-reid": "cmc1 mAP"},
        {
            "teacher, SBS of fast-reid, ResNet-101-IBN": "90.66 81.14",
            f"{_DISTILLED}, without a teacher": "86.31 73.28",
            f"{_DISTILLED}, distilled, also by the overhaul": "88.73 78.25",
        },
        "step",
        beside=False,
    ),
)

_BDB = "BDB, ResNet-50 from ImageNet, 384x128"
_CUT = "true matches beyond rank 50 count as never found, so the mAP is lower than by our rule"
BDB = (
    *Published.table(
        README,
        {
            LABELED: "cmc1 mAP",
            "cuhk03-np": "cmc1 mAP",
            "dukemtmc-reid": "cmc1 mAP",
            "market1501": "cmc1 mAP",
        },
        {_BDB: "79.4 76.7 76.4 73.5 88.9 75.9 95.3 86.2"},
        note=_CUT,
    ),
    *Published.table(
        "paper, as cited by the README of PLIP",
        dict.fromkeys(("market1501", "dukemtmc-reid"), "mAP cmc1"),
        {_BDB: "86.7 95.3 76.0 89.0"},
        note="differs from the official README",
    ),
)

_MGN = "MGN, ResNet-50 from ImageNet, 384x128"
_SEATHIEF, _GNAYUOHZ = "README of the reproduction by seathiefwang", "README of the reproduction by GNAYUOHZ"
_OTHER = "not re-ranked; other batches, epochs and loss weights than this method"
_RANKS = {"market1501": "mAP cmc1 cmc3 cmc5 cmc10"}
_SCRIPT = "re-ranked (k-reciprocal); the script that this method follows"
MGN = (
    *Published.table(_SEATHIEF, _RANKS, {f"{_MGN}, last state": "93.83 95.78 97.21 97.83 98.43"}, "step", _SCRIPT),
    *Published.table(
        _SEATHIEF,
        _RANKS,
        {
            f"{_MGN}, state of 2018-07-22": "92.17 94.60 96.53 97.06 98.01",
            f"{_MGN}, state of 2018-07-24": "93.53 95.34 97.06 97.68 98.49",
        },
        "step",
        "re-ranked (k-reciprocal); an earlier state of the script",
        beside=False,
    ),
    *Published.table(_GNAYUOHZ, _RANKS, {_MGN: "86.15 94.95 97.42 98.07 98.93"}, "step", _OTHER),
    *Published.table(
        _GNAYUOHZ,
        _RANKS,
        {f"{_MGN}, re-ranked": "94.33 95.58 97.54 97.92 98.46"},
        "step",
        "re-ranked (k-reciprocal); other batches, epochs and loss weights than this method",
    ),
    *Published.table(
        f"{_GNAYUOHZ}, earlier version",
        _RANKS,
        {
            _MGN: "85.96 94.63 97.54 98.28 98.96",
            "MGN, ResNet-101 from ImageNet, 384x128": "86.20 95.07 97.57 98.34 98.90",
        },
        "step",
        _OTHER,
    ),
    *Published.table(
        f"{_GNAYUOHZ}, earlier version",
        _RANKS,
        {
            f"{_MGN}, re-ranked": "94.28 95.67 97.45 97.89 98.60",
            "MGN, ResNet-101 from ImageNet, 384x128, re-ranked": "94.50 95.87 97.62 98.16 98.57",
        },
        "step",
        "re-ranked (k-reciprocal); other batches, epochs and loss weights than this method",
    ),
    *Published.table("paper, as cited by the reproduction by GNAYUOHZ", _RANKS, {_MGN: "86.9 95.7 - 98.3 99.0"}),
    *Published.table(
        "paper, as cited by the reproduction by GNAYUOHZ",
        _RANKS,
        {f"{_MGN}, re-ranked": "94.2 96.6 - - -"},
        note="re-ranked (k-reciprocal)",
    ),
    *Published.table(
        "README of PLIP",
        dict.fromkeys(("market1501", "dukemtmc-reid"), "mAP cmc1"),
        {"MGN, ResNet-50 from ImageNet, supervised": "87.5 95.1 79.4 89.0"},
        note="the implementation is not stated",
    ),
)

_LUPERSON, _RERANKED = "MoCo v2 on LUPerson, then MGN", "re-ranked (k-reciprocal)"
_FOUR = dict.fromkeys(("msmt17-v1", "dukemtmc-reid", "market1501", LABELED), "mAP cmc1")
_PLIP_6 = "PLIP, Table 6: unsupervised methods that start from these weights"
_GAIN = "LUPerson-NL's numbers minus the gains over this pre-training stated in its abstract; no rank 1"
MGN_LUPERSON = (
    *Published.table(
        "README of LUPerson",
        _FOUR,
        {
            f"{_LUPERSON}, ResNet-50, 384x128": "66.06 85.08 82.27 90.35 91.12 96.26 74.54 74.64",
            f"{_LUPERSON}, ResNet-101, 384x128": "68.41 86.28 84.15 91.88 91.86 96.56 75.98 75.86",
        },
        "step",
    ),
    *Published.table(
        "README of LUPerson",
        _FOUR,
        {
            f"{_LUPERSON}, ResNet-50, 384x128, re-ranked": "79.93 87.63 91.70 92.82 96.16 97.12 85.84 82.86",
            f"{_LUPERSON}, ResNet-101, 384x128, re-ranked": "81.12 88.27 92.77 93.99 96.21 97.03 86.73 84.07",
        },
        "step",
        _RERANKED,
    ),
)
MOCO = (
    *MGN_LUPERSON,
    *Published.table(
        "paper of LUPerson, as cited by PLIP, Table 7",
        dict.fromkeys(("market1501", "dukemtmc-reid"), "mAP cmc1"),
        {f"{_LUPERSON}, ResNet-50, 384x128": "91.0 96.4 82.1 91.0"},
        note="slightly different from its README, which reports later runs",
    ),
    *Published.table(
        "paper of LUPerson, by way of LUPerson-NL",
        dict.fromkeys(("msmt17-v1", LABELED), "mAP"),
        {f"{_LUPERSON}, ResNet-50, 384x128": "65.7 74.7"},
        note=_GAIN,
    ),
    *Published.table(
        "paper of LUPerson, as listed by Papers with Code",
        {"msmt17-v1": "mAP cmc1", LABELED: "mAP cmc1"},
        {
            f"{_LUPERSON}, ResNet-101, 384x128": "68.8 86.6 - -",
            "MoCo v2 on LUPerson, then BDB, ResNet-50": "- - 79.6 81.9",
        },
        note="the listing does not state the boxes of CUHK03; LUPerson's other numbers use labeled boxes",
    ),
    *Published.table(
        "README of LUPerson-NL",
        _FOUR,
        {"noisy labels of tracks (PNL) on LUPerson-NL, then MGN, ResNet-50": "68.0 86.0 84.3 92.0 91.9 96.6 80.4 80.9"},
        note="a different pre-training",
        beside=False,
    ),
    *Published.table(
        _PLIP_6,
        dict.fromkeys(("market1501", "msmt17-v1"), "mAP"),
        {
            f"{method}, ResNet-50, from {weights}": cells
            for method, weights, cells in (
                ("PPLR", "ImageNet", "81.5 31.4"),
                ("PPLR", "MoCo v2 on ImageNet", "79.6 28.7"),
                ("PPLR", "MoCo v2 on LUPerson", "57.5 22.5"),
                ("PPLR", "LUPerson-NL", "84.2 25.0"),
                ("ISE", "ImageNet", "84.7 35.0"),
                ("ISE", "MoCo v2 on ImageNet", "84.9 34.1"),
                ("ISE", "MoCo v2 on LUPerson", "84.5 27.8"),
                ("ISE", "LUPerson-NL", "87.4 33.9"),
            )
        },
        note="measured by others; here LUPerson's weights are worse than ImageNet's",
        beside=False,
    ),
    *Published.table(
        "official demo for one device",
        {"cifar10": "knn_accuracy"},
        {
            f"MoCo, ResNet-18, {loss} loss, {epochs} epochs": cell
            for loss, epochs, cell in (
                ("plain", 200, "82.6"),
                ("plain", 400, "86.3"),
                ("plain", 800, "88.7"),
                ("symmetric", 200, "85.3"),
                ("symmetric", 400, "88.5"),
                ("symmetric", 800, "89.7"),
            )
        },
        note="nearest neighbours on CIFAR-10, not re-identification",
        beside=False,
    ),
)
