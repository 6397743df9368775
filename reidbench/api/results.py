"""Results of `reidbench.run` and `reidbench.load`: rows, means and differences, as frames, text and pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Plan
from reidbench.report.formats.notes import notes
from reidbench.report.formats.tables import chosen
from reidbench.store.artifacts import Store

from . import frames, snippet
from .opening import uncollected

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Results:
    """Results of a matrix, as read from its store at the time of the call.

    `board` has every row and every mean as objects, `plan` the planned rows and stages, `store` the store. `warnings`
    are sentences about plugins that fail to load, are missing, or have changed since the results were computed. All
    numbers are the evaluators' values: fractions if the unit is "%". Methods that return a frame require pandas
    (`reidbench[pandas]`) and raise ReidbenchError without it; those that take a metric raise it for an unknown one.
    `metric` None is mAP, or the first metric of a matrix without it.
    """

    board: report.Leaderboard
    plan: Plan = field(repr=False)
    store: Store
    arguments: tuple[str, ...] = ()  # options of the command that reproduces a row
    warnings: tuple[str, ...] = ()

    def _board(self, metric: str | None) -> report.Leaderboard:
        """Return the board, with the competitions' score if that is the metric."""
        return report.collect(self.plan, self.store, score=True) if metric == report.SCORE else self.board

    @property
    def failed(self) -> tuple[report.Result, ...]:
        """Rows that failed, or that depend on a failed stage, each with the reason as `error`."""
        return tuple(result for result in self.board.results if result.status in ("failed", "blocked"))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on dropped or skipped data and assumptions, as "STAGE: sentence", each once for all seeds."""
        return tuple(note.text for note in notes(self.board.results))

    @uncollected()
    def frame(self) -> pd.DataFrame:
        """Return one row per result: method, task, evaluator, seeds, status, protocol, each metric, error and key.

        Metrics are floats, NaN if missing; seeds are nullable integers, <NA> if the result does not depend on them.
        """
        return frames.rows(self.board)

    @uncollected()
    def summary(self) -> pd.DataFrame:
        """Return one row per mean: method, task, evaluator, metric, n, mean, sd, low, high and more.

        The mean is over `results`: `n` seeds of each of the `pretrainings`. `low` and `high` bound its 95 % interval
        over seeds, and over pre-trainings if there are several; they and `sd` are NaN for one result. `seedless` means
        depend on no seed.
        `better` ("higher", "lower") and `unit` are the metric's declaration, None if it is undeclared.
        """
        return frames.summary(self.board)

    @uncollected()
    def against(self, method: str, metric: str | None = None) -> pd.DataFrame:
        """Return paired differences of every other method to `method`, one row per task and evaluator with both.

        `difference` is positive if the other method is better, as it is in `better` of `n` pairs of results with the
        same seed (and pre-training); `low` and `high` bound the 95 % interval. `unpaired` results have no partner.
        `wins`, `ties` and `losses` count queries by their means over seeds, and are <NA> without results per query.
        `apart` lists protocol words of only one of the two methods, which may also explain the difference. See
        `report.Paired`. Raises ReidbenchError for an unknown method.
        """
        return frames.differences(self._board(metric), method, metric)

    @uncollected()
    def ranks(self, metric: str | None = None) -> pd.DataFrame:
        """Return ranks across tasks: one row per method of each comparison (evaluator, and `kind` of rows), best first.

        `mean_rank` is over the `tasks` on which all compared methods are complete; `low` and `high` bound its 95 %
        interval over resampled queries and seeds, NaN without one. `win_rate` is a fraction. Methods that share a
        letter do not differ significantly: in `group` by resampling, in `nemenyi` by the test over tasks (None without
        intervals, or with fewer than five tasks). A method that is not compared has NaN, and the reason in `left_out`.
        See `report.ranks_of` for the ranks on each task, and for missing results.
        """
        return frames.ranks(self._board(metric), metric)

    @uncollected()
    def claims(self) -> pd.DataFrame:
        """Return the verdicts on the matrix file's claims: one row per claim, none for a file without `claims:`.

        `effect` and the bounds `low` and `high` of its interval at level 1 - 2 alpha are of the pair of rows that
        decides; `p` and `against` are corrected by Holm's procedure over all claims. They are NaN for a claim that
        could not be tested; `why` is the reason. `power` is the power to detect the smallest effect that counts with
        these `seeds`; `seeds_to_see` is the number of seeds for power 0.8, `seeds_to_decide` that for the observed
        effect, <NA> if too large. See `report.judge` for every pair and task.
        """
        return frames.claims(self.board, self.plan)

    @uncollected()
    def leaderboard(self, metric: str | None = None) -> pd.DataFrame:
        """Return the wide table of one metric as strings in its unit: methods by tasks, with the protocol.

        A cell has mean ± sd over seeds [95 % interval]; `**` marks the best of a column and those that do not differ
        from it significantly. The index is the method, and the evaluator if there are several.
        """
        return frames.wide(self._board(metric), metric)

    @uncollected()
    def markdown(self, metric: str | None = None, against: str | Sequence[str] = (), *, ranks: bool = False) -> str:
        """Return the leaderboard as `reidbench table` prints it, with differences to `against`, and with `ranks`."""
        names = [against] if isinstance(against, str) else against
        board = self._board(metric)
        board = replace(board, ranks=report.ranks_of(board, chosen(board, metric))) if ranks else board
        return report.write(board, "md", metric, names)

    @uncollected()
    def html(
        self,
        metric: str | None = None,
        ranked: int = 3,
        pictures: Literal["rendered", "all", "none"] = "rendered",
    ) -> str:
        """Return the leaderboard as a self-contained HTML page.

        It shows the `ranked` best and worst queries of each row, with images of rendered data only, of all data, or
        none. Requires the extra `report`.
        """
        if pictures not in ("rendered", "all", "none"):
            raise ReidbenchError(f"pictures must be rendered, all or none, not {pictures!r}")
        if type(ranked) is not int or ranked < 0:
            raise ReidbenchError(f"ranked must be a whole number from 0, not {ranked!r}")
        options = report.Options(metric, ranked, pictures, self.arguments)
        return report.write_board(self._board(metric), self.plan, self.store, "html", options)

    @uncollected()
    def _repr_html_(self) -> str:
        """Return the leaderboard for a notebook: a table with notes, without scripts."""
        return snippet.html(self.board)

    def __repr__(self) -> str:
        """Return title and results by status, without paths, since notebooks are shared with their output."""
        counts = Counter(result.status for result in self.board.results)
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"<Results of {self.board.title!r}: {len(self.board.results)} results: {said or 'none'}>"
