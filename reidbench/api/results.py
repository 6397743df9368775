"""What `reidbench.run` and `reidbench.load` give: rows, means and differences, as frames, texts and pages."""

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
    """The results of a matrix, as its store had them when they were read.

    `board` has every row and every mean as objects, `plan` what the matrix asks for, `store` where it is kept.
    `warnings` are sentences about plugins that do not load, are gone, or have changed since results were made. All
    numbers are the evaluators' own values: fractions where their unit is "%". Methods that return a frame need pandas
    (`reidbench[pandas]`) and raise ReidbenchError without it; those that take a metric raise it for one that no
    evaluator gives. `metric` None is mAP, or the first metric of a matrix without it.
    """

    board: report.Leaderboard
    plan: Plan = field(repr=False)
    store: Store
    arguments: tuple[str, ...] = ()  # of the command that makes a row again, beside the matrix file
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[report.Result, ...]:
        """The rows that failed, or that wait for a stage that did, each with its reason as `error`."""
        return tuple(result for result in self.board.results if result.status in ("failed", "blocked"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was dropped, skipped or assumed, as "STAGE: sentence"; the same sentence of several seeds once."""
        return tuple(note.text for note in notes(self.board.results))

    @uncollected()
    def frame(self) -> pd.DataFrame:
        """One row a result: method, task, evaluator, seed, pretrain_seed, status, protocol, each metric, error, key.

        Metrics are floats, NaN where a row has none; the seeds nullable integers, <NA> where nothing depends on them.
        """
        return frames.rows(self.board)

    @uncollected()
    def summary(self) -> pd.DataFrame:
        """One row a mean over seeds: method, task, evaluator, metric, n, mean, sd, low, high and how they are meant.

        `low` and `high` end the 95 % interval of the mean; they and `sd` are NaN for one seed. With several
        pre-trainings (`pretrainings`) the mean is first taken over them. `seedless` means do not depend on seeds.
        `better` ("higher", "lower") and `unit` are what the evaluator declares of the metric, None where nothing.
        """
        return frames.summary(self.board)

    @uncollected()
    def against(self, method: str, metric: str | None = None) -> pd.DataFrame:
        """Paired differences of every other method to `method`, a row for each task and evaluator where there is one.

        `difference` is positive where the other method is better; `low` and `high` end its 95 % interval; in `better`
        of `n` seeds it is so. `wins`, `ties` and `losses` count the queries, by their means over seeds, and are <NA>
        where the results of queries are not kept. `apart` has words of one of the two protocols only: such a difference
        is not the method's alone. See `report.Paired`. Raises ReidbenchError for an unknown method.
        """
        return frames.differences(self.board, method, metric)

    @uncollected()
    def ranks(self, metric: str | None = None) -> pd.DataFrame:
        """Ranks over tasks: one row a method of each comparison (evaluator, and `kind` of rows), the best first.

        `mean_rank` over the `tasks` on which all compared methods are complete, with the ends of its 95 % interval over
        other queries and seeds, NaN where there is none; `win_rate` (a fraction) and `borda`. Methods with a letter in
        common are not set apart: in `group` by these draws, in `nemenyi` by the test over tasks (None where there are
        no intervals, or under five tasks). A method that is not compared has NaN, and the reason in `left_out`. See
        `report.ranks_of` for the ranks on each task, and for what is missing.
        """
        return frames.ranks(self.board, metric)

    @uncollected()
    def claims(self) -> pd.DataFrame:
        """The verdicts on what the matrix file claims: one row a claim, none for a file without `claims:`.

        `effect` with the ends `low` and `high` of its interval at level 1 - 2 alpha, of the pair of rows that decides;
        `p` and `against` are corrected by Holm's procedure over all claims. They are NaN for a claim that could not be
        tested, as `why` says. `power` to see the least effect that counts, with these `seeds`; `seeds_to_see` is how
        many that takes with power 0.8, `seeds_to_decide` how many the observed effect takes, <NA> for too many. See
        `report.judge` for every pair and task.
        """
        return frames.claims(self.board, self.plan)

    @uncollected()
    def leaderboard(self, metric: str | None = None) -> pd.DataFrame:
        """The wide table of one metric as texts, in its unit: a row a method, a column a task, and the protocol.

        A cell has mean ± sd over seeds [95 % interval]; `**` is around the best of a column and what noise cannot tell
        from it. The index is the method, and the evaluator where there are several.
        """
        return frames.wide(self.board, metric)

    @uncollected()
    def markdown(self, metric: str | None = None, against: str | Sequence[str] = (), *, ranks: bool = False) -> str:
        """The leaderboard as `reidbench table` prints it, with differences to the methods in `against`, and `ranks`."""
        names = [against] if isinstance(against, str) else against
        board = (
            replace(self.board, ranks=report.ranks_of(self.board, chosen(self.board, metric))) if ranks else self.board
        )
        return report.write(board, "md", metric, names)

    @uncollected()
    def html(
        self,
        metric: str | None = None,
        ranked: int = 3,
        pictures: Literal["rendered", "all", "none"] = "rendered",
    ) -> str:
        """The leaderboard as a page of its own: one file that asks the network for nothing.

        `ranked` best and worst queries of each row are on it, with pictures of rendered persons only, of all data, or
        of none. Needs the extra `report`.
        """
        if pictures not in ("rendered", "all", "none"):
            raise ReidbenchError(f"pictures must be rendered, all or none, not {pictures!r}")
        if type(ranked) is not int or ranked < 0:
            raise ReidbenchError(f"ranked must be a whole number from 0, not {ranked!r}")
        options = report.Options(metric, ranked, pictures, self.arguments)
        return report.write_board(self.board, self.plan, self.store, "html", options)

    @uncollected()
    def _repr_html_(self) -> str:
        """The leaderboard in a notebook: a table, what belongs beside its numbers, and no scripts."""
        return snippet.html(self.board)

    def __repr__(self) -> str:
        """Title, and rows by status; no path, since notebooks are shared with what they show."""
        counts = Counter(result.status for result in self.board.results)
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"<Results of {self.board.title!r}: {len(self.board.results)} rows: {said or 'none'}>"
