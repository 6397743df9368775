"""Stand-ins with bounding_box_train, query and bounding_box_test: Market-1501, DukeMTMC-reID, PersonX, user folders;
and with a folder for each person."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from reidbench.data import make_stand_in
from reidbench.data.layouts.folders import MARKET_FOLDERS

from ..market import BOXES
from ..market import DISTRACTORS as MORE_DISTRACTORS
from ..params import CheckedParams, Market1501Params, MarketFolderParams, PersonFoldersParams, WithdrawnParams
from ..rendered import PERSONX
from .figures import Shown, Size, write
from .people import DISTRACTORS, JUNK, TEST, TRAIN, Shot, is_query, shots

MARKET_SIZE = (128, 64)
PERSONX_SIZE = (256, 128)
Name = Callable[[Shot], str]


def market1501(params: Market1501Params, folder: Path) -> Path:
    """Write Market-1501-v15.09.15: 12 + 6 persons, six cameras, 4 junk boxes, 6 distractors; 24 more with
    `distractors`; with `queries: multi` three hand-drawn boxes per person and camera, including the query."""

    def fill(top: Path) -> None:
        _parts(top, 6, 2, _market_name, MARKET_SIZE)
        for part, pid, many in (("gallery", -1, len(JUNK)), ("gallery", 0, len(DISTRACTORS))):
            _strangers(top / MARKET_FOLDERS[part], pid, many)
        if params.distractors:
            _strangers(top / MORE_DISTRACTORS, 0, 24)
        if params.queries == "multi":
            for shot in shots([*TRAIN, *TEST], 6, 3):
                write(top, f"{BOXES}/{_market_name(shot)}", shot.person, shot.camera, MARKET_SIZE)

    told = params.model_dump(mode="json", exclude=set() if params.queries == "multi" else {"queries"})
    return make_stand_in(folder / "Market-1501-v15.09.15", "market1501", told, fill)


def market_folder(params: MarketFolderParams, folder: Path) -> Path:
    """Write a folder like Market-1501's; names like 0001_1.jpg if the params say that names have no camera."""

    def fill(top: Path) -> None:
        _parts(top, 6, 2, _bare_name if params.cameras == "none" else _market_name, MARKET_SIZE)

    return make_stand_in(folder / "market-folder", "market-folder", params.model_dump(mode="json"), fill)


def person_folders(params: PersonFoldersParams, folder: Path) -> Path:
    """Write Market-1501 as prepare.py does: val has the first image of each person, train the rest, train_all both."""
    name = _bare_name if params.cameras == "none" else _market_name

    def fill(top: Path) -> None:
        for shot in shots(TRAIN, 6, 2):
            for place in ("train_all", "val" if shot.camera == shot.number == 0 else "train"):
                write(top / place, _in_folder(shot, name), shot.person, shot.camera, MARKET_SIZE)
        for shot in shots(TEST, 6, 2):
            place = "query" if is_query(shot, 6) else "gallery"
            write(top / place, _in_folder(shot, name), shot.person, shot.camera, MARKET_SIZE)

    return make_stand_in(folder / "pytorch", "person-folders", params.model_dump(mode="json"), fill)


def _in_folder(shot: Shot, name: Name) -> str:
    return f"{shot.person:04d}/{name(shot)}"


def _duke(name: str, release: str, shown: Shown, params: WithdrawnParams, folder: Path) -> Path:
    """Write 12 + 6 persons, eight cameras, and 4 gallery persons without a query."""

    def fill(top: Path) -> None:
        _parts(top, 8, 2, _duke_name, None, shown)
        for shot in shots(range(TEST.stop, TEST.stop + 4), 1, 2):
            write(top, f"bounding_box_test/{_duke_name(shot)}", shot.person, shot.camera)

    return make_stand_in(folder / release, name, params.model_dump(mode="json"), fill)


dukemtmc_reid = partial(_duke, "dukemtmc-reid", "DukeMTMC-reID", "whole")
occluded_duke = partial(_duke, "occluded-duke", "Occluded_Duke", "behind a bar")


def personx(params: CheckedParams, folder: Path) -> Path:
    """Write the subset of ViSDA-2020: 12 + 6 persons, and its six cameras under their PersonX numbers."""

    def name(shot: Shot) -> str:
        return f"{shot.person:04d}_c{PERSONX.cameras[shot.camera]}s1_{shot.number:06d}.jpg"

    def fill(top: Path) -> None:
        _parts(top, len(PERSONX.cameras), 2, name, PERSONX_SIZE)

    return make_stand_in(folder / "subset1", "personx", params.model_dump(mode="json"), fill)


def _parts(top: Path, cameras: int, each: int, name: Name, size: Size | None, queries: Shown = "whole") -> None:
    """Write the three folders, with one query for each test person, shown as `queries`."""
    for shot in shots(TRAIN, cameras, each):
        write(top, f"bounding_box_train/{name(shot)}", shot.person, shot.camera, size)
    for shot in shots(TEST, cameras, each):
        asked = is_query(shot, cameras)
        place = MARKET_FOLDERS["query" if asked else "gallery"]
        write(top, f"{place}/{name(shot)}", shot.person, shot.camera, size, shown=queries if asked else "whole")


def _bare_name(shot: Shot) -> str:
    return f"{shot.person:04d}_{10 * shot.camera + shot.number:02d}.jpg"


def _market_name(shot: Shot) -> str:
    return f"{shot.person:04d}_c{shot.camera + 1}s1_{100 * shot.person + shot.camera:06d}_{shot.number:02d}.jpg"


def _duke_name(shot: Shot) -> str:
    return f"{shot.person:04d}_c{shot.camera + 1}_f{1000 * shot.person + shot.number:07d}.jpg"


def _strangers(folder: Path, pid: int, many: int) -> None:
    """Write boxes of persons without a query: junk (-1) or distractors (0000)."""
    for number in range(many):
        name = f"{'-1' if pid < 0 else '0000'}_c{number % 6 + 1}s1_{number:06d}_01.jpg"
        write(folder, name, (folder.name, pid, number), number % 6, MARKET_SIZE)
