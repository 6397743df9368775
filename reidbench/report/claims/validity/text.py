"""Orders of methods as Markdown: published numbers, one line per order, and discordant pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from reidbench.registry.published import percent
from reidbench.report.formats.tables import one_line, table
from reidbench.report.units import NAMES

from .compared import ACROSS_RULES, FEWEST, LEAST, Found, Order, Pair
from .groups import Group, Stand

MEANING = (
    "Kendall's tau-b between published values and means measured here: 1 is the published order, 0 no relation, -1 "
    f"the reverse. Only pairs with published values at least {100 * LEAST:g} point apart count; for mAP, at least "
    f"{100 * ACROSS_RULES:g} points if the rules of average precision differ or are unknown. The interval is a "
    "bootstrap over seeds (95 %): it covers other seeds, not other methods, and is too narrow with few seeds. "
    f"*Chance* is the share of random orders with at least this tau. Fewer than {FEWEST} methods are too few for a "
    "conclusion."
)
HEADINGS = ("measured on", "published for", "metric", "methods", "pairs", "concordant", "discordant", "tied", "tau-b")


def markdown(groups: Sequence[Group], found: Sequence[Sequence[Found]]) -> str:
    """Return all groups with their orders, in the order of the files."""
    parts = [MEANING]
    titles: dict[tuple[object, ...], str] = {}  # of the first group with these orders
    for group, of_files in zip(groups, found, strict=True):
        parts += [f"## {one_line(group.title)}", *filter(None, [one_line(group.text)]), _stated(group)]
        parts += [f"- Left out, {one_line(what)}: {one_line(why)}." for what, why in group.left_out.items()]
        orders = [order for one in of_files for order in one.orders]
        shown = (_summary(orders), *_discordant(orders)) if orders else ("No results yet.",)
        rows = tuple(order.rows for order in orders)
        first = titles.setdefault((*shown, rows), group.title) if orders else group.title
        parts += shown if first == group.title else [_repeated(group, orders, first)]
        parts += _left_out(orders)
        parts += [f"- {one_line(note)}" for one in of_files for note in one.notes if one.orders or one.rows > 1]
    return _joined(parts)


def _joined(parts: Sequence[str]) -> str:
    """Join paragraphs by blank lines, and lines of a list by line breaks."""
    lines = [parts[0]]
    for before, part in itertools.pairwise(parts):
        lines += [part] if before.startswith("- ") and part.startswith("- ") else ["", part]
    return "\n".join(lines) + "\n"


def _stated(group: Group) -> str:
    places = [(task, metric) for task in group.tasks for metric in group.metrics]
    headings = ["row", "published row", "source", *(f"{NAMES.get(metric, metric)}, {task}" for task, metric in places)]
    return table(headings, [_line(row, stand, places) for row, stand in group.rows.items()])


def _line(row: str, stand: Stand, places: Sequence[tuple[str, str]]) -> list[str]:
    first = stand.first
    rule = f"AP {first.ap}" if any(metric == "mAP" for _, metric in stand.numbers) else ""
    numbers = (stand.numbers.get(place) for place in places)
    cells = [percent(one.metric, one.value) if one else "" for one in numbers]
    said = "; ".join(filter(None, (first.row, first.note, stand.note)))
    return [row, said, ", ".join(filter(None, (first.source, rule))), *cells]


def _repeated(group: Group, orders: Sequence[Order], title: str) -> str:
    """Return a sentence in place of tables that are equal to those of another group."""
    ordered = {row for order in orders for row in order.rows}
    lacking = "; ".join(row for row in group.rows if row not in ordered)
    without = f" Not in any order: {lacking}." if lacking else ""
    return one_line(f"All orders are equal to those of *{title}*.{without}")


def _summary(orders: Sequence[Order]) -> str:
    return table([*HEADINGS, "chance"], [list(_cells(order)) for order in orders])


def _cells(order: Order) -> Iterator[str]:
    counts = order.counts
    yield f"{order.title}: {order.task}"
    yield order.published
    yield f"{NAMES.get(order.metric, order.metric)}, {order.evaluator}"
    yield f"{len(order.rows)}{' (too few)' if order.small else ''}"
    yield from map(str, (counts.pairs, counts.concordant, counts.discordant, counts.tied))
    yield _tau(order)
    yield "" if math.isnan(order.chance) else f"{order.chance:.2f}"


def _tau(order: Order) -> str:
    tau = order.tau
    if math.isnan(tau.value):
        return "none: no pair is ordered"
    ends = "" if math.isnan(tau.low) else f" [{tau.low:.2f}, {tau.high:.2f}]"
    several = f" x {order.pretrainings} pre-trainings" if order.pretrainings > 1 else ""
    return f"{tau.value:.2f}{ends}, {tau.n} seed{'s' * (tau.n > 1)}{several}"


def _discordant(orders: Sequence[Order]) -> Iterator[str]:
    """Yield the discordant pairs of all orders."""
    yield (
        "Discordant pairs: the better published method first, with its measured lead in points; in brackets if the "
        "95 % interval over paired seeds contains 0:"
    )
    same: dict[tuple[str, str, str], list[str]] = {}
    for order in orders:
        pairs = "; ".join(map(_exchanged, order.discordant)) or "none"
        same.setdefault((f"{order.title}: {order.task}", order.metric, pairs), []).append(order.published)
    for (where, metric, pairs), published in same.items():
        yield "- " + one_line(f"{where}, {NAMES.get(metric, metric)}, for {' and '.join(published)}: {pairs}.")


def _exchanged(pair: Pair) -> str:
    lead = f"{100 * pair.measured.value:+.1f}"
    return f"{pair.first} over {pair.second} {f'({lead})' if pair.measured.within_noise else lead}"


def _left_out(orders: Sequence[Order]) -> Iterator[str]:
    """Yield each sentence once."""
    said: dict[str, None] = {}
    for order in orders:
        metric = NAMES.get(order.metric, order.metric)
        for words, pairs in (("published too close", order.close), ("published under other AP rules", order.rules)):
            if pairs:
                named = ", ".join(f"{first} and {second}" for first, second in pairs)
                said[f"- Not counted for {order.published}, {metric}, {words}: {named}."] = None
        if order.tied:
            named = ", ".join(f"{pair.first} and {pair.second}" for pair in order.tied)
            said[f"- Tied on {order.task}, {metric}: {named}."] = None
        if order.without:
            said[f"- Left out on {order.task}, because some rows lack them: {', '.join(order.without)}."] = None
        for row, why in order.unmeasured.items():
            said[f"- Not in the order on {order.task}: {row} ({why})."] = None
    yield from map(one_line, said)
