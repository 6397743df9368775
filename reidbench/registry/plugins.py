"""Find plugins and register them one by one, so that a broken one does not affect the others."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

import pluggy

from reidbench import hookspecs
from reidbench.components import Component
from reidbench.errors import PluginError, ReidbenchError, UnknownComponent
from reidbench.hookspecs import EVERY_HOOK

from .declarations import faults
from .migration import OutdatedPlugin, refuse_outdated, unexpected_field

GROUP = "reidbench"
BUILTIN = (
    "reidbench_executors",
    "reidbench_submitit",
    "reidbench_synthetic",
    "reidbench_datasets",
    "reidbench_baseline",
    "reidbench_cluster",
    "reidbench_upreid",
    "reidbench_transreid_ssl",
    "reidbench_cfs",
    "reidbench_clip",
    "reidbench_arn",
    "reidbench_hhl",
    "reidbench_spgan",
    "reidbench_gcl",
    "reidbench_competition",
    "reidbench_crossmodal",
    "reidbench_agw",
    "reidbench_pcb",
    "reidbench_command",
    "reidbench_onnx",
    "reidbench_timm",
    "reidbench_hf",
    "reidbench_folder",
    "reidbench_torchreid",
    "reidbench_tensorboard",
    "reidbench_mlflow",
    "reidbench_wandb",
)


@dataclass(frozen=True)
class Plugin:
    """Loaded plugin: name (`distribution:entry` for third parties), version and file."""

    name: str
    version: str
    file: str
    module: str


@dataclass
class Registry:
    """Components by (kind, name), their plugins, and plugins that failed to load."""

    components: dict[tuple[str, str], Component] = field(default_factory=dict)
    source: dict[tuple[str, str], str] = field(default_factory=dict)
    plugins: dict[str, Plugin] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)  # plugin name -> traceback
    disabled: frozenset[str] = frozenset()

    def add(self, plugin: str, offered: list[tuple[str, Component]]) -> None:
        """Add all of a plugin's components, or raise and add none."""
        mine: dict[tuple[str, str], Component] = {}
        for kind, component in offered:
            _check(kind, component)
            key = kind, component.name
            if key in mine or key in self.components:
                other = self.source.get(key, plugin)
                raise PluginError(f"{kind} {component.name!r} is offered by {other} and by {plugin}; rename one")
            mine[key] = component
        self.components |= mine
        self.source |= dict.fromkeys(mine, plugin)

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of one kind."""
        return sorted(name for of_kind, name in self.components if of_kind == kind)

    def get(self, kind: str, name: str) -> Component:
        """Return the component of that name. Raises UnknownComponent with the closest names."""
        try:
            return self.components[kind, name]
        except KeyError:
            raise UnknownComponent(self._unknown(kind, name)) from None

    def _unknown(self, kind: str, name: str) -> str:
        names = self.names(kind)
        near = difflib.get_close_matches(name, names, n=1)
        elsewhere = [of_kind for of_kind, known in self.components if known == name]
        text = f"unknown {kind} {name!r}"
        text += f"; did you mean {near[0]!r}?" if near else f"; it is of kind {elsewhere[0]}" if elsewhere else ""
        text += f" (known: {', '.join(names) or 'none'})"
        if self.broken:
            text += f" (not loaded: {', '.join(self.broken)}; `reidbench plugins` shows why)"
        return text

    def complaints(self) -> list[str]:
        """Return one line for each plugin that failed to load."""
        return [
            f"plugin {printable(name)} not loaded: {one_line(trace)}; `reidbench plugins` shows why"
            for name, trace in self.broken.items()
        ]


def one_line(trace: str) -> str:
    """Return the last line of a traceback, without control characters."""
    lines = [line for line in trace.strip().splitlines() if line.strip()]
    return printable(lines[-1] if lines else "unknown error")[:300]


def printable(text: str) -> str:
    """Return text of plugins and files with control characters escaped."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def load(without: frozenset[str] = frozenset(), builtin: tuple[str, ...] = BUILTIN, *, others: bool = True) -> Registry:
    """Load the built-in plugins, then third-party plugins by entry point, each separately.

    `without` names plugins (or distributions of entry points) to skip. `REIDBENCH_PLUGINS`, if set, names the
    third-party plugins to load; an empty value loads none, like `others=False`. `REIDBENCH_STRICT_PLUGINS=1` raises
    every failure. Raises PluginError for a broken built-in, which is a bug of reidbench.
    """
    manager = pluggy.PluginManager("reidbench")
    manager.add_hookspecs(hookspecs)
    registry = Registry(disabled=without)
    strict = os.environ.get("REIDBENCH_STRICT_PLUGINS") == "1"
    for name, version, importer in _found(builtin, others):
        if name in without or name.partition(":")[0] in without:
            continue
        try:
            module = importer()
            if taken := manager.get_name(module):
                raise PluginError(
                    f"its module {_module_name(module)} is that of plugin {taken}, found first; rename the package"
                )
            _refuse_unknown_hooks(manager, module)  # report misspelt hooks instead of ignoring them
            manager.register(module, name)
            registry.add(name, _offered_by(manager, name))
            registry.plugins[name] = Plugin(name, version, str(getattr(module, "__file__", "")), _module_name(module))
        except (Exception, SystemExit) as error:
            if strict or name in builtin:
                raise PluginError(f"plugin {name} failed to load: {error}") from error
            cure = str(error) if isinstance(error, OutdatedPlugin) else unexpected_field(error)
            registry.broken[name] = cure or traceback.format_exc()
            if manager.has_plugin(name):  # pluggy 1.6 keeps a plugin whose validation failed
                manager.unregister(name=name)
    return registry


