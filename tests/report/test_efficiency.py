"""Efficiency columns: in every format, compared on one machine only, and only on request."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from reidbench import report
from reidbench.cli.main import app
from reidbench.errors import ReidbenchError
from reidbench.execution import executors, progress
from reidbench.execution.runner import Runner
from reidbench.files.atomic import write_whole
from reidbench.matrix import devices, plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Row
from reidbench.registry import plugins
from reidbench.report import Leaderboard, Options, Result
from reidbench.report.efficiency import COLUMNS, Cost, Efficiency, Shown, efficiency, names_of
from reidbench.report.results import summarise
from reidbench.store.artifacts import Store
from reidbench.training.efficiency import RUNS, WARM_UP

Matrix = Callable[..., Path]
ALL = tuple(COLUMNS)
NAMES = {"small": 4, "wide": 8}


# ---------------------------------------------------------------------- by hand
def cost(machine: str, params: float, low: float, median: float, high: float) -> Cost:
    values = dict.fromkeys(("macs", "memory", "bytes"), (1.0, 1.0, 1.0))
    speed = (1000 / high, 1000 / median, 1000 / low)
    return Cost(machine, {**values, "params": (params,) * 3, "latency": (low, median, high), "throughput": speed})


COSTS = {
    ("quick", "t"): cost("A", 25_557_032, 9.0, 10.0, 11.0),
    ("tied", "t"): cost("A", 25_557_032, 10.5, 12.0, 13.0),  # begins where the quick one has not ended
    ("slow", "t"): cost("A", 86_000_000, 40.0, 41.0, 1234.4),
    ("elsewhere", "t"): cost("B, 2 cores", 11_000_000, 1.0, 2.0, 3.0),
}
NONE = "nothing"  # a method whose costs are not known


def board(*names: str) -> Leaderboard:
    """A table of these methods with the columns params, latency and throughput, compared on A."""
    results = tuple(
        Result(Row(method, "t", "cosine", seed, None, "key", protocol="no labels"), "ok", {"mAP": 0.1 * seed + 0.2})
        for method in names
        for seed in range(3)
    )
    columns = tuple(COLUMNS[name] for name in ("params", "latency", "throughput"))
    missing = ("nothing on t: no costs: not measured yet; run again.",)
    costs = Efficiency(columns, "A", {place: one for place, one in COSTS.items() if place[0] in names}, missing)
    return Leaderboard("Title", results, tuple(summarise(results)), efficiency=costs)


def cells(method: str, *names: str) -> list[Shown]:
    found = board(*names).efficiency
    assert found is not None
    return [found.shown(method, "t", column) for column in found.columns]


def test_bold_is_the_best_and_whose_quartiles_reach_it() -> None:
    names = ("quick", "tied", "slow")
    assert cells("quick", *names) == [
        Shown("25.6", True, 25_557_032),
        Shown("10", True, 10.0),
        Shown("100", True, 100.0),
    ]
    assert cells("tied", *names) == [
        Shown("25.6", True, 25_557_032),
        Shown("12", True, 12.0),
        Shown("83.3", True, 1000 / 12),
    ]
    assert [cell.bold for cell in cells("slow", *names)] == [False] * 3


def test_another_machine_is_named_and_not_compared_but_for_what_no_machine_changes() -> None:
    names = ("quick", "slow", "elsewhere")
    assert cells("elsewhere", *names) == [
        Shown("11", True, 11_000_000),  # parameters are the same everywhere
        Shown("2 (B, 2 cores)"),
        Shown("500 (B, 2 cores)"),
    ]
    assert [cell.bold for cell in cells("quick", *names)] == [False, True, True]


def test_nothing_is_bold_where_nothing_is_worse_and_memory_never_is() -> None:
    assert not any(cell.bold for name in ("quick", "tied") for cell in cells(name, "quick", "tied"))
    costs = {
        ("a", "t"): Cost("A", {"memory": (5.0,) * 3}),
        ("b", "t"): Cost("A", {"memory": (9.0,) * 3}),
    }
    found = Efficiency((COLUMNS["memory"],), "A", costs)
    assert [found.shown(name, "t", COLUMNS["memory"]) for name in "ab"] == [
        Shown("5", False, 5.0),
        Shown("9", False, 9.0),
    ]


def test_a_method_that_costs_more_on_one_task_shows_both_and_is_not_bold() -> None:
    costs = {("a", "s"): cost("A", 1e6, 1, 1, 1), ("a", "t"): cost("A", 2e6, 1, 1, 1), ("b", "s"): COSTS["slow", "t"]}
    found = Efficiency((COLUMNS["params"],), "A", costs)
    assert found.of_method("a", ["s", "t"], COLUMNS["params"]) == Shown("1 / 2")
    assert found.of_method("b", ["s", "t"], COLUMNS["params"]) == Shown("86", False, 86_000_000)
    assert found.of_method("c", ["s", "t"], COLUMNS["params"]) == Shown("-")


def test_markdown() -> None:
    text = report.write(board("quick", "slow", "elsewhere", NONE), "md")
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    head, quick, slow, other, none = (
        [cell.strip() for cell in lines[name].split("|")[3:-1]]
        for name in ("method", "quick", "slow", "elsewhere", NONE)
    )
    assert head == ["params, M", "latency, ms", "throughput, images/s", "protocol"]
    assert quick == ["25.6", "**10**", "**100**", "no labels"]
    assert slow == ["86", "41", "24.4", "no labels"]
    assert other == ["**11**", "2 (B, 2 cores)", "500 (B, 2 cores)", "no labels"]
    assert none == ["-", "-", "-", "no labels"]
    assert (
        f"Measured on A: forward passes in float32, median of up to {RUNS} after up to {WARM_UP} warm-up passes" in text
    )
    assert "latency: median time of one image" in text
    assert "nothing on t: no costs: not measured yet; run again." in text


def test_latex() -> None:
    text = report.write(board("quick", "elsewhere", NONE), "latex")
    lines = {line.split(" & ")[0]: line for line in text.splitlines() if line.endswith(r"\\")}
    assert lines["Method"].endswith(r"& params, M & latency, ms & throughput, images/s \\")
    assert lines["quick"].endswith(r"& 25.6 & 10 & 100 \\")
    assert lines["elsewhere"].endswith(r"& \textbf{11} & 2 (B, 2 cores) & 500 (B, 2 cores) \\")
    assert lines[NONE].endswith(r"& -- & -- & -- \\")
    assert r"\begin{tabular}{lrrrr}" in text
    assert len({line.count(" & ") for line in lines.values()}) == 1
    assert "Measured on A" in text


def test_csv_and_json_have_the_numbers_as_measured_with_their_machine() -> None:
    found = board("quick", "elsewhere", NONE)
    rows = list(csv.DictReader(io.StringIO(report.write(found, "csv"))))
    assert list(rows[0])[-4:] == ["params", "latency", "throughput", "machine"]
    by_method = {row["method"]: [row[name] for name in ("params", "latency", "throughput", "machine")] for row in rows}
    assert by_method["quick"] == ["25557032", "10.0", "100.0", "A"]
    assert by_method["elsewhere"] == ["11000000", "2.0", "500.0", "B, 2 cores"]
    assert by_method[NONE] == [""] * 4
    content = json.loads(report.write(found, "json"))
    costs = {row["method"]: row["efficiency"] for row in content["rows"]}
    assert costs["quick"] == {"params": 25_557_032, "latency": 10.0, "throughput": 100.0, "machine": "A"}
    assert costs[NONE] is None
    assert content["efficiency"]["machine"] == "A"
    latency = {"column": "latency", "unit": "ms", "better": "lower", "measured": True}
    assert content["efficiency"]["columns"][1] == latency


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
def test_without_columns_a_table_is_as_it_was(form: str) -> None:
    whole = board("quick", "slow")
    text = report.write(replace(whole, efficiency=None), form)
    assert text == report.write(Leaderboard(whole.title, whole.results, whole.summary), form)
    assert text != report.write(whole, form)
    assert not {"latency", "throughput"} & set(text.split('"'))


def test_names_of_columns() -> None:
    assert names_of("macs, params,macs") == ("macs", "params")
    assert names_of("all") == ALL
    with pytest.raises(ReidbenchError, match=r"unknown column 'latncy'; did you mean 'latency'\? \(known: params"):
        names_of("params,latncy")


# ---------------------------------------------------------------------- from a store
@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives this machine another processor."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def named(name: str) -> None:
        monkeypatch.setattr(devices, "processor", lambda computes_with_torch: name)

    return named


@pytest.fixture
def planned(matrix: Matrix) -> Callable[..., Plan]:
    """The plan of networks of these widths, and of the ensemble of both."""

    def expanded(*names: str, ensemble: bool = False, **parts: str) -> Plan:
        of = [f"{name}: {{backbone: {{use: resnet-tiny, width: {NAMES[name]}}}, finetune: none}}" for name in names]
        of += ["both: {ensemble: [small, wide]}"] if ensemble else []
        given = {"methods": f"{{{', '.join(of)}}}", "profile": "true", "seeds": "[0, 1]", **parts}
        return plan.expand(reader.read(matrix(**given), plugins.load()))

    return expanded


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def run(the_plan: Plan, store: Store) -> None:
    console = Console(stderr=True)
    outcome = Runner(the_plan, store, executors.make("inline", 1), progress.Lines(console), frozenset()).run()
    assert not outcome.failed


def profile_of(the_plan: Plan, store: Store, method: str) -> dict[str, Any]:
    (key,) = next(row.profiles for row in the_plan.rows if row.method == method)
    return dict(store.manifest(key).manifest)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_an_ensemble_is_the_sum_of_its_parts(planned: Callable[..., Plan], store: Store) -> None:
    the_plan = planned("small", "wide", ensemble=True)
    run(the_plan, store)
    small, wide = (profile_of(the_plan, store, name)["metrics"] for name in NAMES)
    found = efficiency(the_plan, store, ALL)
    values = {name: value[1] for name, value in found.costs["both", "tiny"].values.items()}
    for name in ("params", "macs", "bytes", "memory", "latency", "latency64"):
        assert values[name] == pytest.approx(small[name] + wide[name])
        assert small[name] > 0
    assert values["throughput64"] == pytest.approx(64_000 / values["latency64"])
    assert small["params"] < wide["params"]
    assert small["bytes"] == 4 * 28
    assert found.missing == ()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_numbers_of_two_machines_are_not_ranked_together(
    planned: Callable[..., Plan], store: Store, machine: Callable[[str], None]
) -> None:
    """The small network is measured on the old machine, the wide one on the new."""
    machine("Old")
    run(planned("small"), store)
    machine("New")
    run(planned("wide"), store)
    both = planned("small", "wide")
    assert len(both.stages.keys() - store.keys()) == 1  # the small one's profile on the new machine
    found = efficiency(both, store, ALL)
    assert found.machine.startswith("New, ")
    assert {place[0]: one.machine[:3] for place, one in found.costs.items()} == {"small": "Old", "wide": "New"}
    for column in found.columns:
        small, wide = (found.shown(name, "tiny", column) for name in NAMES)
        assert (small.bold, wide.bold) == (not column.measured, False)
        assert (small.value is None) == ("Old, " in small.text) == column.measured
    text = report.table(both, store, "md", Options(columns=("latency", "params")))
    assert "(Old, " in text
    assert "Measured on New, " in text
    machine("Third")  # where nothing was measured: the machine of most rows, then by name
    assert efficiency(planned("small", "wide"), store, ALL).machine.startswith("New, ")
    machine("New")
    run(both, store)
    assert {one.machine[:3] for one in efficiency(both, store, ALL).costs.values()} == {"New"}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_tables_without_columns_and_results_do_not_depend_on_what_was_measured(
    planned: Callable[..., Plan], store: Store, machine: Callable[[str], None], tmp_path: Path
) -> None:
    plain, profiled = planned("small", "wide", profile=""), planned("small", "wide")
    run(plain, store)
    before = {form: report.table(plain, store, form, Options()) for form in ("md", "csv", "json", "latex")}
    run(profiled, store)
    machine("Other")
    run(planned("small", "wide"), store)
    for form, text in before.items():
        assert report.table(profiled, store, form, Options()) == text
    assert "machine" not in before["csv"]


def test_what_was_not_measured_says_why(planned: Callable[..., Plan], store: Store) -> None:
    the_plan = planned("small", "wide", ensemble=True)
    store.prepare()
    (key,) = next(row.profiles for row in the_plan.rows if row.method == "wide")
    store.record_failure(key, "out of memory")
    found = efficiency(the_plan, store, ("params",))
    assert found.costs == {}
    assert found.missing == (
        "small on tiny: no costs: not measured yet; run again.",
        "wide on tiny: no costs: failed: out of memory.",
        "both on tiny: no costs: not measured yet; run again.",
    )
    assert found.of_method("small", ["tiny"], COLUMNS["params"]) == Shown("-")


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_network_of_other_shapes_than_the_measured_one_has_no_costs(
    planned: Callable[..., Plan], store: Store
) -> None:
    the_plan = planned("small", "wide", seeds="[0]")
    run(the_plan, store)
    ((_, small),), ((_, wide),) = (the_plan.embedders(row) for row in the_plan.rows)
    file = "embedder.safetensors"
    write_whole(store.path(small) / file, (store.path(wide) / file).read_bytes())
    found = efficiency(the_plan, store, ("params",))
    assert [place[0] for place in found.costs] == ["wide"]
    assert found.missing == ("small on tiny: no costs: its network differs from the measured one.",)
    (store.path(small) / file).unlink()  # as in a store of results alone
    assert [place[0] for place in efficiency(the_plan, store, ("params",)).costs] == ["small", "wide"]


@pytest.mark.usefixtures("one_thread")
def test_features_of_no_network_cost_nothing_that_is_known(
    planned: Callable[..., Plan], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those that a program gave, which is planned as a network is, nor those that nothing here made."""
    from reidbench.training import efficiency as measuring

    monkeypatch.setattr(measuring, "is_network", lambda embedder: False)
    the_plan = planned("small", seeds="[0]")
    run(the_plan, store)
    found = efficiency(the_plan, store, ("params",))
    assert (found.costs, found.missing) == ({}, ("small on tiny: no costs: its features do not come from a network.",))
    monkeypatch.undo()
    the_plan = planned("small", "wide", ensemble=True, seeds="[0]")
    the_plan.rows = [
        replace(row, profiles=("", row.profiles[1]) if row.method == "both" else ("",)) for row in the_plan.rows
    ]
    found = efficiency(the_plan, store, ("params",))
    assert found.costs == {}
    assert {sentence.partition(": ")[2] for sentence in found.missing} == {
        "no costs: its features do not come from a network."
    }


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_commands(
    planned: Callable[..., Plan], store: Store, machine: Callable[[str], None], tmp_path: Path
) -> None:
    machine("Old")
    run(planned("small"), store)
    machine("New")
    runner, file = CliRunner(), str(planned("small").benchmark.file)
    place = ["--store", str(store.root)]
    asked = runner.invoke(app, ["table", file, *place, "--columns", "params,latency"])
    assert asked.exit_code == 0
    assert "| params, M" in asked.stdout
    cleaned = runner.invoke(app, ["clean", file, *place])
    assert "0 items removed" in cleaned.stdout  # what another machine has measured stays
    without = planned("small", profile="")
    refused = runner.invoke(app, ["table", str(without.benchmark.file), *place, "--columns", "params"])
    assert isinstance(refused.exception, ReidbenchError)
    assert str(refused.exception) == (
        f"--columns: {file} does not measure costs; add `profile: true` at the top and run `reidbench run {file}`"
    )
    gone = runner.invoke(app, ["clean", str(without.benchmark.file), *place, "--dry-run"])
    assert "1 items to remove" in gone.stdout
    assert "profile none" in gone.stdout
