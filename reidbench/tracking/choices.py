"""Trackers chosen by `--track`, with their options validated like the parameters of a matrix file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reidbench.errors import ConfigError, ReidbenchError, UnknownComponent
from reidbench.hookspecs import TRACKER
from reidbench.matrix.benchmark import Choice
from reidbench.matrix.reading.checker import Checker
from reidbench.matrix.reading.choices import ChoiceReader
from reidbench.matrix.reading.yamlfile import Path_, Tree, read_values, shown
from reidbench.registry.plugins import Registry, printable


def chosen(names: Iterable[str], options: Iterable[str], registry: Registry) -> tuple[Choice, ...]:
    """Return the trackers of `--track NAME` with their options, `--track-option NAME.KEY=VALUE` with values in YAML.

    Raises ConfigError with all mistakes: unknown trackers and options, values that do not fit, missing packages.
    """
    trackers: dict[str, dict[str, Any]] = {name: {} for name in names}
    written: dict[Path_, str] = {}
    for option in options:
        key, equals, text = option.partition("=")
        name, dot, field = key.partition(".")
        if not (equals and dot and field):
            raise ReidbenchError(
                f"--track-option {shown(option)}: expected NAME.KEY=VALUE, like tensorboard.folder=runs"
            )
        if name not in trackers:
            also = f"add --track {name}" if name in registry.names(TRACKER) else f"known: {_known(registry)}"
            raise ReidbenchError(f"--track-option {shown(option)}: no --track names the tracker {name!r} ({also})")
        try:
            trackers[name][field], inside = read_values(text, "here")
        except ConfigError as error:
            why = error.problems[0].removeprefix("here: ")
            raise ReidbenchError(f"--track-option {shown(option)}: the value is not plain YAML: {why}") from None
        written |= {(f"--track-option {name}", field, *place): typed for place, typed in inside.items()}
    return validated(trackers, registry, "--track", "--track-option ", written)


def validated(
    trackers: Mapping[str, Mapping[str, Any]],
    registry: Registry,
    where: str = "track",
    prefix: str = "track.",
    written: Mapping[Path_, str] | None = None,
) -> tuple[Choice, ...]:
    """Return trackers with their options, by name. `where` and `prefix` begin the errors about names and options.

    Raises ConfigError with all mistakes.
    """
    tree = Tree(Path("track"), {}, {}, dict(written or {}), mapping=True)
    reader = ChoiceReader(Checker(tree), registry)
    found = []
    for name, options in trackers.items():
        try:
            missing = registry.get(TRACKER, name).missing
        except UnknownComponent as error:
            reader.check.wrong((where,), str(error))
            continue
        if missing:
            reader.check.wrong((where,), f"tracker {name!r}: {missing}")
            continue
        choice = reader.choice(TRACKER, {**options, "use": name}, (f"{prefix}{name}",))
        found += [choice] if choice else []
    reader.check.stop_at_problems()
    return tuple(found)


def _known(registry: Registry) -> str:
    return printable(", ".join(registry.names(TRACKER)) or "none")
