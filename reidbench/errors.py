"""Everything that is the user's to mend: one clear sentence, no traceback, exit code 2."""

from __future__ import annotations

from collections.abc import Sequence


class ReidbenchError(Exception):
    """Base of all errors that are shown as their message alone."""


class PluginError(ReidbenchError):
    """A plugin is broken, or two plugins disagree."""


class UnknownComponent(PluginError):
    """A name that no loaded plugin offers."""


class DataError(ReidbenchError):
    """Images or labels on disk are not what their layout promises."""


class DataErrors(DataError):
    """Several mistakes in one file. `problems` holds a `file:line: sentence` for each of the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StoreError(ReidbenchError):
    """The store cannot be read or written."""


class ConfigError(ReidbenchError):
    """A matrix file is wrong. `problems` holds one `file:line: sentence` for each mistake found.

    `unknown` are the components, as "KIND NAME", that it names and that no loaded plugin offers.
    """

    def __init__(self, problems: Sequence[str], unknown: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.unknown = tuple(unknown)
        super().__init__("\n".join(self.problems))
