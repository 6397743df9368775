"""The diagram of mean ranks: order of rows, bars that join tied rows, and coordinates within the frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reidbench.report.ranks.comparison import Cell, Comparison, comparisons
from reidbench.report.ranks.diagram import MOST, Bar, diagram


def compared(values: dict[str, list[float]], keep: bool = True) -> Comparison:
    """Methods with a value on each of some tasks, the same on every query and seed."""
    cells = [
        Cell(
            method,
            f"t{task}",
            (),
            {0: value, 1: value},
            complete=True,
            queries=lambda value=value: np.full((2, 4), value) if keep else None,  # type: ignore[misc]
        )
        for method, row in values.items()
        for task, value in enumerate(row)
    ]
    (found,) = comparisons(cells, "cosine", "mAP", "higher")
    return found


def test_rows_are_in_order_and_places_on_the_axis_by_hand() -> None:
    found = diagram(compared({"worst": [0.1, 0.1], "best": [0.3, 0.3], "mid": [0.2, 0.2]}))
    assert [(row.method, row.rank, row.low, row.high) for row in found.rows] == [
        ("best", 1, 1, 1),
        ("mid", 2, 2, 2),
        ("worst", 3, 3, 3),
    ]
    assert (found.bars, found.difference, found.last, found.ticks) == ((), None, 3, [1, 2, 3])
    assert [found.x(rank) for rank in (1, 2, 3)] == [found.LEFT, found.LEFT + found.PLOT / 2, found.LEFT + found.PLOT]
    assert found.y(1) - found.y(0) == found.LINE
    assert "All methods differ significantly over queries and seeds." in found.description
    assert found.title == "Mean ranks of 3 methods over 2 tasks: mAP by cosine"
    assert found.rows[0].words == "best: mean rank 1.00 [1.00, 1.00]"


def test_bars_are_the_groups_of_the_test_where_there_is_one() -> None:
    values = {"a": [0.5] * 5, "b": [0.4] * 5, "c": [0.3] * 5}
    tested, untested = diagram(compared(values)), diagram(compared({m: row[:4] for m, row in values.items()}))
    assert tested.bars == (Bar(((0, 1),), 0), Bar(((1, 2),), 1))  # they share b, so each has a separate lane
    assert tested.difference == pytest.approx(1.48, abs=5e-3)
    assert "critical difference 1.48" in tested.description
    assert untested.bars == ()
    assert tested.width - untested.width == tested.LANE


def test_a_bar_passes_a_method_that_differs() -> None:
    """As with a noisy method: a and c are not apart, and b, which ranks between them, differs from both."""
    clear = compared({"a": [0.5] * 2, "b": [0.4] * 2, "c": [0.3] * 2})
    found = diagram(replace(clear, groups=(("a", "c"),)))
    assert found.bars == (Bar(((0, 0), (2, 2)), 0),)
    assert "do not differ significantly over queries and seeds; thin lines pass methods that do." in found.description


def test_ties_are_one_bar_and_bars_that_do_not_overlap_share_a_lane() -> None:
    found = diagram(compared({"a": [0.5] * 2, "b": [0.5] * 2, "c": [0.1] * 2, "d": [0.1] * 2}))
    assert found.bars == (Bar(((0, 1),), 0), Bar(((2, 3),), 0))
    assert [row.rank for row in found.rows] == [1.5, 1.5, 3.5, 3.5]


def test_without_intervals_there_are_dots_alone() -> None:
    found = diagram(compared({"a": [0.5] * 2, "b": [0.1] * 2}, keep=False))
    assert [(row.low, row.high) for row in found.rows] == [(None, None)] * 2
    assert found.rows[0].words == "a: mean rank 1.00"
    assert found.description == "Ranks from 1 (best) to 2."


def test_many_methods_and_long_names() -> None:
    values = {f"m{n}": [n / 100] * 2 for n in range(MOST + 5)}
    values["m" + "x" * 200] = [0.9] * 2
    found = diagram(compared(values))
    assert (len(found.rows), found.more) == (MOST, 6)
    assert f"The best {MOST} methods are shown; the table has 6 more." in found.description
    assert found.rows[0].shown == "m" + "x" * 19 + "…"  # an m is wider than others
    assert found.rows[0].method == "m" + "x" * 200
    assert found.ticks[0] == 1
    assert found.ticks[-1] == found.last == MOST + 6
    assert len(found.ticks) <= 9
    assert max(found.y(row) for row in range(len(found.rows))) < found.height


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x" * 22, "x" * 22),
        ("x" * 23, "x" * 21 + "…"),
        ("行" * 11, "行" * 11),
        ("行" * 12, "行" * 10 + "…"),
        ("W" * 16, "W" * 15 + "…"),
    ],
)
def test_names_are_cut_to_what_their_column_holds(name: str, shown: str) -> None:
    found = diagram(compared({name: [0.5] * 2, "b": [0.1] * 2}, keep=False))
    assert (found.rows[0].method, found.rows[0].shown) == (name, shown)


@pytest.mark.parametrize("methods", range(2, 60, 3))
def test_ticks_are_whole_ranks_in_order(methods: int) -> None:
    ticks = diagram(compared({f"m{n}": [n / 100] * 2 for n in range(methods)}, keep=False)).ticks
    assert ticks[0] == 1
    assert ticks[-1] == methods
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 9
