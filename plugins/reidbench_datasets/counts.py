"""Published counts of every data set, read by `data check`, the runs and the README's table.

A number is `doubted()` if it was not counted on a copy and no two sources agree: it is shown as unverified and never
stops a run. Identities count all distractors as one (see reidbench.data.Counts).
"""

from __future__ import annotations

from reidbench.data import Counts, Published

from .vehicles.counts import VEHICLES

_CUHK_DETECTED = {"train": Counts(7365, 767, 2), "query": Counts(1400, 700, 2), "gallery": Counts(5332, 700, 2)}
_CUHK_LABELED = {"train": Counts(7368, 767, 2), "query": Counts(1400, 700, 2), "gallery": Counts(5328, 700, 2)}
_CUHK01_SOURCE = "3,884 images of 971 persons (docstring of torchreid), divided by the split files of this plugin"
_CUHK_SOURCE = "counted in cuhk03_new_protocol_config_*.mat of Zhong et al."
_MSMT_TEST = {"query": Counts(11659, 3060, 15), "gallery": Counts(82161, 3060, 15)}
_MSMT_V1_SOURCE = "four libraries and a survey agree: 126,441 images, 4,101 persons; train without val unverified"
_MARKET_TRAIN = Counts(12936, 751, 6)
_MARKET_QUERY = Counts(3368, 750, 6)
_MARKET_BOXES = Counts(None, 750, 6, tracklets=3368)  # one query per person and camera
_MARKET_ALONE = ("the 500,000 distractors are missing: unpack them as the folder images", {"gallery": 19732})
_DUKE = {"train": Counts(16522, 702, 8), "query": Counts(2228, 702, 8), "gallery": Counts(17661, 1110, 8)}
# Yang et al., TPAMI 2019 (arXiv 2002.02295): the five numbers of images add up to the 33,698 of the paper. Queries are
# camera B (3,543, in the gallery's clothes) and camera C (3,873, in others). The persons of val are not documented.
_PRCC_SOURCE = "paper of Yang et al.: 33,698 images of 221 persons with two outfits each; persons of val unverified"
_PRCC_VAL = Counts(5002, 150, 3, outfits=300).doubted("identities", "cameras", "outfits")
_PRCC_TEST = {"query": Counts(7416, 71, 2, outfits=142), "gallery": Counts(3384, 71, 1, outfits=71)}
_PRCC_CAMERAS = {"query": (0, 3543, 3873), "gallery": (3384,)}
# Qian et al., ACCV 2020: the paper (arXiv 2005.12633) counts 17,138 images, the authors' page and every loader 17,119.
_LTCC_SOURCE = "page of the authors: 17,119 images of 152 persons (the paper says 17,138, and 478 outfits)"


def _market_folders(train: int) -> Published:
    """Return Market-1501 as copied by prepare.py of Person_reID_baseline_pytorch: val has one image of each person."""
    return Published(
        {"train": Counts(train, 751, 6), "query": _MARKET_QUERY, "gallery": Counts(19732, 751, 6)},
        "Market-1501, with one image of each person in val",
    )


_SYSU_SOURCE = "Wu et al. (persons), logs of Cross-Modal-Re-ID-baseline; the protocol draws from the gallery"
_SYSU_TEST = {
    "query": Counts(3803, 96, 2, modality={"infrared": 3803}),
    "gallery": Counts(6775, 96, 4, modality={"visible": 6775}).doubted("images", "modality"),  # one log counts them
}


def _regdb(query: str, gallery: str) -> Published:
    """Return a split of RegDB: ten images per modality of 206 persons for training and of 206 for the test."""
    return Published(
        {
            "train": Counts(4120, 206, 2, modality={query: 2060, gallery: 2060}),
            "query": Counts(2060, 206, 1, modality={query: 2060}),
            "gallery": Counts(2060, 206, 1, modality={gallery: 2060}),
        },
        "412 persons, ten visible and ten thermal images each, halved in each of the ten splits",
    )


