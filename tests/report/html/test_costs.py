"""The page with columns of efficiency: cells, an explanation, and a scatter over any of them."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from reidbench import report
from reidbench.execution import executors, progress
from reidbench.execution.runner import Runner
from reidbench.matrix import devices, plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.report import Options
from reidbench.report.efficiency import COLUMNS, efficiency
from reidbench.store.artifacts import Store

pytestmark = pytest.mark.usefixtures("one_thread")
OLD = 'Old <b onclick="x">'
NAMES = ("small", "wide", "histogram")
METHODS = {
    "small": "finetune: none",
    "wide": "{backbone: {use: resnet-tiny, width: 8}, finetune: none}",
    "histogram": "finetune: colour-histogram",
}


def planned(matrix: Callable[..., Path], *names: str) -> Plan:
    methods = ", ".join(f"{name}: {METHODS[name] if name == 'wide' else '{' + METHODS[name] + '}'}" for name in names)
    return plan.expand(reader.read(matrix(methods=f"{{{methods}}}", profile="true"), plugins.load()))


@pytest.fixture
def made(matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Store]:
    """Small and histogram were measured on this machine, wide on an older one."""
    store = Store(tmp_path / "store")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name, methods in ((OLD, ("wide",)), ("New", ("small", "histogram"))):
        monkeypatch.setattr(devices, "processor", lambda computes_with_torch, name=name: name)
        inline, display = executors.make("inline", 1), progress.Lines(Console(stderr=True))
        assert not Runner(planned(matrix, *methods), store, inline, display, frozenset()).run().failed
    return planned(matrix, *NAMES), store


def chart_data(text: str) -> dict[str, dict[str, dict[str, list[dict[str, object]]]]]:
    found = re.search(r'<script type="application/json" id="chart-data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_columns_stand_in_the_table_and_are_axes(made: tuple[Plan, Store]) -> None:
    text = report.table(*made, "html", Options(columns=tuple(COLUMNS), pictures="none"))
    costs = efficiency(*made, tuple(COLUMNS))
    options = re.search(r'<select id="chart-cost">(.*?)</select>', text)
    assert options
    assert re.findall(r'value="([^"]*)"', options[1]) == ["cost", *COLUMNS]
    figures = chart_data(text)["0-0"]
    for column in COLUMNS.values():
        assert f'<th scope="col" class="number wide">{column.heading}</th>' in text
        points = {str(one["name"]): one["x"] for one in figures[column.name]["data"]}
        compared = NAMES if not column.measured else ("small", "histogram")
        assert points.keys() == {*compared}
        for name in compared:
            value = costs.costs[name, "tiny"].values[column.name][1] * column.scale
            assert points[name] == [pytest.approx(value, rel=1e-4)]
    assert "Measured on New, " in text
    assert re.search(r"times and memory on New, [^<]* only", text)
    assert OLD not in text
    assert "(Old &lt;b onclick=" in text


def test_a_method_that_costs_nothing_is_on_the_axis_too(made: tuple[Plan, Store]) -> None:
    """The histogram has no parameters: a logarithm would lose it."""
    text = report.table(*made, "html", Options(columns=("params", "bytes"), pictures="none"))
    figures = chart_data(text)["0-0"]
    axes = {name: figures[name]["layout"]["xaxis"] for name in ("params", "bytes")}  # type: ignore[index]
    assert axes["params"].get("type") is None  # type: ignore[attr-defined]
    assert axes["bytes"]["type"] == "log"  # type: ignore[call-overload]
    assert "latency" not in figures
    assert "times and memory on" not in text  # neither is among the columns


def test_without_columns_the_page_has_none_of_it(made: tuple[Plan, Store]) -> None:
    text = report.table(*made, "html", Options(pictures="none"))
    assert 'id="chart-cost"' not in text
    assert "Measured on" not in text
    assert chart_data(text)["0-0"].keys() == {"cmc", "cost"}
    for column in COLUMNS.values():
        assert f">{column.heading}</th>" not in text


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="no chromium or no chromedriver here"
)
def test_a_reader_chooses_the_axis(made: tuple[Plan, Store], tmp_path: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.select import Select

    file = tmp_path / "page.html"
    file.write_text(report.table(*made, "html", Options(columns=("latency", "params"), pictures="none")))
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.binary_location = str(shutil.which("chromium"))
    browser = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        browser.get(file.as_uri())
        end = time.monotonic() + 60
        while browser.execute_script("return document.documentElement.dataset.ready") != "yes":
            assert time.monotonic() < end, "the page did not get there"
            time.sleep(0.05)
        drawn = "const p = document.getElementById('cost'); return [p.layout.xaxis.title.text, p.data.length]"
        titles = []
        for words in ("training, seconds", "latency, ms", "params, M"):
            Select(browser.find_element("css selector", "#chart-cost")).select_by_visible_text(words)
            titles.append(browser.execute_script(drawn))
    finally:
        browser.quit()
    assert titles == [["training, seconds (log)", 3], ["latency, ms (log)", 2], ["params, M", 3]]
