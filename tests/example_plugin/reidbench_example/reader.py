"""example-people: ROOT/train/12/c2_7.png is image 7 of person 12 from camera 2."""

from __future__ import annotations

import re
from pathlib import Path

from reidbench import Dataset, Params, Sample, Split
from reidbench.data import walk_images
from reidbench.errors import DataError
from reidbench.testing import Example, write_market_folder

NAME = re.compile(r"([1-9][0-9]*)/c([1-9][0-9]*)_[0-9]+\.\w+")  # \d would also match digits of other scripts


def read(params: Params, root: Path, cache: Path) -> Dataset:
    """Read the three parts. Notes report other files. Raises DataError if there are no images."""
    parts, strays = {}, []
    for part in ("train", "query", "gallery"):
        samples = []
        for path in walk_images(root / part):  # sorted, with every supported extension
            found = NAME.fullmatch(path)
            if found is None:
                strays.append(path)
                continue
            samples.append(Sample(f"{part}/{path}", int(found[1]), int(found[2]) - 1))
        parts[part] = Split(root, samples)
    if not any(len(split) for split in parts.values()):
        raise DataError(f"{root}: no images named like train/12/c2_7.png")
    notes = (f"{len(strays)} files ignored, first {strays[0]}",) if strays else ()
    return Dataset("example-people", root, parts["train"], parts["query"], parts["gallery"], notes=notes)


def example(folder: Path) -> Example:
    """Write a tiny data set in this layout, for `reidbench check`."""
    market = write_market_folder(folder / "market")
    for part, name in (("train", "bounding_box_train"), ("query", "query"), ("gallery", "bounding_box_test")):
        for path in (market / name).iterdir():
            pid, camera, number, _ = path.stem.split("_")
            place = folder / "people" / part / str(int(pid)) / f"{camera.partition('s')[0]}_{int(number)}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
    return Example(root=folder / "people")
