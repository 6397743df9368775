"""Errors that a user can fix, shown as one sentence without a traceback, with exit code 2."""

from __future__ import annotations

from collections.abc import Sequence


class ReidbenchError(Exception):
    """Base of all errors that are shown as their message only."""


class PluginError(ReidbenchError):
    """Raised for a broken plugin, or for conflicting plugins."""


class UnknownComponent(PluginError):
    """Raised for a component name that no loaded plugin has."""


class DataError(ReidbenchError):
    """Raised if images or labels on disk do not match their layout."""


class DataErrors(DataError):
    """Raised for several mistakes in one file. `problems` has a `file:line: sentence` for each of the first ones."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StoreError(ReidbenchError):
    """Raised if the store cannot be read or written."""


class ConfigError(ReidbenchError):
    """Raised for an invalid matrix file. `problems` has one `file:line: sentence` for each mistake.

    `unknown` are the components, as "KIND NAME", that no loaded plugin has.
    """

    def __init__(self, problems: Sequence[str], unknown: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.unknown = tuple(unknown)
        super().__init__("\n".join(self.problems))