def _mars(gallery: Counts, per_camera: tuple[int, ...]) -> Published:
    """Return MARS with one of its galleries; 636 of its 1,261 persons are in the test, with junk and distractors."""
    return Published(
        {
            "train": Counts(509914, 625, 6, tracklets=8298),
            "query": Counts(114493, 626, 6, tracklets=1980),
            "gallery": gallery,
        },
        "counted in the .mat files of MARS-evaluation by its authors",
        per_camera={
            "train": (102451, 118201, 85403, 48512, 114158, 41189),
            "query": (29576, 24208, 21086, 12600, 20646, 6377),
            "gallery": per_camera,
        },
    )


PUBLISHED: dict[str, Published] = {
    "market1501": Published(
        {"train": _MARKET_TRAIN, "query": _MARKET_QUERY, "gallery": Counts(19732, 751, 6)},
        "counted in the index files of Zhong et al.",
        per_camera={"gallery": (2738, 2224, 3199, 1365, 2762, 3625)},
        alternatives=(
            ("the 3,819 junk boxes (-1) were removed from bounding_box_test", {"gallery": 15913}),
            ("junk (-1) and distractors (0000) were removed from bounding_box_test", {"gallery": 13115}),
        ),
    ),
    "person-folders:market1501:train_all": _market_folders(12936),
    "person-folders:market1501:train+val": _market_folders(12936),
    "person-folders:market1501:train": _market_folders(12185),
    "market1501:500k": Published(
        {
            "train": _MARKET_TRAIN,
            "query": _MARKET_QUERY,
            "gallery": Counts(519732, 751, 6, frozenset({"images", "cameras"})),
        },
        "a log shows 515,913, without the 3,819 junk boxes",
        alternatives=(_MARKET_ALONE,),
    ),
    "msmt17-v1:train": Published(
        {"train": Counts(30248, 1041, 15).doubted(), **_MSMT_TEST},
        _MSMT_V1_SOURCE,
        alternatives=(("this is train + val: set train: trainval", {"train": 32621}),),
    ),
    "msmt17-v1:trainval": Published(
        {"train": Counts(32621, 1041, 15), **_MSMT_TEST},
        _MSMT_V1_SOURCE,
        alternatives=(("this is train without val: list_val.txt names no image", {"train": 30248}),),
    ),
    "msmt17-v2:train": Published({"train": Counts(30248, 1041, 15), **_MSMT_TEST}, "assumed equal to V1").doubted(),
    "msmt17-v2:trainval": Published({"train": Counts(32621, 1041, 15), **_MSMT_TEST}, "assumed equal to V1").doubted(),
    "cuhk03-np:detected": Published(
        _CUHK_DETECTED,
        _CUHK_SOURCE,
        alternatives=(("these are the labeled boxes: set boxes: labeled", {"train": 7368, "gallery": 5328}),),
    ),
    "cuhk03-np:labeled": Published(
        _CUHK_LABELED,
        _CUHK_SOURCE,
        alternatives=(("these are the detected boxes: set boxes: detected", {"train": 7365, "gallery": 5332}),),
    ),
    "cuhk03-classic": Published(
        {"train": Counts(None, 1367), "query": Counts(None, 100), "gallery": Counts(None, 100)},
        "documents disagree on the number of persons (1,467 and 1,360 in all)",
    ).doubted(),
    "dukemtmc-reid": Published(
        _DUKE, "a log of fast-reid", alternatives=(("this is Occluded-Duke: use occluded-duke", {"train": 15618}),)
    ).doubted(),
    "occluded-duke": Published(
        {"train": Counts(15618, 702, 8), "query": Counts(2210, 519, 8), "gallery": Counts(17661, 1110, 8)},
        "counted in the author's three .list files",
        per_camera={
            "train": (1982, 3009, 1088, 1395, 1685, 3700, 1330, 1429),
            "query": (1137, 215, 97, 164, 92, 314, 80, 111),
            "gallery": (2704, 2798, 828, 1139, 1209, 3308, 1255, 4420),
        },
        alternatives=(("this is DukeMTMC-reID: use dukemtmc-reid", {"train": 16522, "query": 2228}),),
    ),
    "luperson": Published({"train": Counts(4180243)}, "README of the authors; rebuilt copies differ").doubted(),
    "viper": Published(
        {"train": Counts(632, 316, 2), "query": Counts(316, 316, 1), "gallery": Counts(316, 316, 1)},
        "632 persons x 2 cameras, halved by the split files of this plugin",
    ),
    "grid": Published(
        {"train": Counts(250, 125), "query": Counts(125, 125), "gallery": Counts(900, 126)},
        "250 pairs and 775 distractors, 8 cameras",
    ),
    "prid2011": Published(
        {"train": Counts(200, 100, 2), "query": Counts(100, 100, 1), "gallery": Counts(649, 649, 1)},
        "385 persons in camera A, 749 in B, the first 200 in both",
    ),
    "cuhk01:485": Published(
        {"train": Counts(1940, 485, 2), "query": Counts(972, 486, 1), "gallery": Counts(972, 486, 1)}, _CUHK01_SOURCE
    ),
    "cuhk01:871": Published(
        {"train": Counts(3484, 871, 2), "query": Counts(200, 100, 1), "gallery": Counts(200, 100, 1)}, _CUHK01_SOURCE
    ),
    "personx": Published(
        {
            "train": Counts(9840, 410, 6, frozenset({"identities"})),
            "query": Counts(5136, 856, 6, frozenset({"identities"})),
            "gallery": Counts(30816, None, 6),
        },
        "docstrings of OpenUnReID: 1,266 persons in all",
    ),
    "randperson": Published(
        {"train": Counts(132145, 8000, 19, frozenset({"cameras"}))}, "the authors' subset of 1,801,816 images"
    ),
    "clonedperson": Published({"all": Counts(887766, 5621, 24, frozenset({"cameras"}))}, "totals of the authors"),
    "prcc:train": Published(
        {"train": Counts(17896, 150, 3, outfits=300), "validation": _PRCC_VAL, **_PRCC_TEST},
        _PRCC_SOURCE,
        per_camera=_PRCC_CAMERAS,
    ),
    "prcc:trainval": Published(
        {"train": Counts(22898, 150, 3, outfits=300), **_PRCC_TEST}, _PRCC_SOURCE, per_camera=_PRCC_CAMERAS
    ),
    "ltcc:all": Published(
        {
            "train": Counts(9576, 77, 12),
            "query": Counts(493, 75, 12),
            "gallery": Counts(7050, 75, 12),
            "all": Counts(None, 152, 12, outfits=478).doubted("outfits"),
        },
        _LTCC_SOURCE,
    ),
    "ltcc:cloth-changing": Published(
        {
            "train": Counts(8367, 46, 12),
            "query": Counts(None, 45, 12).doubted(),
            "gallery": Counts(6019, 45, 12),
        },
        "a public loader; 1,209 and 1,031 images of persons who do not change complete the release",
    ),
    "vc-clothes": Published(
        {
            "train": Counts(9449, 256, 4),
            "query": Counts(1020, 256, 4).doubted("identities", "cameras"),
            "gallery": Counts(8591, 256, 4).doubted("identities"),
        },
        "paper of Wan et al.: 19,060 images of 512 persons; the number of outfits is not published",
    ),
    "market1501:multi-query": Published(
        {"train": _MARKET_TRAIN, "query": _MARKET_BOXES, "gallery": Counts(19732, 751, 6)},
        "counted in the index files of Zhong et al.; the number of query boxes in gt_bbox is not published",
    ),
    "market1501:500k:multi-query": Published(
        {
            "train": _MARKET_TRAIN,
            "query": _MARKET_BOXES,
            "gallery": Counts(519732, 751, 6, frozenset({"images", "cameras"})),
        },
        "as market1501:multi-query; a log shows 515,913, without the 3,819 junk boxes",
        alternatives=(_MARKET_ALONE,),
    ),
    "sysu-mm01:trainval": Published(
        {"train": Counts(34167, 395, 6, modality={"visible": 22258, "infrared": 11909}), **_SYSU_TEST}, _SYSU_SOURCE
    ),
    "sysu-mm01:train": Published({"train": Counts(None, 296, 6), **_SYSU_TEST}, _SYSU_SOURCE),
    "regdb:visible": _regdb("visible", "thermal"),
    "regdb:thermal": _regdb("thermal", "visible"),
    "mars:others": _mars(Counts(566596, 621, 6, tracklets=10200), (89547, 166029, 70754, 41938, 93908, 81040)),
    "mars:all": _mars(Counts(681089, 635, 6, tracklets=12180), (119123, 190237, 91840, 54538, 114554, 87417)),
    **VEHICLES,
}
