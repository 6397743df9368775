"""Requirements on a node: the driver's code, and access to its folders, with any executor."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from reidbench.data.fingerprints.fingerprint import fingerprint_content, fingerprint_files
from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.stages import worker

# Packages whose versions may change results; plugins and reidbench are also compared by source.
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "lightning-fabric",
    "numpy",
    "scipy",
    "scikit-learn",
    "faiss-cpu",
    "faiss-gpu",
    "pillow",
)
ANSWER = 100.0  # seconds for a node to answer
PREFIX = "REIDBENCH_"  # variables passed from the driver to its nodes


@dataclass(frozen=True)
class Expected:
    """State of the driver that nodes are compared with."""

    facts: Mapping[str, str]  # name -> version, with a code hash for reidbench and plugins
    without: frozenset[str]
    folders: Mapping[str, str]  # description -> absolute path; each must be readable and writable for all nodes
    marker: str  # name of the file that the driver wrote to each folder
    paths: tuple[str, ...]  # import path
    variables: Mapping[str, str]


def facts(without: frozenset[str]) -> dict[str, str]:
    """Return local versions of Python and packages, and versions and source hashes of reidbench and each plugin."""
    registry = plugins.load(without)
    package = Path(__file__).parents[2]
    sources = ((path.relative_to(package).as_posix(), fingerprint_content(path)) for path in package.rglob("*.py"))
    found = {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
    found["reidbench"] = f"{_version('reidbench')} (code {fingerprint_files(sources)[:8]})"
    offered = {plugin: component for component, plugin in registry.source.items()}
    for name, plugin in registry.plugins.items():
        code = plugins.source_hash(registry, *offered[name])[:8] if name in offered else ""
        found[f"plugin {name}"] = f"{plugin.version} (code {code or 'unknown'})"
    for name, trace in registry.broken.items():
        found[f"plugin {name}"] = f"not loaded: {plugins.one_line(trace)}"
    return found


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Return the differences between two environments in words; empty if there are none."""
    found = []
    for name in sorted({*here, *there}):
        if name not in there:
            found.append(f"it has no {name}")
        elif name not in here:
            found.append(f"it also has {name}")
        elif here[name] != there[name]:
            found.append(f"{name} is {there[name]} instead of {here[name]}")
    return [plugins.printable(text) for text in found]


def expect(without: frozenset[str], folders: Mapping[str, Path]) -> Expected:
    """Return the state to compare nodes with. Writes a marker to each folder. Raises ReidbenchError on failure."""
    marker = f".seen-by-{platform.node()}-{os.getpid()}"
    found = facts(without)
    for what, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / marker).touch()
        except OSError as error:
            raise ReidbenchError(f"{folder}: {what} cannot be written: {error.strerror}") from None
    return Expected(
        found,
        without,
        {what: str(folder) for what, folder in folders.items()},
        marker,
        tuple(os.path.abspath(path or ".") for path in sys.path),  # noqa: PTH100 - import paths are text
        {name: value for name, value in os.environ.items() if name.startswith(PREFIX)},
    )


def forget(expected: Expected) -> None:
    """Remove the markers."""
    for folder in expected.folders.values():
        (Path(folder) / expected.marker).unlink(missing_ok=True)


def adopt(expected: Expected) -> None:
    """Set the driver's variables and its import path, as far as it exists here, for this process and its workers.

    The node's own import path comes after it, for a driver whose import path is not on a shared file system.
    """
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(expected.variables)
    sys.path[:] = dict.fromkeys([*filter(os.path.exists, expected.paths), *sys.path])


def problems(expected: Expected, name: str) -> list[str]:
    """Return why the node of this process is not usable; empty if it is. `name` distinguishes it from other nodes."""
    found = [_sight(Path(folder), what, expected.marker, name) for what, folder in expected.folders.items()]
    return [*filter(None, found), *_compared(expected)]


def _compared(expected: Expected) -> list[str]:
    """Return the differences found by a new process, like a worker, that has not imported anything yet."""
    environment = worker.environment(1, 0)
    del environment[worker.EVENTS]
    command = [sys.executable, "-m", __name__, *sorted(expected.without)]
    try:
        asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ANSWER, check=True)  # noqa: S603 - our own interpreter and module
        return differences(expected.facts, json.loads(asked.stdout.splitlines()[-1]))
    except subprocess.CalledProcessError as error:
        return [f"it cannot report its environment: {plugins.one_line(error.stderr)}"]
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return [f"it cannot report its environment: {plugins.one_line(str(error))}"]


def _sight(folder: Path, what: str, marker: str, name: str) -> str:
    """Return why this node cannot use a folder of the driver, or ""."""
    if not (folder / marker).exists():
        return f"it does not see {what} {folder}, which must be on a path that all nodes share"
    try:
        # A unique name: jobs that start at once on this node check it at the same time.
        tempfile.NamedTemporaryFile(prefix=f"{marker}-{name}-", dir=folder).close()
    except OSError as error:
        return f"it cannot write into {what} {folder}: {error.strerror}"
    return ""


if __name__ == "__main__":
    print(json.dumps(facts(frozenset(sys.argv[1:]))))
