"""Where things are in a diagram of mean ranks: a row a method, its interval, bars around those not set apart.

It is the critical-difference diagram of Demsar (JMLR 7, 2006) with a row for each method in place of lines to the
margin, so that intervals and long names have room. The page draws it as SVG, `formats/figures.py` by matplotlib.
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

MOST = 40  # methods in a diagram; more are counted
LONGEST = 22.0  # usual characters of a name that is shown whole
TICKS = 8


@dataclass(frozen=True)
class Row:
    """A method: its name, as it is shown, its mean rank, and the ends of the interval if there is one."""

    method: str
    shown: str
    rank: float
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """Name and numbers."""
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.method}: mean rank {self.rank:.2f}{interval}"


@dataclass(frozen=True)
class Bar:
    """A bar around rows that are not set apart, from the first to the last, in a lane of its own."""

    first: int
    last: int
    lane: int


@dataclass(frozen=True)
class Diagram:
    """Rows from the best to the worst; `last` is the greatest rank, `more` the methods beyond the last row.

    `difference` is the length of the ruler, the critical difference, where the bars are those of a test. Coordinates
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
        """Names, ranks and bars."""
        return self.LEFT + self.PLOT + 30 + self.LANE * self.lanes

    @property
    def height(self) -> int:
        """Ruler, axis and rows."""
        return self.top + self.LINE * len(self.rows) + 8

    @property
    def top(self) -> int:
        """Where the rows begin."""
        return 28 + (0 if self.difference is None else self.RULER)

    @property
    def lanes(self) -> int:
        """How many bars are side by side at most."""
        return 1 + max((bar.lane for bar in self.bars), default=0)

    @property
    def ticks(self) -> list[int]:
        """Whole ranks, at most nine of them, from 1 to the last."""
        step = -(-(self.last - 1) // TICKS)
        return [*range(1, self.last - step // 2, step), self.last]

    def x(self, rank: float) -> float:
        """The place of a rank."""
        return round(self.LEFT + self.PLOT * (min(rank, self.last) - 1) / (self.last - 1), 2)

    def y(self, row: int) -> float:
        """The middle of a row."""
        return self.top + self.LINE * (row + 0.5)

    def lane(self, bar: Bar) -> int:
        """The place of a bar."""
        return self.LEFT + self.PLOT + 20 + self.LANE * bar.lane


def diagram(found: Comparison) -> Diagram:
    """The diagram of a comparison: bars of the test where there is one, else those of other queries and seeds."""
    rows = tuple(_rows(found))
    groups = found.test.groups if found.test else found.groups
    places = {row.method: place for place, row in enumerate(rows)}
    bars = tuple(_bars(groups or (), places))
    metric = NAMES.get(found.metric, found.metric)
    what = f"Mean ranks of {len(found.methods)} methods over {len(found.tasks)} tasks: {metric} by {by(found)}"
    more = len(found.methods) - len(rows)
    said = [f"Ranks from 1, the best, to {len(found.methods)}.", *_meaning(found)]
    said += [f"The best {len(rows)} are shown; the table has {more} more."] if more else []
    difference = found.test.difference if found.test else None
    return Diagram(rows, bars, len(found.methods), more, difference, what, " ".join(said))


def _rows(found: Comparison) -> Iterator[Row]:
    for place in found.order[:MOST]:
        name = found.methods[place]
        interval = found.intervals[place] if found.intervals else None
        ends = (interval.low, interval.high) if interval else (None, None)
        yield Row(name, _cut(name), float(found.mean_rank[place]), *ends)


def _cut(name: str) -> str:
    """A name that fits in its column: whole, or its beginning."""
    ends = list(itertools.accumulate(map(_width, name)))
    if not ends or ends[-1] <= LONGEST:
        return name
    return name[: bisect.bisect_right(ends, LONGEST - 1)] + "…"


def _width(char: str) -> float:
    """About how wide a character is, in usual ones."""
    if unicodedata.east_asian_width(char) in "WF":
        return 2.0
    return 1.4 if char.isupper() or char in "mw%@—" else 1.0


def _meaning(found: Comparison) -> Iterator[str]:
    if found.intervals:
        yield "Lines are 95 % intervals over other queries and seeds."
    if found.test:
        yield (
            f"Bars at the right join methods that Nemenyi's test over tasks does not set apart, critical difference "
            f"{found.test.difference:.2f}."
        )
    elif found.groups:
        yield "Bars at the right join methods that other queries and seeds do not set apart."
    elif found.groups is not None:
        yield "All methods are set apart by queries and seeds."


def _bars(groups: Groups, places: dict[str, int]) -> Iterator[Bar]:
    """Each group of rows that are shown in the first lane that is free."""
    free: list[int] = []  # by lane: the first row that no bar of it covers
    for group in groups:
        rows: Sequence[int] = [places[method] for method in group if method in places]
        if len(rows) < 2:
            continue
        lane = next((number for number, row in enumerate(free) if row <= rows[0]), len(free))
        free[lane : lane + 1] = [rows[-1] + 1]
        yield Bar(rows[0], rows[-1], lane)
