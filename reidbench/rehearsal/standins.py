"""Stand-ins for data, files and folders of a matrix file, kept separate from real ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reidbench.components import load_attribute
from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import Benchmark, DataSource, Recipe, Task
from reidbench.registry.plugins import describe

ROLES = ("source", "target", "pool", "auxiliary")
STORE, FILES = "store", "files"  # reserved names in a rehearsal's folder


class NoStandIn(ReidbenchError):
    """Raised if there is no stand-in for a data set, file or folder."""


@dataclass
class Cast:
    """A benchmark with its stand-ins, and the reasons for removed tasks and methods.

    `roots` are the created roots by name under `data`, and `files` the first stand-in for each missing path.
    """

    benchmark: Benchmark
    roots: dict[str, Path] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # task or method -> why

    def refuse(self, tasks: dict[str, str], methods: dict[str, str]) -> None:
        """Remove tasks and methods, given with reasons, and ensembles that contain one of the methods."""
        old = self.benchmark
        parts = {recipe.name: [name for name in recipe.ensemble if name in methods] for recipe in old.methods}
        methods |= {name: f"requires {gone[0]}, which cannot be rehearsed" for name, gone in parts.items() if gone}
        self.benchmark = replace(
            old,
            tasks=tuple(task for task in old.tasks if task.name not in tasks),
            methods=tuple(recipe for recipe in old.methods if recipe.name not in methods),
        )
        self.refused |= {f"task {name}": why for name, why in tasks.items()}
        self.refused |= {f"method {name}": why for name, why in methods.items()}


def stand_in_data(cast: Cast, folder: Path) -> None:
    """Create a root below `folder` for each data set that requires one, and remove tasks without stand-ins."""
    lacking = {}
    used = {name for task in cast.benchmark.tasks for name in names_of(task)}
    for name, source in cast.benchmark.data.items():
        if name in used and has_root(source):
            try:
                cast.roots[name] = _made_root(source, own_folder(folder, name))
            except NoStandIn as error:
                lacking[name] = str(error)
    data = {name: replace(one, root=cast.roots.get(name, one.root)) for name, one in cast.benchmark.data.items()}
    cast.benchmark = replace(cast.benchmark, data=data)
    why = {task.name: [lacking[name] for name in names_of(task) if name in lacking] for task in cast.benchmark.tasks}
    cast.refuse({task: "; ".join(reasons) for task, reasons in why.items() if reasons}, {})


def has_root(source: DataSource) -> bool:
    """Return whether a data set is read from a user's root."""
    return source.root is not None and "root" in source.choice.component.required(source.choice.params)


def names_of(task: Task) -> list[str]:
    """Return the data sets of a task, each once."""
    return list(dict.fromkeys(ref.name for role in ROLES for ref in task.refs(role)))


def own_folder(folder: Path, name: str) -> Path:
    """Return a new folder named after an entry of the matrix file."""
    plain = re.sub(r"[^\w.-]+", "-", name)[:60].strip(".-") or "data"
    names = (plain, *(f"{plain}-{number}" for number in range(2, 1_000_000)))
    return next(folder / name for name in names if name not in (STORE, FILES) and not (folder / name).exists())


def _made_root(source: DataSource, folder: Path) -> Path:
    component = source.choice.component
    if not component.stand_in:
        raise NoStandIn(f"no stand-in for {source.name} ({component.name}); use --real")
    return made(component.stand_in, f"{source.name} ({component.name})", folder, source.choice.params)


def made(target: str, what: str, folder: Path, params: Any, *more: Any) -> Path:
    """Call a plugin's stand-in function and return its path. Raises NoStandIn if it fails or writes nothing."""
    folder.mkdir(parents=True)
    try:
        place = Path(load_attribute(target)(params, folder, *more))
    except Exception as error:
        raise NoStandIn(f"the stand-in for {what} failed: {describe(error)}") from error
    if not place.exists():
        raise NoStandIn(f"the stand-in for {what} failed: {target} returned {place}, which does not exist")
    return place


def each_method(cast: Cast, change: Callable[[Recipe], Recipe]) -> None:
    """Change every method that has steps, and remove those for which `change` raises NoStandIn."""
    changed, refused = dict(_changed(cast.benchmark, change)), {}
    for name, recipe in changed.items():
        if isinstance(recipe, NoStandIn):
            refused[name] = str(recipe)
    methods = [changed[recipe.name] for recipe in cast.benchmark.methods]
    kept = tuple(
        old if isinstance(new, NoStandIn) else new for old, new in zip(cast.benchmark.methods, methods, strict=True)
    )
    cast.benchmark = replace(cast.benchmark, methods=kept)
    cast.refuse({}, refused)


def _changed(benchmark: Benchmark, change: Callable[[Recipe], Recipe]) -> Iterator[tuple[str, Recipe | NoStandIn]]:
    for recipe in benchmark.methods:
        try:
            yield recipe.name, recipe if recipe.ensemble else change(recipe)
        except NoStandIn as error:
            yield recipe.name, error
