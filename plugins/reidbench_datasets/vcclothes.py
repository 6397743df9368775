"""VC-Clothes (Wan et al., CVPRW 2020): 512 rendered persons, four cameras, changing clothes.

0001-02-03-04.jpg is person 1 in camera 2 in outfit 3, image 4. As in the code of CAL (CVPR 2022), the outfit's number
is used directly: equal numbers of a person are one outfit in all cameras. According to the paper cameras 2 and 3 see a
person in the same clothes, and 3 and 4 in different ones; a note reports numbers that contradict it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reidbench.data import Dataset, FileNameRule, find_overlap, need_folder, read_market_folder

from .common import fingerprint_parts, finish, place
from .params import CheckedParams

INSIDE = ("VC-Clothes", "VC_Clothes", "VC_clothes")
FOLDERS = {"train": "train", "query": "query", "gallery": "gallery"}
RULE = FileNameRule(r"(?P<pid>(?!0000)[0-9]{4})-(?P<cam>0?[1-4])-(?P<clothes>[0-9]{1,2})-[0-9]+", highest_pid=512)
EXAMPLE = "0001-02-03-04.jpg"
SAME, OTHER = (1, 2), (2, 3)  # cameras that see a person in the same clothes, and in different clothes


def open_vc_clothes(params: CheckedParams, root: Path, cache: Path) -> Dataset:
    """Read train, query and gallery."""
    root = place(root, cache, *INSIDE)
    dataset = find_overlap(read_market_folder(root, folders=FOLDERS, rule=RULE, example=EXAMPLE))
    return finish(dataset.with_notes(*_contradictions(dataset)), params, "vc-clothes")


def _contradictions(dataset: Dataset) -> list[str]:
    """Return sentences about persons whose outfit numbers contradict the paper's description of the cameras."""
    worn: dict[tuple[int, int], set[int]] = {}
    for split in dataset.parts().values():
        assert split.clothes is not None
        for pid, camid, outfit in zip(*map(np.ndarray.tolist, (split.pids, split.camids, split.clothes)), strict=True):
            worn.setdefault((pid, camid), set()).add(outfit)
    pids = sorted({pid for pid, _ in worn})
    differ = [pid for pid in pids if _both(worn, pid, SAME) and not worn[pid, 1] & worn[pid, 2]]
    agree = [pid for pid in pids if _both(worn, pid, OTHER) and worn[pid, 2] & worn[pid, 3]]
    said = ((differ, "no outfit in common in cameras 2 and 3", "the same clothes"),
            (agree, "an outfit in common in cameras 3 and 4", "different clothes"))  # fmt: skip
    return [
        f"{len(found)} persons have {what}, but the paper says {clothes} (first: pid {found[0]}): "
        "results that depend on clothes may be wrong"
        for found, what, clothes in said
        if found
    ]


def _both(worn: dict[tuple[int, int], set[int]], pid: int, cameras: tuple[int, int]) -> bool:
    return all((pid, camid) in worn for camid in cameras)


def _check_layout(root: Path) -> None:
    for folder in FOLDERS.values():
        need_folder(root / folder)


def fingerprint(params: CheckedParams, root: Path) -> str:
    """Return names and contents of the three folders. Raises DataError if one is missing."""
    return fingerprint_parts(params, root, *FOLDERS.values(), inside=INSIDE, check=_check_layout)
