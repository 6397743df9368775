"""Scores of a features file with intervals and rules, and paired comparisons, as data and as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ranking.matches import JUNK
from .ranking.result import Ranking
from .reranking import Reranking
from .statistics import Difference, bootstrap, paired_bootstrap

LABELS = {"mAP": "mAP", "mINP": "mINP", "cmc1": "rank-1", "cmc5": "rank-5", "cmc10": "rank-10", "cmc20": "rank-20"}
ONE_QUERY = "one valid query: no intervals"


@dataclass(frozen=True)
class ScoreReport:
    """Scores of one features file; query_pids and query_camids [Q] identify the queries.

    `gallery` has the pids and camids [G] of the gallery, to compare only files of the same one. `pid_texts` and
    `camid_texts` have the text of each number if the file's labels are texts. `warnings` are sentences about what was
    left out, assumed or looks wrong.
    """

    name: str
    ranking: Ranking
    query_pids: NDArray[np.int64]
    query_camids: NDArray[np.int64]
    rerank: Reranking | None = None
    warnings: tuple[str, ...] = ()
    pid_texts: Mapping[int, str] = field(default_factory=dict)
    camid_texts: Mapping[int, str] = field(default_factory=dict)
    gallery: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def in_gallery(self) -> Counter[tuple[int | str, int | str]] | None:
        """Number of gallery rows by pid and camid as in the file, without junk; None if unknown."""
        if self.gallery is None:
            return None
        pids, camids = (array.tolist() for array in self.gallery)
        rows = zip(pids, camids, strict=True)
        found = Counter((pid, camid) for pid, camid in rows if pid != JUNK)
        return Counter(
            {(self.pid_texts.get(p, p), self.camid_texts.get(c, c)): count for (p, c), count in found.items()}
        )

    def asked(self) -> tuple[list[int | str], list[int | str]]:
        """pids and camids of the queries as in the file: strings are numbered differently in each file."""
        return (
            [self.pid_texts.get(pid, pid) for pid in self.query_pids.tolist()],
            [self.camid_texts.get(camid, camid) for camid in self.query_camids.tolist()],
        )

    def per_query(self) -> dict[str, NDArray[np.float64]]:
        """Per-query results [Q] whose mean is the score; NaN if the rules drop a query, 0 if they count it as zero.

        As `Ranking.per_query`, which is also NaN for images without a result. None if their means are not the scores:
        see `Ranking.without_intervals`.
        """
        if self.ranking.without_intervals:
            return {}
        found = self.ranking.per_query()
        return {name: found[name] for name in ("mAP", "mINP", "cmc1") if name in found}

    def rules(self) -> dict[str, Any]:
        """Rules of the ranking, and of the re-ranking if any."""
        return self.ranking.rules.as_dict() | {"rerank": self.rerank.as_dict() if self.rerank else None}

    def as_dict(self) -> dict[str, Any]:
        """JSON of `reidbench score`: fractions, not per cent; intervals are 95 % bootstraps over the queries."""
        found = self.ranking
        intervals = {name: bootstrap(values) for name, values in self.per_query().items()}
        return {
            "file": self.name,
            "mAP": found.mAP,
            "mINP": found.mINP,
            "cmc": {str(k): value for k, value in found.cmc_at.items()},
            "ci95": {name: [interval.low, interval.high] for name, interval in intervals.items() if interval.n > 1},
            "num_queries": found.num_queries,
            "num_valid": found.num_valid,
            "filtered": found.filtered,
            "invalid_queries": {
                "reasons": found.invalid_queries.reasons,
                "first": list(found.invalid_queries.first),
            },
            "ties": found.ties.as_dict(),
            "rules": self.rules(),
            "warnings": self._warnings(),
        } | ({"notes": notes} if (notes := self._notes()) else {})

    def _notes(self) -> list[str]:
        withheld = self.ranking.without_intervals or (ONE_QUERY if self.ranking.num_valid == 1 else "")
        return [*self.ranking.notes, *([withheld] if withheld else [])]

    def _warnings(self) -> list[str]:
        return [*self.warnings, *self.ranking.doubts()]

    def as_text(self) -> str:
        """Plain text of a few lines, in per cent."""
        found = self.ranking
        intervals = {name: bootstrap(values) for name, values in self.per_query().items()}
        over = " (over all drawn galleries)" if found.shares is not None else ""
        lines = [self.name]
        for name, value in found.metrics().items():
            interval = intervals.get(name)
            known = interval and interval.n > 1
            spread = f"  [{100 * interval.low:.2f}, {100 * interval.high:.2f}]" if interval and known else ""
            lines.append(f"  {LABELS[name]:<8}{100 * value:6.2f} %{spread}")
        lines.append(
            f"  {found.num_queries} queries, {found.num_valid} valid; removed{over}: {_removed(found.filtered)}"
        )
        if found.num_valid < found.num_queries:
            lines.append(f"  without a true match: {found.invalid_queries}")
            lines += [f"    {query}" for query in found.invalid_queries.first]
        if found.ties.pairs:
            lines.append(f"  ties{over}: {found.ties}")
        how = str(self.rerank) if self.rerank else "none"
        lines += [f"  {note}" for note in self._notes()]
        lines += [f"  warning: {warning}" for warning in self._warnings()]
        return "\n".join([*lines, f"  rules: {found.rules} rerank={how}"])


_PAIRS = {
    "same_image": "its own image",
    "same_camera": "a gallery row of the same pid and camera",
    "same_clothes": "a gallery row of the same pid in the same clothes",
    "different_clothes": "a gallery row of the same pid in other clothes",
    "same_modality": "a gallery row of the same modality",
    "skipped_camera": "a gallery row of a camera that it skips",
}


def _removed(filtered: dict[str, int]) -> str:
    parts = [f"{filtered['junk']} junk gallery rows"]
    pairs = {name: f"{filtered[name]} pairs of a query and {what}" for name, what in _PAIRS.items() if name in filtered}
    return ", ".join([*parts, *pairs.values()])


@dataclass(frozen=True)
class Comparison:
    """Paired difference of one metric, `name` minus `baseline`, over their common queries."""

    metric: str
    name: str
    baseline: str
    difference: Difference

    def as_dict(self) -> dict[str, Any]:
        """JSON values by name; `share` is the share of bootstrap samples in favour of `name`."""
        found = self.difference
        return {
            "metric": self.metric,
            "file": self.name,
            "baseline": self.baseline,
            "difference": found.value,
            "ci95": [found.low, found.high] if found.n > 1 else None,
            "share": found.share if found.n > 1 else None,
            "within_noise": found.within_noise,
        }

    def as_text(self) -> str:
        """One line, in percentage points."""
        found = self.difference
        verdict = "within noise" if found.within_noise else "beyond noise"
        if found.n < 2:
            return f"  {LABELS[self.metric]:<8}{100 * found.value:+6.2f}  one query: no interval, {verdict}"
        return (
            f"  {LABELS[self.metric]:<8}{100 * found.value:+6.2f}  [{100 * found.low:+.2f}, {100 * found.high:+.2f}]  "
            f"better in {100 * found.share:.1f} % of samples, {verdict}"
        )


def compare(reports: Sequence[ScoreReport]) -> tuple[list[Comparison], str]:
    """Compare each report with the first if both have the same queries and gallery; and a sentence about the others."""
    found, others, withheld, galleries = [], [], [], []
    for report in reports[1:]:
        baseline = reports[0]
        if report.ranking.without_intervals or baseline.ranking.without_intervals:
            withheld.append(report.name)
        elif not _comparable(baseline, report):
            others.append(report.name)
        elif baseline.in_gallery() != report.in_gallery():
            galleries.append(report.name)
        else:
            mine, theirs = report.per_query(), baseline.per_query()
            found += [
                Comparison(metric, report.name, baseline.name, paired_bootstrap(mine[metric], theirs[metric]))
                for metric in mine
            ]
    whys = (
        (others, "they have different (valid) queries"),
        (galleries, "they have different galleries: other pids, camids or numbers of images"),
        (withheld, "some queries have a true match in some of the drawn galleries only"),
    )
    notes = [f"not compared with {reports[0].name}, because {why}: {', '.join(names)}" for names, why in whys if names]
    return found, "; ".join(notes)


def _comparable(a: ScoreReport, b: ScoreReport) -> bool:
    mine, theirs = (np.isnan(report.per_query()["mAP"]) for report in (a, b))
    return a.asked() == b.asked() and np.array_equal(mine, theirs)


def render(reports: Sequence[ScoreReport], comparisons: Sequence[Comparison] = (), note: str = "") -> str:
    """Plain text of all reports, then of the comparisons."""
    parts = [report.as_text() for report in reports]
    for name in dict.fromkeys(comparison.name for comparison in comparisons):
        mine = [comparison for comparison in comparisons if comparison.name == name]
        lines = [f"{name} minus {mine[0].baseline}, paired over queries", *(line.as_text() for line in mine)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, note] if note else parts)
