"""Layout of a diagram of mean ranks: one row per method with its interval, and bars that join tied methods.

It is the critical-difference diagram of Demsar (JMLR 7, 2006) with one row per method instead of lines to the margin,
so that intervals and long names fit. The page draws it as SVG, `formats/figures.py` by matplotlib.
"""

from __future__ import annotations

import bisect
import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reidbench.report.units import NAMES

from .comparison import Comparison, Groups
from .sentences import by

MOST = 40  # methods in a diagram; others are counted
LONGEST = 22.0  # width of a full name, in average characters
TICKS = 8


@dataclass(frozen=True)
class Row:
    """A method: full name, displayed name, mean rank, and the ends of its interval, if any."""

    method: str
    shown: str
    rank: float
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """Name and numbers as text."""
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.method}: mean rank {self.rank:.2f}{interval}"


@dataclass(frozen=True)
class Bar:
    """A bar that joins tied rows, in a separate lane: `runs` of adjacent rows, each from the first to the last."""

    runs: tuple[tuple[int, int], ...]
    lane: int

    @property
    def first(self) -> int:
        """The first row of all."""
        return self.runs[0][0]

    @property
    def last(self) -> int:
        """The last row of all."""
        return self.runs[-1][1]


@dataclass(frozen=True)
class Diagram:
    """Rows from best to worst; `last` is the greatest rank, `more` the number of methods that are not shown.

    `difference` is the critical difference (length of the ruler) if the bars come from a test. Coordinates
    are those of an SVG of `width` x `height`.
    """

    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    last: int
    more: int
    difference: float | None
    title: str
    description: str

    LEFT, PLOT, RULER, LINE, LANE = 180, 250, 18, 24, 9  # widths of names and plot, heights of ruler and row, of a lane

    @property
    def width(self) -> int:
        """Width of names, ranks and bars."""
        return self.LEFT + self.PLOT + 30 + self.LANE * self.lanes

    @property
    def height(self) -> int:
        """Height of ruler, axis and rows."""
        return self.top + self.LINE * len(self.rows) + 8

    @property
    def top(self) -> int:
        """Top of the first row."""
        return 28 + (0 if self.difference is None else self.RULER)

    @property
    def lanes(self) -> int:
        """Greatest number of adjacent bars."""
        return 1 + max((bar.lane for bar in self.bars), default=0)

    @property
    def ticks(self) -> list[int]:
        """Integer ranks from 1 to the last, at most nine."""
        step = -(-(self.last - 1) // TICKS)
        return [*range(1, self.last - step // 2, step), self.last]

    def x(self, rank: float) -> float:
        """Return the x coordinate of a rank."""
        return round(self.LEFT + self.PLOT * (min(rank, self.last) - 1) / (self.last - 1), 2)

    def y(self, row: int) -> float:
        """Return the y coordinate of the middle of a row."""
        return self.top + self.LINE * (row + 0.5)

    def lane(self, bar: Bar) -> int:
        """Return the x coordinate of a bar."""
        return self.LEFT + self.PLOT + 20 + self.LANE * bar.lane


def diagram(found: Comparison) -> Diagram:
    """Return the diagram of a comparison, with bars from the test if there is one, else from the bootstrap."""
    rows = tuple(_rows(found))
    groups = found.test.groups if found.test else found.groups
    places = {row.method: place for place, row in enumerate(rows)}
    bars = tuple(_bars(groups or (), places))
    metric = NAMES.get(found.metric, found.metric)
    what = f"Mean ranks of {len(found.methods)} methods over {len(found.tasks)} tasks: {metric} by {by(found)}"
    more = len(found.methods) - len(rows)
    said = [f"Ranks from 1 (best) to {len(found.methods)}.", *_meaning(found)]
    said += [f"The best {len(rows)} methods are shown; the table has {more} more."] if more else []
    difference = found.test.difference if found.test else None
    return Diagram(rows, bars, len(found.methods), more, difference, what, " ".join(said))


def _rows(found: Comparison) -> Iterator[Row]:
    for place in found.order[:MOST]:
        name = found.methods[place]
        interval = found.intervals[place] if found.intervals else None
        ends = (interval.low, interval.high) if interval else (None, None)
        yield Row(name, _cut(name), float(found.mean_rank[place]), *ends)


def _cut(name: str) -> str:
    """Shorten a name to its column."""
    ends = list(itertools.accumulate(map(_width, name)))
    if not ends or ends[-1] <= LONGEST:
        return name
    return name[: bisect.bisect_right(ends, LONGEST - 1)] + "…"


def _width(char: str) -> float:
    """Return the approximate width of a character, in average characters."""
    if unicodedata.east_asian_width(char) in "WF":
        return 2.0
    return 1.4 if char.isupper() or char in "mw%@—" else 1.0


def _meaning(found: Comparison) -> Iterator[str]:
    if found.intervals:
        yield "Lines are 95 % intervals over queries and seeds."
    if found.test:
        yield (
            "Bars at the right join methods that do not differ significantly by Nemenyi's test over tasks (critical "
            f"difference {found.test.difference:.2f})."
        )
    elif found.groups:
        thin = "; thin lines pass methods that do" if any(_has_gaps(found, group) for group in found.groups) else ""
        yield f"Bars at the right join methods that do not differ significantly over queries and seeds{thin}."
    elif found.groups is not None:
        yield "All methods differ significantly over queries and seeds."


def _has_gaps(found: Comparison, group: Sequence[str]) -> bool:
    """Return whether a method between those of a group, in order of ranks, is not in it."""
    places = [place for place, at in enumerate(found.order) if found.methods[at] in group]
    return places[-1] - places[0] >= len(places)


def _bars(groups: Groups, places: dict[str, int]) -> Iterator[Bar]:
    """Place each group of displayed rows in the first free lane."""
    free: list[int] = []  # first free row by lane
    for group in groups:
        rows: Sequence[int] = [places[method] for method in group if method in places]
        if len(rows) < 2:
            continue
        lane = next((number for number, row in enumerate(free) if row <= rows[0]), len(free))
        free[lane : lane + 1] = [rows[-1] + 1]
        starts = [row for row in rows if row - 1 not in rows]
        ends = [row for row in rows if row + 1 not in rows]
        yield Bar(tuple(zip(starts, ends, strict=True)), lane)
