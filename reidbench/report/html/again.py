"""The section on reproducing a table: the matrix file, all package versions, and the commands."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reidbench.report.formats.tables import visible
from reidbench.report.provenance import Evidence

if TYPE_CHECKING:
    from markupsafe import Markup

LOCK = "lock.txt"
PYTORCH = re.compile(r"\+(cpu|cu\d+|xpu|rocm\d[\d.]*)")  # in versions that only PyTorch's own index has
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")  # of a package; the store may come from an untrusted source
VERSION = re.compile(r"[\w.!+-]{1,100}", re.ASCII)
PYTHON = re.compile(r"\d+\.\d+")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Lock:
    """The packages of `stages` stages as a requirements file."""

    file: str
    text: Markup
    python: str
    stages: int


@dataclass(frozen=True)
class Again:
    """The contents of the section; `exact` is False if the text is not the matrix file byte for byte.

    `without` is the number of stages for which only the `known` versions of a few packages are recorded.
    """

    commands: Markup
    text: Markup
    exact: bool
    locks: tuple[Lock, ...]
    without: int
    known: Mapping[str, str]


def again(evidence: Evidence) -> Again:
    """Return the section for the stages of a plan whose manifests are in the store."""
    given = evidence.plan.benchmark
    manifests = [found for key in evidence.plan.stages if (found := evidence.manifest(key)) is not None]
    counts: Counter[tuple[str, str]] = Counter()
    known: dict[str, dict[str, None]] = {}
    for manifest in manifests:
        python = str(manifest["versions"].get("python", ""))
        digest = str(manifest.get("environment", ""))
        if digest and evidence.store.environment(digest) is not None:
            counts[digest, python] += 1
            continue
        for name, version in manifest["versions"].items():
            known.setdefault(name, {})[str(version)] = None
    locks = tuple(_locks(evidence, counts))
    text = _clean(given.public_text)
    return Again(
        _text("\n".join(_commands(evidence, locks))),
        _text(text),
        hashlib.sha256(text.encode()).hexdigest() == given.sha256,
        locks,
        len(manifests) - sum(counts.values()),
        {name: ", ".join(versions) for name, versions in known.items()},
    )


def _locks(evidence: Evidence, counts: Counter[tuple[str, str]]) -> Iterator[Lock]:
    """Yield the environments, the most used first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for number, ((digest, python), stages) in enumerate(ordered):
        packages = evidence.store.environment(digest) or {}
        file = LOCK if number == 0 else f"lock-{number + 1}.txt"
        yield Lock(file, _text(_clean("\n".join(_requirements(packages)))), python, stages)


def _requirements(packages: Mapping[str, str]) -> Iterator[str]:
    """Yield lines for `pip install -r`, with PyTorch's index if a version requires it."""
    indexes = {found[1] for version in packages.values() if (found := PYTORCH.search(version))}
    for name in sorted(indexes):
        yield f"--extra-index-url https://download.pytorch.org/whl/{name}"
    for name, version in packages.items():
        fine = NAME.fullmatch(name) and VERSION.fullmatch(version) and version != UNKNOWN
        yield f"{name}=={version}" if fine else f"# {visible(name)}: no installable version"


def _commands(evidence: Evidence, locks: tuple[Lock, ...]) -> Iterator[str]:
    python = PYTHON.match(locks[0].python) if locks else None
    name = evidence.plan.benchmark.file.name
    yield f"python{python[0] if python else '3'} -m venv again"
    yield ". again/bin/activate"
    yield f"pip install -r {LOCK}" if locks else "pip install reidbench"
    yield shlex.join(["reidbench", "run", name, *evidence.arguments])
    yield shlex.join(["reidbench", "table", name, "--format", "html", "-o", "again.html", *evidence.arguments])


def _clean(text: str) -> str:
    """Return text with lines and tabs, without other control characters and bidirectional marks."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in lines)


def _text(text: str) -> Markup:
    """Escape text for a `pre` element."""
    from markupsafe import escape

    return escape(text)
