"""Check all contracts, component by component."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reidbench import scaffold
from reidbench.components import Component
from reidbench.errors import PluginError, ReidbenchError
from reidbench.matrix.needs import NotApplicable
from reidbench.registry import plugins
from reidbench.registry.packages import installed, is_plugin
from reidbench.registry.plugins import Plugin, Registry
from reidbench.stages.worker import describe

from . import child, declared, record
from .examples import Example, example_of, lacking
from .report import Broken, Findings, Line


def check_plugin(
    plugin: str | Path,
    *,
    only: str | None = None,
    keep_record: bool = False,
    examples: Mapping[str, Example] | None = None,
    tell: Callable[[Line], None] = lambda line: None,
    timeout: float = child.TIMEOUT,
) -> Findings:
    """Check every component of a plugin, given by name, distribution or module if loaded, or by path.

    `only` names one component. `keep_record` writes the results next to the plugin's code. `examples`, by name,
    override the plugin's CHECK. `tell` is called with each line once it is known. A component fails if one step takes
    longer than `timeout` seconds. Everything runs on the CPU.
    Raises PluginError for an unknown plugin or component, or if the plugin cannot be loaded.
    """
    with _found(plugin) as (registry, found), _on_the_cpu():
        mine = [(at[0], one) for at, one in registry.components.items() if registry.source[at] == found.name]
        chosen = [(kind, one) for kind, one in mine if only in (None, one.name)]
        if only is not None and not chosen:
            raise PluginError(f"{found.name} has no component {only!r} (known: {', '.join(c.name for _, c in mine)})")
        report = Findings(found.name)
        names = [(kind, one.name) for kind, one in chosen]
        task = child.Task(found.name, names, Path(), examples or {}, registry.disabled, min(timeout, child.LONGEST))
        for line, digest in _lines(found, [one for _, one in mine], task):
            report.lines.append(line)
            if digest is not None:
                report.digests[f"{line.kind} {line.name}"] = digest
            tell(line)
        if keep_record and not report.failures:
            record.write(found, report.digests)
        return report


def _lines(plugin: Plugin, mine: list[Component], task: child.Task) -> Iterator[tuple[Line, child.Digest | None]]:
    record.read(plugin)  # report a malformed record before anything runs
    problems = _problems(lambda: declared.light_import(plugin, task.timeout))
    problems += _problems(lambda: declared.readme(plugin, mine))
    yield Line("plugin", plugin.name, "failed" if problems else "ok", "; ".join(problems)), None
    with tempfile.TemporaryDirectory(prefix="reidbench-check-") as folder:
        yield from child.lines(replace(task, folder=Path(folder).resolve()))


def try_component(
    registry: Registry, plugin: Plugin, kind: str, name: str, task: child.Task, step: Callable[[str], None]
) -> tuple[Line, child.Digest | None]:
    """Check one component. Returns its line and the digest of its result; any exception is a failure.

    `step` is called with the name of each step.
    """
    component = registry.get(kind, name)
    problems = _problems(lambda: declared.described(component))
    skipped: list[str] = []
    notes: list[str] = []
    found: list[child.Digest] = []

    def attempt(folder: Path) -> None:
        step("preparing its example")
        example = task.examples.get(name) or example_of(registry, plugin.module, kind, component, folder / "example")
        reason = lacking(component, example)
        if reason:
            skipped.append(reason)
            return
        from .attempt import Attempt

        trials = Attempt(folder, registry, kind, component, example, step)
        found.append(record.entry(component, example, trials.run()))
        notes.extend([*trials.notes, record.compare(record.read(plugin).get(f"{kind} {name}"), found[0])])

    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        try:
            problems += _problems(lambda: attempt(Path(folder)))
        except NotApplicable as error:
            skipped.append(str(error))
    status = "failed" if problems else "skipped" if skipped else "ok"
    line = Line(kind, name, status, "; ".join(filter(None, problems or skipped or notes)))
    return line, found[0] if found else None


def _problems(trial: Callable[[], None]) -> list[str]:
    """Run a trial. Returns its failure as a list of at most one sentence."""
    try:
        trial()
    except Broken as error:
        return [str(error)]
    except NotApplicable:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything; it is reported as a failure
        return [f"run: {describe(error)}"]
    return []


@contextmanager
def _found(plugin: str | Path) -> Iterator[tuple[Registry, Plugin]]:
    """Yield the plugin of a name or path. A plugin that is not installed is registered during the block."""
    path = Path(plugin)
    registry = plugins.load()
    loaded = [one for one in registry.plugins.values() if _answers_to(one, str(plugin), path)]
    project = path if is_plugin(path) else _new_folder(str(plugin))
    if is_plugin(project):  # a folder here, not a plugin of the same name that is installed or built in
        path, loaded = project, [one for one in loaded if Path(one.file).resolve().is_relative_to(project.resolve())]
    if len(loaded) == 1:
        yield registry, loaded[0]
    elif loaded:
        raise PluginError(f"{plugin} is ambiguous; name one of the plugins {', '.join(one.name for one in loaded)}")
    elif path.exists():
        with installed(path) as name:
            registry = plugins.load()
            if name in registry.broken:
                raise PluginError(f"plugin {name} cannot be loaded: {plugins.one_line(registry.broken[name])}")
            yield registry, registry.plugins[name]
    else:
        broken = [name for name in registry.broken if _same(str(plugin), name.partition(":")[0])]
        name = plugins.printable(str(plugin))
        if broken:
            raise PluginError(f"plugin {name!r} cannot be loaded: {plugins.one_line(registry.broken[broken[0]])}")
        raise PluginError(f"unknown plugin {name!r} (known: {', '.join(registry.plugins)}; or give a path)")


def _new_folder(name: str) -> Path:
    """Return the folder to which `reidbench new NAME` writes a plugin, which may not be installed yet."""
    try:
        return Path(scaffold.names(name)["distribution"])
    except ReidbenchError:  # not a valid name for `new`
        return Path(name)


def _answers_to(plugin: Plugin, name: str, path: Path) -> bool:
    distribution, _, entry = plugin.name.partition(":")
    file = Path(plugin.file)
    if path.exists() and path.resolve() in (file.resolve(), file.resolve().parent):
        return file.name == "__init__.py" or path.is_file()
    return any(_same(name, known) for known in (plugin.name, distribution, entry, plugin.module) if known)


def _same(one: str, other: str) -> bool:
    return one.replace("_", "-").lower() == other.replace("_", "-").lower()


@contextmanager
def _on_the_cpu() -> Iterator[None]:
    """Hide accelerators, since results are bit-identical only on a CPU."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
