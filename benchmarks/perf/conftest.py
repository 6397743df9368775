"""Table of all figures with their goals at the end of `make bench`. A missed goal does not fail the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tabulate import tabulate


@dataclass(frozen=True)
class Figure:
    """A measured figure. `most` and `least` are its goal; without either it is only reported."""

    what: str
    value: float
    unit: str
    most: float | None
    least: float | None

    @property
    def goal(self) -> str:
        """The goal in words."""
        bounds = (("at most", self.most), ("at least", self.least))
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)

    @property
    def met(self) -> str:
        """Whether the goal is met; empty without one."""
        if not self.goal:
            return ""
        low, high = self.least is None or self.value >= self.least, self.most is None or self.value <= self.most
        return "yes" if low and high else "missed"


FIGURES = pytest.StashKey[list[Figure]]()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Function that adds a figure to the table."""
    figures = request.config.stash.setdefault(FIGURES, [])

    def add(what: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> None:
        figures.append(Figure(what, value, unit, most, least))

    return add


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table."""
    figures = config.stash.get(FIGURES, [])
    if not figures:
        return
    rows = [(figure.what, f"{figure.value:.3g}", figure.unit, figure.goal, figure.met) for figure in figures]
    terminalreporter.write_line("")
    header = ["figure", "value", "unit", "goal", "met"]
    terminalreporter.write_line(tabulate(rows, header, "github", disable_numparse=True))
