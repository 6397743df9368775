"""Stand-in for MARS: tracklets of a few frames, and the authors' lists of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidbench.data import make_stand_in

from ..mars import CAMERAS, FOLDERS, NAMES, QUERIES, TRACKS
from ..modality_params import MarsParams
from .figures import write
from .listed import save_mat
from .people import TEST, TRAIN

SIZE = (256, 128)
STRANGERS = 2  # number of junk tracklets, and of distractor tracklets


@dataclass(frozen=True)
class _Tracklet:
    """A tracklet: person, camera from 0, number among the person's tracklets from 1, and number of frames."""

    pid: int
    camera: int
    number: int
    frames: int

    @property
    def names(self) -> list[str]:
        """Return the names of its images: person, camera, tracklet and frame."""
        pid = "00-1" if self.pid < 0 else f"{self.pid:04d}"
        start = f"{pid}C{self.camera + 1}T{self.number:04d}F"
        return [f"{start}{frame + 1:03d}.jpg" for frame in range(self.frames)]


def mars(params: MarsParams, folder: Path) -> Path:
    """Write 12 + 6 persons, a tracklet of 3 to 5 frames from each of six cameras and one more of each test person; two
    junk and two distractor tracklets; two queries of each test person."""

    def fill(top: Path) -> None:
        train = list(_tracklets(TRAIN, 0))
        test = [_Tracklet(pid, number, number + 1, 3) for pid in (-1, 0) for number in range(STRANGERS)]
        test += _tracklets(TEST, 1)
        (top / "info").mkdir()
        for part, tracklets in (("train", train), ("test", test)):
            _write(top, part, tracklets)
        asked = [at for at, one in enumerate(test, start=1) if _is_query(one)]
        save_mat(top / QUERIES[0], {QUERIES[1]: np.array([asked], dtype=np.uint16)})

    return make_stand_in(folder / "MARS", "mars", params.model_dump(mode="json"), fill)


def _tracklets(persons: Sequence[int], more: int) -> Iterator[_Tracklet]:
    for pid in persons:
        cameras = [*range(CAMERAS), *[pid % CAMERAS] * more]
        for number, camera in enumerate(cameras, start=1):
            yield _Tracklet(pid, camera, number, 3 + (pid + number) % 3)


def _is_query(one: _Tracklet) -> bool:
    """Return whether it is the first tracklet of a person from two of the cameras."""
    return one.pid > 0 and one.number <= CAMERAS and one.camera in (one.pid % CAMERAS, (one.pid + 3) % CAMERAS)


def _write(top: Path, part: str, tracklets: Sequence[_Tracklet]) -> None:
    """Write the images, their list and the .mat of the tracklets."""
    names = [name for one in tracklets for name in one.names]
    for one in tracklets:
        who = one.pid if one.pid > 0 else ("stranger", one.pid, one.number)
        for name in one.names:
            write(top, f"{FOLDERS[part]}/{name[:4]}/{name}", who, one.camera, SIZE)
    (top / NAMES[part]).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    last = np.cumsum([one.frames for one in tracklets])
    rows = [[end - one.frames + 1, end, one.pid, one.camera + 1] for one, end in zip(tracklets, last, strict=True)]
    file, name = TRACKS[part]
    save_mat(top / file, {name: np.array(rows, dtype=np.int32)})
