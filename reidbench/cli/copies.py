"""Copies of data sets on disk: render one, or compare one with the published counts, and print the findings."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from reidbench.components import Component, Params, load_attribute
from reidbench.data import Dataset, Report, examine, read_contents, walk_images
from reidbench.data.check import compare_names, image_names
from reidbench.data.fingerprints.contents import hashing_everything
from reidbench.data.fingerprints.memory import recall_names, remember_names
from reidbench.data.overlap import find_overlaps, image_numbers
from reidbench.data.standin import told_as_stand_in
from reidbench.data.walk import first_names
from reidbench.errors import ReidbenchError
from reidbench.files.cache import cache_folder
from reidbench.files.text import read_lines
from reidbench.files.variables import UnsetVariable, expanded
from reidbench.matrix.reading.yamlfile import read_value, shown
from reidbench.registry import plugins
from reidbench.registry.fieldtypes import misfits

from .options import at_home


def make(values: dict[str, Any], out: Path) -> None:
    """Render the first data set that takes these parameters into a folder. Raises ReidbenchError if none does."""
    component, params = _rendered(values)
    dataset = _open(component, params, out.absolute(), cache_folder(), "rendering")
    for part, split in dataset.parts().items():
        print(f"{part}: {len(split)} images, {split.num_pids} identities, {split.num_cameras} cameras")
    for note in dataset.notes:
        print(f"note: {note}")


def check(name: str, root: Path, settings: list[str], against: Path | None, *, full: bool) -> bool:
    """Compare a copy with the published counts and print the differences. Returns whether no error was found."""
    component = plugins.load().get("dataset", name)
    params = _params(component, {**_defaults(component), **_settings(settings)})
    root, cache = _rooted(root).absolute(), cache_folder()
    dataset = _open(component, params, root, cache)
    report = examine(dataset)
    sound = _print_report(report)
    sound &= _print_names(report, cache, against)
    if component.fingerprint:
        with hashing_everything() if full else nullcontext():
            print(f"fingerprint (names and contents): {load_attribute(component.fingerprint)(params, root)}")
    sound &= _print_overlap(dataset, cache)
    if full:
        sound &= _print_contents(dataset)
    wrong = "not the published set" if report.dataset.published else "see the problems above"
    print(f"{name}: {'no problems found' if sound else wrong}")
    return sound


def _rooted(root: Path) -> Path:
    """Expand a root as a matrix file does. Raises ReidbenchError for a variable that is not set."""
    try:
        return at_home(Path(expanded(str(root))))
    except UnsetVariable as error:
        raise ReidbenchError(f"{shown(str(root))}: {error}; export {error.name}=FOLDER") from None


def _rendered(values: dict[str, Any]) -> tuple[Component, Params]:
    """Return the first data set that takes these parameters. Raises ReidbenchError if none does."""
    refused = []
    for (kind, _), component in plugins.load().components.items():
        if kind == "dataset" and values.keys() <= component.params.model_fields.keys():
            try:
                return component, _params(component, values)
            except ReidbenchError as error:
                refused.append(error)
    missing = ReidbenchError(f"no loaded plugin has a data set with the parameters {', '.join(values)}")
    raise next(iter(refused), missing)


def _open(component: Component, params: Params, root: Path, cache: Path, words: str = "reading") -> Dataset:
    target = component.load()
    with bar(words) as progress:
        more = {"progress": progress} if "progress" in inspect.signature(target).parameters else {}
        dataset: Dataset = target(params, root, cache, **more)
    return told_as_stand_in(dataset, root)


def _print_report(report: Report) -> bool:
    """Print counts, problems and causes. Returns whether the copy is whole."""
    from reidbench.report.formats.tables import table

    print(f"{report.dataset.name} in {report.dataset.root}")
    print(table(report.titles(), report.table()))
    if report.dataset.published is not None:
        print(f"published: {report.dataset.published.source}; ? = unverified")
    else:
        print("published: no counts to compare with")
    for problem in report.problems:
        print(f"problem: {problem}")
    if report.lacking or report.excess:
        print(f"total: {report.lacking} images missing, {report.excess} unexpected files")
    for remark in report.remarks:
        print(f"unverified: {remark}")
    for note in report.dataset.notes:
        if note not in report.problems:
            print(f"note: {note}")
    for cause in report.causes:
        print(f"likely cause: {cause}")
    return report.whole


def _print_names(report: Report, cache: Path, against: Path | None) -> bool:
    """Print missing and unexpected files if a whole copy is known, from `against` or an earlier check.

    Returns whether there are none.
    """
    dataset = report.dataset
    certain = {part for part, counts in (dataset.published.parts if dataset.published else {}).items()
               if counts.images is not None and "images" not in counts.unverified}  # fmt: skip
    if against is not None:
        names: list[str] | None = _names_of(_same_level(against, dataset), set(map(_top, image_names(dataset))))
    else:
        if report.whole and certain >= set(dataset.parts()):
            remember_names(cache, _variant(dataset), image_names(dataset))
        names = recall_names(cache, _variant(dataset)) if dataset.published else None
    if names is None:
        if not report.whole and dataset.published:
            print("to list the missing files, check a whole copy once, or use --against COPY")
        return True
    missing, strange = compare_names(dataset, names)
    whole = "the given copy" if against is not None else "the whole copy checked before"
    for words, files in (("missing", missing), ("unexpected", strange)):
        if files:
            print(f"problem: {len(files)} files {words}, compared with {whole}: {first_names(files)}")
    return not (missing or strange)


def _variant(dataset: Dataset) -> str:
    return "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in dataset.name)


def _top(path: str) -> str:
    """Return the first folder of a relative path, "" for a file in the root itself."""
    return path.partition("/")[0] if "/" in path else ""


def _same_level(given: Path, dataset: Dataset) -> Path:
    """Return the folder of a given copy that corresponds to the data set's, which may be inside the checked folder."""
    inside = given / dataset.root.name
    return inside if inside.is_dir() and not given.samefile(dataset.root) else given


