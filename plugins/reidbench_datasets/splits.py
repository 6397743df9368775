"""Ten fixed splits for the small data sets, the same for all users: files in `splits/`, and the rule that made them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reidbench.errors import DataError

FOLDER = Path(__file__).parent / "splits"
PERSONS = {"viper": 632, "grid": 250, "prid2011": 200, "cuhk01": 971, "cuhk01-871": 971}
TRAIN = {"cuhk01-871": 871}  # half of the persons in the other data sets
SPLITS = 10


def training_persons(name: str, split: int, persons: int) -> list[int]:
    """Return the training persons, as indices in the order of the persons' numbers.

    Raises DataError if the copy does not have the number of persons of the split file.
    """
    if persons != PERSONS[name]:
        raise DataError(f"{name}: {persons} persons in both cameras, but the fixed splits are for {PERSONS[name]}")
    lines = [line for line in (FOLDER / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]
    return [int(word) for word in lines[split].split()]


def drawn(name: str, split: int) -> list[int]:
    """Return the split as the files were made: persons in the order of a hash, the first of them, sorted.

    A hash is the same on every machine and in every library version, which random generators do not guarantee.
    """
    order = sorted(range(PERSONS[name]), key=lambda n: hashlib.sha256(f"{name} {split} {n}".encode()).digest())
    return sorted(order[: TRAIN.get(name, PERSONS[name] // 2)])


def file_text(name: str) -> str:
    """Return the content of a data set's split file."""
    head = f"# {name}: persons for training, from 0 in the order of their numbers; a line is a split\n"
    return head + "".join(" ".join(map(str, drawn(name, split))) + "\n" for split in range(SPLITS))
