"""Read `claims:`, the predictions of a matrix file about its rows, and `claim_rule:`, the rule that judges them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.components import Metric
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.claims import USUAL_RULE, Claim, ClaimRule, PublishedClaim
from reidbench.matrix.labels import evaluator_labels, judges_of
from reidbench.registry.published import usual_name

from .checker import Checker, guess, kind_word
from .yamlfile import Path_, shown

KINDS = ("better", "equal", "order")
KEYS = ("say", *KINDS, "than", "metric", "by", "on", "margin", "effect", "published", "why")
LEAST = 0.1  # points: tables print tenths, and smaller numbers are usually fractions written in place of points
USUAL = "mAP"


class ClaimReader:
    """Read the claims of a file whose data, tasks, methods and evaluators have been read."""

    def __init__(self, checker: Checker, found: Benchmark) -> None:
        self.check = checker
        self.methods = [recipe.name for recipe in found.methods]
        self.groups = {task.group: [one.name for one in found.tasks if one.group == task.group] for task in found.tasks}
        self.tasks = {task.name: [label for _, label in judges_of(found, task)] for task in found.tasks}
        choices = found.evaluate
        self.declared: dict[str, Mapping[str, Metric]] = {
            label: choice.component.declared for label, choice in zip(evaluator_labels(choices), choices, strict=True)
        }

    # ------------------------------------------------------------------ the rule
    def rule(self, value: Any) -> ClaimRule:
        """Read `claim_rule: {alpha: 0.05, effect: 3}`; both keys are optional."""
        given = self.check.map(value, ("claim_rule",), ("alpha", "effect"))
        alpha = self.number(given, "alpha", ("claim_rule",), USUAL_RULE.alpha)
        if not 0 < alpha < 0.5:
            self.wrong(("claim_rule", "alpha"), "must be above 0 and below 0.5", alpha)
            alpha = USUAL_RULE.alpha
        effect = self.number(given, "effect", ("claim_rule",), USUAL_RULE.effect)
        if effect < LEAST:
            self.wrong(("claim_rule", "effect"), f"is in points (3 is 3 % mAP) and must be at least {LEAST}", effect)
        return ClaimRule(alpha, effect)

    # ------------------------------------------------------------------ claims
    def read(self, value: Any, rule: ClaimRule) -> tuple[Claim, ...]:
        """Return all claims in the order of the file; report those that cannot be judged."""
        if not isinstance(value, list):
            self.check.wrong(("claims",), f"must be a list of maps, not {kind_word(value)}")
            return ()
        found: dict[str, Claim] = {}
        for index, entry in enumerate(value):
            path: Path_ = ("claims", index)
            claim = self.claim(entry, path, rule)
            if claim and claim.say in found:
                self.check.wrong((*path, "say"), f"another claim says {shown(claim.say)}; reword one of them")
            if claim:
                found.setdefault(claim.say, claim)
        return tuple(found.values())

    def claim(self, entry: Any, path: Path_, rule: ClaimRule) -> Claim | None:
        """Return the claim of an entry; report errors and return None."""
        before = len(self.check.problems)
        given = self.check.map(entry, path, KEYS)
        kinds = [key for key in KINDS if key in given]
        if not isinstance(entry, dict):
            return None
        say, why = (self.text(given, key, path) for key in ("say", "why"))
        if "say" not in given:
            self.check.wrong(path, "needs `say:`, the claim as a sentence")
        if len(kinds) != 1:
            known = "`better: ROW` with `than: ROW`, `equal: [ROWS]` or `order: [ROWS]`, the best first"
            self.check.wrong(path, f"needs {'one of ' * bool(kinds)}{known}{', not several of them' * bool(kinds)}")
            return None
        kind = kinds[0]
        rows = self.rows(given, kind, path)
        on = self.on(given, path)
        metric = self.text(given, "metric", path) or USUAL
        by: str | tuple[str, ...] = ""
        if isinstance(given.get("by"), list):
            by = self.by_row(given["by"], len(rows), metric, on, path) if on and rows else ()
        elif on:
            by = self.by(given, metric, on, path)
        if rows:
            self.repeated(rows, by, kind, path)
        first = by if isinstance(by, str) else next(iter(by), "")
        known_metric = self.declared[first].get(metric) if first else None
        margin, effect = self.numbers(given, kind, known_metric, rule, path) if known_metric else (0.0, 0.0)
        published = self.published(given, kind, known_metric, path) if "published" in given else None
        if published and published.effect and "effect" not in given:
            effect = min(effect, published.effect)  # otherwise a published effect could be refuted for being too small
        if len(self.check.problems) > before:
            return None
        return Claim(say, kind, rows, metric, by, on, margin, effect, published, why)  # type: ignore[arg-type]

    def text(self, given: Mapping[str, Any], key: str, path: Path_) -> str:
        """Return the text of a key, "" if it is missing; report values that are empty or not text."""
        value = given.get(key, "")
        if key in given and not (isinstance(value, str) and value.strip()):
            said = "empty text" if isinstance(value, str) else self.said(value, (*path, key))
            self.check.wrong((*path, key), f"must be text, not {said}{self.check.quotes(value)}")
            return ""
        return str(value)

    def wrong(self, path: Path_, must: str, value: float, cure: str = "") -> None:
        """Report a number that violates `must`, as typed."""
        self.check.wrong(path, f"{must}, not {self.check.text(path, value)}{cure}")

    def said(self, value: Any, path: Path_) -> str:
        """Return a scalar as the file has it, or the kind of any other value."""
        return self.check.text(path, value) if isinstance(value, str | int | float) else kind_word(value)

    # ------------------------------------------------------------------ rows, tasks, evaluator
    def rows(self, given: Mapping[str, Any], kind: str, path: Path_) -> tuple[str, ...]:
        """Return the compared rows, in order."""
        if kind == "better":
            if "than" not in given:
                self.check.wrong(path, "needs `than: ROW`, the row that the better one is compared with")
            return self.names([given["better"], given.get("than")], ("better", "than"), path, "than" in given)
        if "than" in given:
            self.check.wrong((*path, "than"), f"belongs to `better:`; list all rows in `{kind}:`")
        listed = given[kind]
        if not isinstance(listed, list) or len(listed) < 2:
            count = f"{shown(listed)}, which is one row" if isinstance(listed, list) and listed else kind_word(listed)
            self.check.wrong((*path, kind), f"must be a list of two or more rows, not {count}")
            return ()
        return self.names(listed, [(kind, place) for place in range(len(listed))], path, True)

    def names(self, values: Sequence[Any], keys: Sequence[Any], path: Path_, all_there: bool) -> tuple[str, ...]:
        """Return the names of rows; report every other value at its key. Returns () if one is wrong."""
        found = []
        for value, key in zip(values, keys, strict=True) if all_there else [(values[0], keys[0])]:
            place = (*path, *(key if isinstance(key, tuple) else (key,)))
            if not isinstance(value, str):
                said = f"{self.said(value, place)}{self.check.quotes(value)}"
                self.check.wrong(place, f"must be the name of a row, not {said}")
            elif value not in self.methods:
                self.check.wrong(place, _unknown("row", value, self.methods))
            else:
                found.append(value)
        return tuple(found) if len(found) == len(values) else ()

    def repeated(self, rows: Sequence[str], by: str | Sequence[str], kind: str, path: Path_) -> None:
        """Report rows that are compared with themselves: the same name, by the same evaluator."""
        sides = [(row, by) for row in rows] if isinstance(by, str) else list(zip(rows, by, strict=False))
        for place, side in enumerate(sides):
            if side in sides[:place]:
                where = (*path, "than") if kind == "better" else (*path, kind, place)
                cure = "; give `by:` a list to compare two evaluators of it" if isinstance(by, str) else ""
                said = f"the row {shown(side[0])} is repeated and cannot be compared with itself{cure}"
                self.check.wrong(where, said)

    def on(self, given: Mapping[str, Any], path: Path_) -> tuple[str, ...]:
        """Return the named tasks, with families expanded; by default all tasks of the file."""
        listed = given.get("on", list(self.tasks))
        if isinstance(listed, str):
            listed = [listed]
        if not isinstance(listed, list) or not listed:
            self.check.wrong((*path, "on"), f"must be a task or a list of tasks, not {kind_word(listed)}")
            return ()
        known = [*self.tasks, *(name for name in self.groups if name)]
        found: list[str] = []
        for index, name in enumerate(listed):
            place = (*path, "on", index) if isinstance(given.get("on"), list) else (*path, "on")
            if not isinstance(name, str) or name not in known:
                self.check.wrong(place, _unknown("task", name, known))
                continue
            tasks = [name] if name in self.tasks else self.groups[name]
            if twice := [task for task in tasks if task in found]:
                self.check.wrong(place, f"the task {shown(twice[0])} is repeated")
            found += tasks
        return tuple(found)

    def by(self, given: Mapping[str, Any], metric: str, on: Sequence[str], path: Path_) -> str:
        """Return the label of the evaluator that judges all tasks and gives the metric; report errors and return ""."""
        giving = [label for label, declared in self.declared.items() if metric in declared]
        named = self.text(given, "by", path)
        if not giving:
            known = list(dict.fromkeys(name for declared in self.declared.values() for name in declared))
            if "metric" in given:
                unknown = _unknown("metric of the file's evaluators", metric, known, near=usual_name(metric))
                self.check.wrong((*path, "metric"), unknown)
            else:
                self.check.wrong(path, f"needs `metric:`, one of {', '.join(known)}: no evaluator gives {USUAL}")
        elif named and named not in self.declared:
            self.check.wrong((*path, "by"), _unknown("evaluator", named, list(self.declared)))
        elif named and named not in giving:
            self.check.wrong((*path, "by"), f"{named} does not give {metric}; use {' or '.join(giving)}")
        elif named or "by" not in given:
            return self.one_judge([named] if named else giving, metric, on, path)
        return ""

    def by_row(
        self, listed: Sequence[Any], rows: int, metric: str, on: Sequence[str], path: Path_
    ) -> str | tuple[str, ...]:
        """Return the evaluator of each row of a claim that lists them, one text if all are equal; report errors."""
        before = len(self.check.problems)
        if len(listed) != rows:
            self.check.wrong((*path, "by"), f"has {len(listed)} evaluators for {rows} rows; name one for each row")
            return ()
        for place, label in enumerate(listed):
            where = (*path, "by", place)
            if not isinstance(label, str) or label not in self.declared:
                self.check.wrong(where, _unknown("evaluator", label, list(self.declared)))
            elif metric not in self.declared[label]:
                self.check.wrong(where, f"{label} does not give {metric}")
            elif lacking := [task for task in on if label not in self.tasks[task]]:
                self.check.wrong(where, f"{label} does not judge {', '.join(lacking)}; list fewer tasks in `on:`")
        if len(self.check.problems) == before:
            first, *others = (self.declared[label][metric] for label in listed)
            if any((one.unit, one.better) != (first.unit, first.better) for one in others):
                self.check.wrong((*path, "by"), f"the evaluators give {metric} in different units or directions")
        if len(self.check.problems) > before:
            return ()
        return listed[0] if len(set(listed)) == 1 else tuple(listed)

    def one_judge(self, giving: Sequence[str], metric: str, on: Sequence[str], path: Path_) -> str:
        """Return the evaluator, among those that give the metric, that judges all these tasks."""
        judging = [label for label in giving if all(label in self.tasks[task] for task in on)]
        if len(judging) > 1:
            self.check.wrong(path, f"several evaluators give {metric}: choose one with `by:`, {' or '.join(judging)}")
        elif not judging:
            lacking = {label: [task for task in on if label not in self.tasks[task]] for label in giving}
            words = "; ".join(f"{label} does not judge {', '.join(tasks)}" for label, tasks in lacking.items())
            self.check.wrong(path, f"no evaluator gives {metric} on all of its tasks: {words}; list fewer in `on:`")
        return judging[0] if len(judging) == 1 else ""

    # ------------------------------------------------------------------ numbers
    def numbers(
        self, given: Mapping[str, Any], kind: str, metric: Metric, rule: ClaimRule, path: Path_
    ) -> tuple[float, float]:
        """Return the margin and the smallest relevant effect, in the metric's printed unit."""
        margin = self.number(given, "margin", path, 0.0)
        percent = metric.unit == "%"
        if kind == "equal" and "margin" not in given:
            unit = "points" if percent else metric.unit or "the metric's own values"
            self.check.wrong(path, f"needs `margin:` above 0, in {unit}: no two rows are exactly equal")
        elif margin < 0 or (kind == "equal" and margin == 0):
            self.wrong((*path, "margin"), f"must be {'above 0' if kind == 'equal' else 'at least 0'}", margin)
        elif margin:
            self.check_points(margin, metric, (*path, "margin"))
        effect = self.number(given, "effect", path, rule.effect)
        if kind == "equal" and "effect" in given:
            self.check.wrong((*path, "effect"), "is the smallest relevant difference; `equal:` takes `margin:` instead")
        elif "effect" in given and effect <= 0:
            self.wrong((*path, "effect"), "must be above 0", effect)
        elif "effect" in given:
            self.check_points(effect, metric, (*path, "effect"))
        elif not percent and kind != "equal":
            unit = metric.unit or "its own values"
            name = f"{metric.name} is in {unit}, not in %"
            self.check.wrong(path, f"needs `effect:`, the smallest relevant difference: {name}")
        elif kind == "better" and effect >= LEAST:
            self.check_points(effect, metric, ("claim_rule", "effect"))
        return margin, effect

    def published(
        self, given: Mapping[str, Any], kind: str, metric: Metric | None, path: Path_
    ) -> PublishedClaim | None:
        """Return a paper's result: text, or `{effect: NUMBER, source: TEXT}` for a `better:` claim."""
        place: Path_ = (*path, "published")
        value = given["published"]
        if not isinstance(value, dict):
            return PublishedClaim(self.text(given, "published", path))
        inside = self.check.map(value, place, ("effect", "source"))
        source = self.text(inside, "source", place)
        if missing := [f"`{key}:`" for key in ("effect", "source") if key not in inside]:
            self.check.wrong(place, f"needs {' and '.join(missing)}; write plain text for words alone")
        if "effect" not in inside:
            return None
        effect = self.number(inside, "effect", place, 0.0)
        if kind != "better":
            self.check.wrong((*place, "effect"), f"compares two rows; describe in text what is published for `{kind}:`")
        elif effect <= 0:
            self.wrong((*place, "effect"), "must be above 0, since the better row comes first", effect)
        elif metric:
            self.check_points(effect, metric, (*place, "effect"))
        return PublishedClaim(source, effect)

    def number(self, given: Mapping[str, Any], key: str, path: Path_, default: float) -> float:
        """Return a finite number, or the default if it is missing; report anything else."""
        value = given.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.check.wrong((*path, key), f"must be a number, not {self.said(value, (*path, key))}")
            return default
        return float(value)

    def check_points(self, value: float, metric: Metric, path: Path_) -> None:
        """Report a number that exceeds every difference of two values of the metric, or a fraction given as points."""
        low, high = metric.ends
        scale = 100 if metric.unit == "%" else 1
        if metric.unit == "%" and value < LEAST:
            cure = f"; write {100 * value:.6g} for {100 * value:.6g} points"
            self.wrong(path, f"is in points and must be at least {LEAST}", value, cure)
        elif value >= scale * (high - low):
            most = f"{scale * (high - low):g}"
            self.wrong(path, f"must be below {most}, the largest difference of two values of {metric.name}", value)


def _unknown(what: str, value: Any, known: Sequence[str], near: str | None = None) -> str:
    names = f"known: {', '.join(known) or 'none'}"
    return f"unknown {what} {shown(value)}{guess(near or str(value), known)} ({names})"
