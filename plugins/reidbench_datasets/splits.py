"""Ten fixed splits for the small sets, the same for every user: files in `splits/`, and the rule that made them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reidbench.errors import DataError

FOLDER = Path(__file__).parent / "splits"
PERSONS = {"viper": 632, "grid": 250, "prid2011": 200, "cuhk01": 971, "cuhk01-871": 971}
TRAIN = {"cuhk01-871": 871}  # of the others half
SPLITS = 10


def training_persons(name: str, split: int, persons: int) -> list[int]:
    """Which of the persons, counted from 0 in the order of their numbers, are for training.

    Raises DataError when the copy has not as many persons as the split file is for.
    """
    if persons != PERSONS[name]:
        raise DataError(f"{name}: {persons} persons in both cameras; the fixed splits are for {PERSONS[name]}")
    lines = [line for line in (FOLDER / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]
    return [int(word) for word in lines[split].split()]


def drawn(name: str, split: int) -> list[int]:
    """How the files were made: persons in the order of a hash, the first of them, sorted.

    A hash is the same on every machine and in every version of every library, which no random generator promises.
    """
    order = sorted(range(PERSONS[name]), key=lambda n: hashlib.sha256(f"{name} {split} {n}".encode()).digest())
    return sorted(order[: TRAIN.get(name, PERSONS[name] // 2)])


def file_text(name: str) -> str:
    """The whole split file of a set."""
    head = f"# {name}: persons for training, from 0 in the order of their numbers; a line is a split\n"
    return head + "".join(" ".join(map(str, drawn(name, split))) + "\n" for split in range(SPLITS))
