"""The LaTeX table: bold only beyond noise, every cell in its column, names that cannot become commands."""

from __future__ import annotations

import re

import pytest

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Place, Result, places
from reidbench.report.formats.latex import escape
from reidbench.report.results import USUAL, summarise

PROTOCOL = "source labels, AP step"


def rows_of(method: str, values: list[float], protocol: str = PROTOCOL, task: str = "t") -> list[Result]:
    return [
        Result(Row(method, task, "cosine", seed, None, "key", protocol=protocol), "ok", {"mAP": value, "cmc1": value})
        for seed, value in enumerate(values)
    ]


def board(*results: Result) -> Leaderboard:
    return Leaderboard("Title", results, tuple(summarise(results)))


def lines_of(text: str) -> dict[str, str]:
    """Rows of the table by their first cell."""
    return {line.split(" & ")[0]: line for line in text.splitlines() if line.endswith(r"\\")}


LEADING = rows_of("leading", [0.60, 0.62, 0.64])
TIED = rows_of("tied", [0.59, 0.63, 0.62])  # differences .01, -.01, .02: the interval holds 0
BEHIND = rows_of("behind", [0.50, 0.52, 0.54])  # .10 behind in every seed
THIRD = rows_of("third", [0.50, 0.51, 0.55])  # within noise of `behind`
PEEKING = rows_of("peeking", [0.95, 0.96, 0.97], "target images, transductive, AP step")


def test_bold_is_a_lead_beyond_noise() -> None:
    lines = lines_of(report.write(board(*LEADING, *BEHIND), "latex"))
    assert lines["leading"].startswith(r"leading & \textbf{62.0} {\footnotesize $\pm$ 2.0} & \textbf{62.0}")
    assert lines["behind"].startswith(r"behind & 52.0 {\footnotesize")


def test_nothing_is_bold_among_ties_or_without_rivals() -> None:
    assert r"\textbf" not in report.write(board(*LEADING, *TIED, *BEHIND, *PEEKING), "latex")


def test_a_rank_counts_those_that_are_better_beyond_noise() -> None:
    wide = rows_of("wide", [0.20, 0.51, 0.82])  # its mean is below `behind`, but nothing is beyond its noise
    found = places(board(*BEHIND, *LEADING, *TIED, *THIRD, *PEEKING, *wide), "t", "cosine", "mAP")
    assert found == {
        "leading": Place(1, 3, 2, 5),
        "tied": Place(1, 3, 2, 5),
        "wide": Place(1, 3, 0, 5),
        "behind": Place(3, 2, 0, 5),  # leading and tied are better: .10, and .0933 +- .038
        "third": Place(3, 2, 0, 5),
        "peeking": Place(1, 1, 0, 1, ("transductive",)),
    }


def test_a_row_without_a_seed_says_so() -> None:
    fixed = Result(Row("fixed", "t", "cosine", None, None, "key", protocol=PROTOCOL), "ok", {"mAP": 0.125, "cmc1": 0.5})
    text = report.write(board(*LEADING, fixed), "latex")
    said = r"{\footnotesize (no seed)}"
    assert lines_of(text)["fixed"] == rf"fixed & 12.5 {said} & 50.0 {said} \\"
    assert "they have one result (n = 1) and no interval over seeds" in text
    assert "(no seed)" not in report.write(board(*LEADING), "latex")


def test_every_row_fills_every_column() -> None:
    missing = Result(Row("gone", "t", "cosine", 0, None, None, "why", PROTOCOL), "not-applicable", error="why")
    failed = Result(Row("broken", "u", "cosine", 0, None, "k", "", PROTOCOL), "failed", error="boom")
    text = report.write(board(*LEADING, *rows_of("leading", [0.1], task="u"), missing, failed), "latex")
    assert r"\begin{tabular}{lrrrr}" in text
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in text
    for name, line in lines_of(text).items():
        cells = re.split(r"(?<!\\)&", line)
        spans = sum(int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d)\}", line))
        assert len(cells) + spans == 5, name
    assert lines_of(text)["gone"] == r"gone & n/a & n/a & -- & -- \\"
    assert lines_of(text)["broken"] == r"broken & -- & -- & failed & failed \\"
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_names_are_text() -> None:
    assert escape("100% & $x_1^2$ #~") == r"100\% \& \$x\_1\textasciicircum{}2\$ \#\textasciitilde{}"
    assert escape("\\input{/etc/passwd}") == r"\textbackslash{}input\{/etc/passwd\}"
    assert escape("a--b---c") == "a-{}-b-{}-{}-c"
    assert escape("a\nb\x1b[31m") == "a b {[}31m"
    text = report.write(board(*rows_of("[1ex] \\\\ * & %", [0.5, 0.6])), "latex")
    (name,) = [name for name in lines_of(text) if "1ex" in name]
    assert name == r"{[}1ex{]} \textbackslash{}\textbackslash{} {*} \& \%"


def test_another_metric_leads_and_an_unknown_one_is_reported() -> None:
    assert "Method & R1 & mAP" in report.write(board(*LEADING), "latex", "cmc1")
    with pytest.raises(ReidbenchError, match="known: mAP, cmc1"):
        report.write(board(*LEADING), "latex", "map")


def test_nothing_run_yet_is_still_a_table() -> None:
    missing = Result(Row("m", "t", "cosine", 0, None, "k", "", PROTOCOL), "missing", error="not run yet")
    text = report.write(board(missing), "latex")
    assert r"\begin{tabular}{lr}" in text
    assert r"m & missing \\" in text
    assert "% no number: m on t (seed 0): missing: not run yet" in text


def test_what_the_table_leaves_out_is_named() -> None:
    """A seed that failed, protocols, and that rows which saw the test images have no rivals among the others."""
    failed = Result(Row("behind", "t", "cosine", 3, None, "k", "", PROTOCOL), "failed", error="bot: boom \x1b[31m\n%")
    peeking = rows_of("peeking_1", [0.95, 0.96, 0.97], "target images, transductive, AP step")
    text = report.write(board(*LEADING, *BEHIND, failed, *peeking), "latex")
    lines = lines_of(text)
    assert lines["behind"].count("(3/4 seeds)") == 2  # mAP and R1
    assert "seeds)" not in lines["leading"]
    assert "% protocol of leading: source labels, AP step\n" in text
    assert "% protocol of peeking_1: target images, transductive, AP step\n" in text
    assert "% no number: behind on t (seed 3): failed: bot: boom  [31m %\n" in text
    assert r"Ranked only with rows of the same kind: peeking\_1 (transductive)." in text
    assert "Ranked only" not in report.write(board(*LEADING, *BEHIND), "latex")
    assert "Ranked only" not in report.write(board(*peeking), "latex")  # nothing that they could be ranked with


def test_the_caption_claims_no_bold_and_no_interval_that_is_not_there() -> None:
    one = [row for row in (*LEADING, *BEHIND) if row.row.seed == 0]
    text = report.write(board(*one), "latex")
    assert "Nothing is bold: one seed does not separate methods." in text
    assert "best methods are tied" not in text
    full = [*rows_of("full", [1.0, 1.0, 0.9]), *BEHIND]
    cut = Leaderboard("Title", tuple(full), tuple(summarise(full, {"cosine": USUAL})))
    assert "clipped to the metric" in report.write(cut, "md")
    assert "clipped to the metric" not in report.write(cut, "latex")
