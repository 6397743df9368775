"""Compare a copy of a data set with its published counts: name the files that differ and the likely cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reidbench.errors import DataError

from .dataset import Dataset
from .fingerprints.fingerprint import fingerprint_files
from .morelabels import MoreLabels
from .pictures.images import decode_image
from .published import MORE_WORDS, WORDS, Counts, Found, count, count_cameras
from .split import Split
from .walk import first_names

Mode = Literal["off", "warn", "strict"]
STRANGE = "files that do not belong to the set"
ABSENT = "images named in the lists are missing"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CountDifference:
    """A count that differs from the published one; `certain` unless the published count is unverified."""

    part: str
    what: str
    found: int
    published: int
    certain: bool

    def __str__(self) -> str:
        doubt = "" if self.certain else " (unverified)"
        change = self.found - self.published
        text = f"{self.part}: {self.found} {self.what}, published: {self.published}{doubt}"
        counted = self.what.endswith("images")
        return text + (f": {abs(change)} {'missing' if change < 0 else 'too many'}" if counted else "")


@dataclass(frozen=True)
class Report:
    """Comparison of a data set with its published counts.

    `problems` are sentences about certain errors, `remarks` about possible ones, and `causes` are likely reasons.
    `found` and the rows of `table` are per split.
    """

    dataset: Dataset
    found: Mapping[str, Found]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    causes: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    @property
    def lacking(self) -> int:
        """Number of images missing from the published count, over all splits."""
        return sum(max(n, 0) for n in self._short().values())

    @property
    def excess(self) -> int:
        """Number of strays plus images in excess of the published count."""
        more = sum(max(-n, 0) for n in self._short().values())
        return more + sum(map(len, self.dataset.strays.values()))

    def _short(self) -> dict[str, int]:
        parts = self.dataset.published.parts if self.dataset.published else {}
        sure = {part: n.images for part, n in parts.items() if n.images is not None and "images" not in n.unverified}
        return {part: images - self.found[part].images for part, images in sure.items() if part in self.found}

    def titles(self) -> list[str]:
        """Column titles of `table`. Outfits, tracklets and images per modality are included only if the set has any."""
        return ["split", *(f"{what} / published" for what in self._counted()), "junk", "distractors"]

    def table(self) -> list[list[str]]:
        """One row per split: found / published for images, identities, cameras and more, then junk and distractors.

        A split without labels has "-" for identities and distractors.
        """
        rows = self.found.items()
        return [[part, *self._cells(part), str(n.junk), str(n.distractors) if n.labelled else "-"] for part, n in rows]

    def _counted(self) -> list[str]:
        expected = self.dataset.published.parts.values() if self.dataset.published else ()
        published = [what for counts in expected for what in counts.numbers()]
        modalities = [f"{word} images" for found in self.found.values() for word in found.modality]
        more = [word for word in MORE_WORDS if word in published or any(n.number(word) for n in self.found.values())]
        by_modality = {what for what in (*published, *modalities) if what.endswith(" images")}
        return [*WORDS, *more, *sorted(by_modality, reverse=True)]  # visible before infrared

    def _cells(self, part: str) -> list[str]:
        published = self.dataset.published
        counts = published.parts.get(part, Counts()) if published else Counts()
        numbers, cells = counts.numbers(), []
        for what in self._counted():
            expected, word = numbers.get(what, ("-", ""))
            doubt = "?" if word in counts.unverified else ""
            known = what != "identities" or self.found[part].labelled
            cells.append(f"{self.found[part].number(what) if known else '-'} / {expected}{doubt}")
        return cells


def examine(dataset: Dataset) -> Report:
    """Compare the counts of all splits with the published ones."""
    found = {part: count(split) for part, split in dataset.parts().items()}
    if dataset.published and "all" in dataset.published.parts:
        found["all"] = count(_union(dataset))
    if dataset.published and "validation" in dataset.published.parts and dataset.validation is not None:
        found["validation"] = count(dataset.validation)
    differences = _differences(dataset, found)
    problems = [str(difference) for difference in differences if difference.certain]
    remarks = [str(difference) for difference in differences if not difference.certain]
    for part, files in dataset.absent.items():
        problems.append(f"{part}: {len(files)} {ABSENT}: {first_names(files)}")
    for part, files in dataset.strays.items():
        problems.append(f"{part}: {len(files)} {STRANGE}: {first_names(files)}")
    problems += [*_short_cameras(dataset, differences), *dataset.faults]
    causes = _causes(dataset, found, differences)
    return Report(dataset, found, tuple(problems), tuple(remarks), tuple(causes))


def judge(dataset: Dataset, mode: Mode) -> Dataset:
    """Return the data set with a note per problem (`warn`), or raise DataError with the first problems (`strict`).

    A difference from an unverified count appears only in a Report: it adds no note and raises nothing.
    """
    if mode == "off":
        return dataset
    report = examine(dataset)
    if not report.problems:
        return dataset
    why = f" ({'; '.join(report.causes)})" if report.causes else ""
    if mode == "strict":
        files_first = sorted(report.problems, key=lambda problem: problem in _unnoted(report))
        raise DataError(f"{dataset.root}: not the published {dataset.name}: {'; '.join(files_first[:6])}{why}")
    told = tuple(f"not the published {dataset.name}: {problem}" for problem in _unnoted(report))
    return dataset.with_notes(*told, *(f"likely cause: {cause}" for cause in report.causes if told))


def _union(dataset: Dataset) -> Split:
    parts = list(dataset.parts().values())
    pids, camids = (np.concatenate([getattr(split, name) for split in parts]) for name in ("pids", "camids"))
    labelled = any(split.more.known for split in parts)
    more = MoreLabels.of_rows(row for split in parts if labelled for row in split.more.rows(len(split)))
    return Split.of_columns(dataset.root, [path for split in parts for path in split.paths], pids, camids, more=more)


def _unnoted(report: Report) -> list[str]:
    """Problems that readers have not noted already. Readers note strays, absent files and contradictory labels."""
    known = (STRANGE, ABSENT, *report.dataset.faults)
    return [problem for problem in report.problems if not any(words in problem for words in known)]


def _differences(dataset: Dataset, found: Mapping[str, Found]) -> list[CountDifference]:
    published = dataset.published
    differences = []
    for part, counts in (published.parts if published else {}).items():
        have = found.get(part) or Found()
        for what, (expected, word) in counts.numbers().items():
            if (got := have.number(what)) != expected:
                differences.append(CountDifference(part, what, got, expected, word not in counts.unverified))
    return differences


def _short_cameras(dataset: Dataset, differences: Sequence[CountDifference]) -> list[str]:
    """Differences in the number of images per camera, where the published counts include cameras."""
    sentences = []
    for part in dict.fromkeys(d.part for d in differences if d.what == "images" and d.certain):
        expected = dataset.published.per_camera.get(part) if dataset.published else None
        split = dataset.parts().get(part)
        if expected is None or split is None:
            continue
        found = count_cameras(split, len(expected))
        pairs = enumerate(zip(found, expected, strict=True), start=1)
        changes = [f"camera {n} {have - want:+d}" for n, (have, want) in pairs if have != want]
        sentences += [f"{part}, by camera (without junk): {', '.join(changes)}"] if changes else []
    return sentences


def _causes(dataset: Dataset, found: Mapping[str, Found], differences: Sequence[CountDifference]) -> list[str]:
    causes = []
    for sentence, counts in dataset.published.alternatives if dataset.published else ():
        wrong = {d.part for d in differences if d.what == "images"}
        if wrong & set(counts) and all(part in found and found[part].images == n for part, n in counts.items()):
            causes.append(sentence)
    if causes:
        return causes
    images = [d for d in differences if d.what == "images" and d.certain]
    if any(d.found < d.published for d in images) or dataset.absent:
        causes.append("an interrupted copy, download or extraction: extract these files from the archive again")
    if dataset.strays or any(d.found > d.published for d in images):
        causes.append("copies, renamed files, or files of another version of the set are among the images")
    return causes


@dataclass(frozen=True)
class Contents:
    """Result of reading every image: a fingerprint of the contents, and why each unreadable image failed to decode."""

    fingerprint: str
    unreadable: tuple[str, ...]


def read_contents(dataset: Dataset, progress: Progress = lambda done, total: None) -> Contents:
    """Read and decode every image once, also those of the validation part, which are not in the fingerprint.

    An image in several splits is read once.
    """
    from hashlib import sha256

    rows: dict[str, str] = {}
    unreadable = []
    parts = list(dataset.parts().values())
    splits = [*parts, *([] if dataset.validation is None else [dataset.validation])]
    total, done = sum(map(len, splits)), 0
    for split in splits:
        for index, path in enumerate(split.paths):
            done += 1
            if path in rows:
                continue
            try:
                data = split._encoded(index)[1]
                rows[path] = sha256(data).hexdigest()
                decode_image(data, path)
            except DataError as error:
                rows.setdefault(path, "")
                unreadable.append(str(error))
            if done % 100 == 0:
                progress(done, total)
    progress(total, total)
    identifying = {path: rows[path] for split in parts for path in split.paths}
    return Contents(fingerprint_files(identifying.items()), tuple(unreadable))


def image_names(dataset: Dataset) -> set[str]:
    """Paths of the images of all splits, including the validation part."""
    splits = [*dataset.parts().values(), *([dataset.validation] if dataset.validation is not None else [])]
    return {path for split in splits for path in split.paths}


def compare_names(dataset: Dataset, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(missing, strange): paths of a complete copy that are neither images nor strays here, and the reverse."""
    have = image_names(dataset)
    have |= {path for files in dataset.strays.values() for path in files}
    whole = set(names)
    return sorted(whole - have), sorted(have - whole)