def _names_of(given: Path, folders: Collection[str]) -> list[str]:
    """Return the lines of a list, or the images in these folders of a copy; others, such as gt_bbox, are skipped."""
    if given.is_dir():
        return [path for path in walk_images(given) if _top(path) in folders]
    return [line.strip() for line in read_lines(given, "list of paths") if line.strip()]


def _print_overlap(dataset: Dataset, cache: Path) -> bool:
    """Print duplicate images. Returns whether no image is labelled with two persons."""
    overlap = find_overlaps(dataset, image_numbers(dataset, cache))
    for word in ("problem", "note", "remark"):
        for sentence in getattr(overlap, f"{word}s"):
            print(f"{word}: {sentence}")
    return not overlap.problems


def _print_contents(dataset: Dataset) -> bool:
    """Print the fingerprint of all images and those that cannot be decoded. Returns whether all can be decoded."""
    with bar("decoding") as progress:
        contents = read_contents(dataset, progress)
    print(f"fingerprint (contents): {contents.fingerprint}")
    print(f"images that cannot be decoded: {len(contents.unreadable)}")
    for line in contents.unreadable:
        print(f"problem: {line}")
    return not contents.unreadable


def _defaults(component: Component) -> dict[str, Any]:
    """Turn the reader's own check off, since `check` compares the counts itself."""
    return {"check": "off"} if "check" in component.params.model_fields else {}


def _settings(given: list[str]) -> dict[str, Any]:
    values = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise ReidbenchError(f"--set {text}: expected KEY=VALUE")
        values[key] = read_value(value, f"--set {key}")
    return values


def _params(component: Component, values: dict[str, Any]) -> Params:
    for place, sentence, value in misfits(component.params, values):
        raise ReidbenchError(f"{'.'.join(map(str, place))}: {sentence}, not {shown(value)}")
    try:
        return component.params(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise ReidbenchError(f"{name}: {problem['msg'].lower()}, not {problem['input']!r}") from None


@contextmanager
def bar(words: str) -> Iterator[Any]:
    """Yield `progress(done, total)`, which updates a progress bar on a terminal and does nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
