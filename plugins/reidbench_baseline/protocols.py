"""Named evaluation protocols of data sets, as presets of the distance-based evaluators."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

_CAL = "guxinqian/Simple-CCReID (CAL, CVPR 2022), commit f773d01"
_PRCC = "Yang et al., Person Re-identification by Contour Sketch under Moderate Clothing Change, TPAMI 2021"
_LTCC = "Qian et al., Long-Term Cloth-Changing Person Re-identification, ACCV 2020"
_VC = "Wan et al., When Person Re-identification Meets Changing Clothes, CVPR Workshops 2020"
_SYSU = (
    "Wu et al., RGB-Infrared Cross-Modality Person Re-identification, ICCV 2017; wuancong/SYSU-MM01, "
    "evaluation/evaluation_SYSU_MM01.m, commit cd07570, which has fixed draws; here they are seeded"
)
_MARS = "Zheng et al., MARS: A Video Benchmark, ECCV 2016; liangzheng06/MARS-evaluation, commit 3a91bbc"
_CAMERAS_A_B_C = "cameras A, B, C are camids 0, 1, 2"
_SHOTS = {"shots": 1, "repeats": 10}
_ALL: dict[str, Any] = {
    "cross": "modality", "query_cameras": (2, 5), "gallery_cameras": (0, 1, 3, 4), "skip_cameras": {2: (1,)},
    "shots": 1, "shots_per": "identity-and-camera", "repeats": 10, "cmc": "identities",
}  # fmt: skip
_INDOOR = _ALL | {"gallery_cameras": (0, 1)}
_TRACKLETS = {"pool": "mean", "ap": "trapezoid", "invalid": "zero"}
_CAMIDS = "cameras 1 to 6 are camids 0 to 5"

PROTOCOLS = {
    "prcc-single": Preset(
        f"{_PRCC}, section 5.1: other clothes, one drawn image of each identity in the gallery, mean of ten draws; "
        f"{_CAMERAS_A_B_C}",
        query_cameras=(2,), gallery_cameras=(0,), **_SHOTS,
    ),
    "prcc-multi": Preset(
        f"{_CAL}, test.py: other clothes, all gallery images, used by about half of the papers (its issue 7); "
        f"{_CAMERAS_A_B_C}",
        query_cameras=(2,), gallery_cameras=(0,),
    ),
    "prcc-same-clothes": Preset(
        f"{_PRCC}, section 5.1: the same clothes, galleries as prcc-single; {_CAMERAS_A_B_C}",
        query_cameras=(1,), gallery_cameras=(0,), **_SHOTS,
    ),
    "prcc-same-clothes-multi": Preset(
        f"{_CAL}, test.py: the same clothes, all gallery images; {_CAMERAS_A_B_C}",
        query_cameras=(1,), gallery_cameras=(0,),
    ),
    "ltcc-general": Preset(f"{_LTCC}, standard setting; {_CAL}, tools/eval_metrics.py, evaluate"),
    "ltcc-cloth-changing": Preset(
        f"{_LTCC}; {_CAL}, tools/eval_metrics.py, evaluate_with_clothes, mode CC: drops the query's pid under its "
        "camera, and in its clothes",
        exclude=("same-clothes",),
    ),
    "vc-clothes-general": Preset(f"{_VC}, all cameras; {_CAL}, tools/eval_metrics.py, evaluate"),
    "vc-clothes-same-clothes": Preset(
        f"{_VC}; {_CAL}, data/datasets/vcclothes.py, mode sc: cameras 2 and 3, which are camids 1 and 2",
        query_cameras=(1, 2), gallery_cameras=(1, 2),
    ),
    "vc-clothes-cloth-changing": Preset(
        f"{_VC}; {_CAL}, data/datasets/vcclothes.py, mode cc: cameras 3 and 4, which are camids 2 and 3",
        query_cameras=(2, 3), gallery_cameras=(2, 3),
    ),
    "sysu-mm01-all-single": Preset(f"{_SYSU}; mode all_search, number_shot 1; {_CAMIDS}", **_ALL),
    "sysu-mm01-all-multi": Preset(f"{_SYSU}; mode all_search, number_shot 10; {_CAMIDS}", **(_ALL | {"shots": 10})),
    "sysu-mm01-indoor-single": Preset(f"{_SYSU}; mode indoor_search, number_shot 1; {_CAMIDS}", **_INDOOR),
    "sysu-mm01-indoor-multi": Preset(
        f"{_SYSU}; mode indoor_search, number_shot 10; {_CAMIDS}", **(_INDOOR | {"shots": 10})
    ),
    "regdb": Preset(
        "Ye et al., Hierarchical Discriminative Learning for Visible Thermal Person Re-identification, AAAI 2018; "
        "mangye16/Cross-Modal-Re-ID-baseline, eval_metrics.py, eval_regdb, commit e817a26; papers report the mean of "
        "ten splits, which are ten tasks here",
        cross="modality", camera="none",
    ),
    "vehicleid": Preset(
        "Liu et al., Deep Relative Distance Learning, CVPR 2016: "
        "one drawn image of each vehicle in the gallery, all others are queries, repeated; the draw is that of "
        "JDAI-CV/fast-reid, fastreid/data/datasets/vehicleid.py, commit c9bc3ce, which draws once; here ten times",
        camera="none", **_SHOTS,
    ),
    "mars": Preset(
        f"{_MARS}, utils/evaluation_mars.m and compute_AP.m, which divides by all queries; mean of the features of a "
        "tracklet, which is commented out in utils/process_box_feat.m",
        **_TRACKLETS,
    ),
    "mars-max": Preset(
        f"{_MARS}, utils/evaluation_mars.m, compute_AP.m and process_box_feat.m as released: maximum of the features",
        **(_TRACKLETS | {"pool": "max"}),
    ),
}  # fmt: skip