def _refuse_unknown_hooks(manager: pluggy.PluginManager, module: Any) -> None:
    """Raise PluginError for an implementation of an unknown hook, or a function with a hook's name but no @hookimpl."""
    hooks = list(EVERY_HOOK.values())
    for name in dir(module):
        marked = manager.parse_hookimpl_opts(module, name)
        if marked is None:
            if name in hooks and inspect.isfunction(getattr(module, name)):
                raise PluginError(f"{name} is never called: put @hookimpl (from reidbench) above it")
        elif (hook := marked.get("specname") or name) not in hooks and not marked.get("optionalhook"):
            near = difflib.get_close_matches(hook, hooks, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PluginError(f"unknown hook {hook!r}{hint} (known: {', '.join(hooks)})")


def _module_name(module: Any) -> str:
    return module.__name__ if inspect.ismodule(module) else type(module).__module__


def _found(builtin: tuple[str, ...], others: bool) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    for module in builtin:
        yield module, "built in", partial(importlib.import_module, module)
    wanted = os.environ.get("REIDBENCH_PLUGINS")
    for name, version, entry in sorted(_entry_points() if others else (), key=lambda found: found[0]):
        if wanted is None or {name, name.partition(":")[0]} & set(wanted.split(",")):
            yield name, version, partial(_load, entry)


def _load(entry: EntryPoint) -> Any:
    refuse_outdated(entry.module)
    return entry.load()


def _entry_points() -> Iterator[tuple[str, str, EntryPoint]]:
    for entry in entry_points(group=GROUP):
        try:
            distribution = entry.dist
            owner = distribution.metadata["Name"] if distribution else None
            version = distribution.version if distribution else ""
        except Exception:  # a half-removed distribution fails in many ways; try its entry anyway
            owner, version = None, ""
        yield f"{owner or 'unknown'}:{entry.name}", version or "?", entry


def _offered_by(manager: pluggy.PluginManager, name: str) -> list[tuple[str, Component]]:
    """Return one plugin's components; its hooks are called separately, to attribute failures."""
    others = [plugin for other, plugin in manager.list_name_plugin() if other != name and plugin is not None]
    offered = []
    for kind, hook in EVERY_HOOK.items():
        for given in manager.subset_hook_caller(hook, others)():
            try:
                components = iter(given)
            except TypeError as error:
                raise PluginError(f"{hook} must return an iterable of Component: {error}") from error
            offered += [(kind, component) for component in components]
    return offered


def _check(kind: str, component: object) -> None:
    if not isinstance(component, Component):
        raise PluginError(f"{EVERY_HOOK[kind]} must return Component objects, not {component!r}")
    for sentence in filter(None, faults(kind, component)):
        raise PluginError(printable(f"{kind} {component.name}: {sentence}"))


def report(registry: Registry) -> dict[str, Any]:
    """Return the content of `reidbench plugins --json`."""
    offered: dict[str, list[dict[str, str]]] = {name: [] for name in registry.plugins}
    for (kind, name), plugin in registry.source.items():
        component = registry.components[kind, name]
        offered[plugin].append({"kind": kind, "name": name, "summary": component.summary, "missing": component.missing})
    return {
        "plugins": [
            {"name": plugin.name, "version": plugin.version, "file": plugin.file, "components": offered[plugin.name]}
            for plugin in registry.plugins.values()
        ],
        "broken": [{"name": name, "traceback": trace} for name, trace in registry.broken.items()],
        "disabled": sorted(registry.disabled),
    }


def source_hash(registry: Registry, kind: str, name: str) -> str:
    """Return the hash of the Python files of a component's plugin; "" if they cannot be read."""
    plugin = registry.plugins.get(registry.source.get((kind, name), ""))
    if plugin is None:
        return ""
    cached = _SOURCE_HASHES.get(plugin.file)
    if cached is None:
        cached = _SOURCE_HASHES[plugin.file] = _hash_sources(plugin)
    return cached


_SOURCE_HASHES: dict[str, str] = {}


def _hash_sources(plugin: Plugin) -> str:
    from pathlib import Path

    from reidbench.data.fingerprints.fingerprint import fingerprint_content, fingerprint_files

    file = Path(plugin.file)
    if not file.is_file():
        return ""
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    return fingerprint_files((str(path.relative_to(file.parent)), fingerprint_content(path)) for path in files)


def packages(registry: Registry) -> Mapping[str, str]:
    """Map the top-level package of each loaded plugin to the plugin; code named in artifacts must be in one of them."""
    known = {plugin.module.partition(".")[0]: plugin.name for plugin in registry.plugins.values()}
    return MappingProxyType({"reidbench": "reidbench", **known})


def describe(error: BaseException) -> str:
    """Return an exception as one line for the table, even if an exception of a plugin fails to format itself."""
    text = " ".join(str.split(_text(error)))
    if not isinstance(error, ReidbenchError) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return printable(text)[:500]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:
        return f"(its text is not available: __str__ raises {type(second).__name__})"
