"""Scaffolds of plugin packages, for any kind of component, from the templates in this folder.

`results.py` scaffolds a results repository. Imports registry, hookspecs and errors.
Start with `finetuner/method.py.tmpl`; each kind has a folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from reidbench.errors import ReidbenchError
from reidbench.registry.declarations import NAME

if TYPE_CHECKING:
    from reidbench.registry.plugins import Registry

SHARED = {
    "pyproject.toml": "pyproject.toml.tmpl",
    "README.md": "README.md.tmpl",
    "tests/test_{module}.py": "test.py.tmpl",
}
FOLDER = "data: {tiny: {use: market-folder, root: DATA}}"
TASK = "tasks: {t: {source: tiny, target: tiny, pool: tiny}}"
NETWORK = "backbone: {use: resnet-tiny, width: 4}"
NONE = "methods: {mine: {finetune: none}}"
MOCO = "pretrain: {use: moco-v2, epochs: 1, batch: 8, splits: 2, queue: 8}"
EXAMPLE = "from {module}.reader import example\n\n    data = example(tmp_path).root"


@dataclass(frozen=True)
class New:
    """Differences between kinds: the code's module, the README's usage example, the test's matrix file."""

    what: str
    code: str
    usage: str
    matrix: tuple[str, ...]
    metric: str = "mAP"
    components: int = 1


KINDS: Mapping[str, New] = {
    "dataset": New(
        "data set",
        "reader",
        "data:\n  mine: {use: $name, root: ~/data/mine}",
        ("data: {tiny: {use: $name, root: DATA}}", TASK, NETWORK, NONE),
    ),
    "backbone": New(
        "backbone",
        "network",
        "backbone: {use: $name, width: 16}",
        (FOLDER, TASK, "backbone: {use: $name, width: 4}", NONE),
    ),
    "selector": New(
        "selector",
        "selection",
        "methods:\n  $name: {select: {use: $name, keep: 0.5}, pretrain: moco-v2, finetune: bot}",
        (FOLDER, TASK, NETWORK, f"methods:\n  mine: {{select: $name, finetune: none, {MOCO}}}"),
    ),
    "pretrainer": New(
        "pretrainer",
        "pretraining",
        "methods:\n  $name: {pretrain: {use: $name, epochs: 20}, finetune: bot}",
        (FOLDER, TASK, NETWORK, "methods: {mine: {pretrain: {use: $name, epochs: 2, batch: 8}, finetune: none}}"),
    ),
    "preparer": New(
        "preparer",
        "preparation",
        "methods:\n  $name: {finetune: bot, adapt: {use: $name-user, pixels: {use: $name}}}",
        (FOLDER, TASK, NETWORK, "methods: {mine: {finetune: none, adapt: $name-user}}"),
        components=2,
    ),
    "finetuner": New(
        "fine-tuner",
        "method",
        "methods:\n  $name: {finetune: {use: $name, epochs: 20}}",
        (FOLDER, TASK, NETWORK, "methods: {mine: {finetune: {use: $name, epochs: 3, identities: 4}}}"),
    ),
    "adapter": New(
        "adapter",
        "adaptation",
        "methods:\n  $name: {finetune: bot, adapt: {use: $name, epochs: 10}}",
        (FOLDER, TASK, NETWORK, "methods: {mine: {finetune: none, adapt: {use: $name, epochs: 2, batch: 8}}}"),
    ),
    "evaluator": New(
        "evaluator",
        "evaluation",
        "evaluate: [cosine, {use: $name, k: 5}]",
        (FOLDER, TASK, NETWORK, "evaluate: {use: $name, k: 1}", NONE),
        metric="precision",
    ),
}


def names(name: str) -> dict[str, str]:
    """Return component, distribution and module names of a plugin. Raises ReidbenchError for a bad name."""
    short = name.lower().replace("_", "-").removeprefix("reidbench-")
    if not NAME.fullmatch(short) or not re.match("[a-z]", short):
        raise ReidbenchError(f"bad name {name!r}; use words of a-z and 0-9 joined by '-', for example mean-colour")
    return {"name": short, "distribution": f"reidbench-{short}", "module": f"reidbench_{short.replace('-', '_')}"}


def refuse_taken(name: str, kind: str, registry: Registry) -> None:
    """Raise ReidbenchError if a component of this kind, or an importable module, has the name of a new plugin."""
    words = names(name)
    if words["name"] in registry.names(kind):
        raise ReidbenchError(f"{KINDS[kind].what} {words['name']!r} exists already; give another name")
    found = find_spec(words["module"])
    if found is not None:
        where = found.origin or words["module"]
        raise ReidbenchError(f"the module {words['module']} exists already ({where}); give another name")


def render(name: str, kind: str = "finetuner") -> dict[str, str]:
    """Return the files of a new plugin with one component of a kind: path in the project -> text."""
    words, chosen = names(name), KINDS[kind]
    files = SHARED | {
        "{module}/__init__.py": f"{kind}/declaration.py.tmpl",
        f"{{module}}/{chosen.code}.py": f"{kind}/{chosen.code}.py.tmpl",
    }
    own_data = kind == "dataset"  # its test reads the package's example
    values = words | {
        "kind": kind,
        "what": f"{'an' if chosen.what[0] in 'ae' else 'a'} {chosen.what}",
        "usage": Template(chosen.usage).substitute(words),
        "matrix": Template("\n".join(chosen.matrix)).substitute(words),
        "metric": chosen.metric,
        "lines": str(chosen.components + 1),
        "helper": "" if own_data else ", write_market_folder",
        "data": EXAMPLE.format(**words) if own_data else 'data = write_market_folder(tmp_path / "data", images=4)',
    }
    here = resources.files(__package__)
    return {
        path.format(**words): Template((here / template).read_text(encoding="utf-8")).substitute(values)
        for path, template in files.items()
    }


def write(name: str, folder: Path | None = None, kind: str = "finetuner") -> Path:
    """Write a new plugin to an empty folder, by default named after it. Raises ReidbenchError for any other folder."""
    folder = folder or Path(names(name)["distribution"])
    write_files(folder, render(name, kind))
    return folder


def write_files(folder: Path, files: Mapping[str, str], beside: Collection[str] = ()) -> None:
    """Write files by path to a folder that is new, or contains only names in `beside`.

    Raises ReidbenchError for any other folder.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(one.name not in beside for one in folder.iterdir())):
            raise ReidbenchError(f"{folder}: this path already exists; give another folder")
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReidbenchError(f"{folder}: cannot be written: {error.strerror}") from None
