"""Names and error strings that are orders: to a terminal, a browser, a spreadsheet, Markdown, LaTeX. None is obeyed."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from reidbench import report
from reidbench.cli import main
from reidbench.errors import ReidbenchError
from reidbench.execution import progress
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Row, Stage
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.report import Leaderboard, Options, Result
from reidbench.report.formats.figures import draw
from reidbench.report.provenance import Evidence
from reidbench.report.results import summarise
from reidbench.scoring import score
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin

ORDERS = (
    "\x1b[2J\x1b[H", "\x1b]0;owned\x07", "\x1b]8;;http://evil.example\x07x\x1b]8;;\x07", "\x9b31m", "\r\nroot# ",
    "\x08" * 9, "a\u2028b", "\u202etxt.exe", "\u200b\ufeff", "\udcff",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</template><b>", "&lt;b&gt;", "\" onclick=\"x",
    "{{ 7*7 }}", "![x](http://evil.example/x.png)", "[x](javascript:alert(1))", "a|b\\|c\\\\|d", "`|`", "**x**", "---",
    "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "'=1", "\"\n=1",
    "\\input{/etc/passwd}", "\\\\[1cm]", "$x$", "a & b \\\\ \\hline", "%", "^^M", "~", "[bold]x[/bold]",
    ":bomb:", "a\0b",
)  # fmt: skip
PRINTABLE = tuple(order for order in ORDERS if order.isprintable())  # what the keys of a matrix file may be


def obeyed(text: str) -> set[str]:
    """Characters that control a terminal."""
    return {char for char in text if not char.isprintable() and char != "\n"}


def row(method: str, **more: str) -> Row:
    return Row(method, more.get("task", "t"), more.get("evaluator", "cosine"), 0, None, "key", protocol="AP step")


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """Every order as a method, a task, a metric and a reason, some as an evaluator."""
    results = []
    for number, order in enumerate(ORDERS):
        results.append(Result(row(order), "ok", {"mAP": number / 100, "cmc1": 0.5, order: 0.25}))
        results.append(Result(row("m", task=order), "failed", error=order))
        if number % 8 == 0:
            results.append(Result(row("m", evaluator=order), "ok", {"mAP": 0.5}))
        results.append(Result(row(f"{order}failed"), "not-applicable", error=f"needs {order}"))
    return Leaderboard(ORDERS[0], tuple(results), tuple(summarise(results)))


def test_markdown(board: Leaderboard) -> None:
    text = report.write(board, "md", against=["m", ORDERS[10]])
    assert obeyed(text) == set()
    assert not re.search(r"<\s*/?\s*[a-zA-Z!]", text)  # no element
    assert "](http" not in text
    assert "](javascript" not in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4  # tasks with two sets of evaluators, all metrics, differences
    for table in tables:
        counts = {len(cells_of(line)) for line in table}
        assert len(counts) == 1, counts


def cells_of(line: str) -> list[str]:
    """Split as GitHub does: a backslash escapes what follows it, itself too."""
    return re.findall(r"(?:\\.|[^|\\])+|(?<=\|)(?=\|)", line.strip().strip("|"))


def test_csv(board: Leaderboard) -> None:
    text = report.write(board, "csv")
    assert obeyed(text) == set()
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 1 + len(board.results)
    assert {len(line) for line in rows} == {len(rows[0])}
    for cell in (cell for line in rows for cell in line):
        number = re.fullmatch(r"-?[0-9.e-]*", cell)
        assert number or not cell.lstrip().startswith(("=", "+", "-", "@")), cell


def test_json(board: Leaderboard) -> None:
    text = report.write(board, "json")
    assert obeyed(text) == set()
    assert text.isascii()
    assert json.loads(text)["rows"][0]["method"] == ORDERS[0]


def test_latex(board: Leaderboard) -> None:
    text = report.write(board, "latex")
    assert obeyed(text) == set()  # no line break ends a comment before its own
    typeset = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert "%" not in re.sub(r"\\%", "", typeset)
    commands = set(re.findall(r"\\([a-zA-Z]+)", typeset))
    assert commands <= {
        "usepackage", "begin", "end", "centering", "caption", "toprule", "midrule", "bottomrule", "multicolumn",
        "cmidrule", "textbf", "footnotesize", "pm", "textbackslash", "textasciicircum", "textasciitilde",
        "textless", "textgreater", "textbar", "textquotedbl", "textasciigrave", "textquotesingle",
    }  # fmt: skip
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == len(board.methods) * len(board.evaluators)
    separators = {len(re.findall(r"(?<!\\)&", line)) for line in body}
    assert separators == {1 + 2 * len(board.tasks)}
    assert all(line.endswith(r" \\") and line.count(r"\\") == 1 for line in body)


# ------------------------------------------------------------------ the page and the figures, from a whole plan
@pytest.fixture
def made(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> tuple[Plan, Store]:
    """Names from a matrix file, and all other text from a store: reasons, versions, notes, metrics."""
    named = {name: number for number, name in enumerate(PRINTABLE)}
    methods = json.dumps({name: {"finetune": {"use": "colour-histogram", "bins": 2 + n}} for name, n in named.items()})
    tasks = json.dumps({name: {"source": "tiny", "target": "tiny"} for name in PRINTABLE[:2]})
    file = matrix(methods=methods, tasks=tasks, title=json.dumps(PRINTABLE[0]))
    the_plan, store = plan.expand(reader.read(file, registry)), Store(tmp_path / "store")
    for stage in the_plan.stages.values():
        if stage.kind == "evaluate" and PRINTABLE[0] in stage.label:
            with store.publishing(stage.key) as (_, manifest):
                manifest |= {"seconds": 1.0, "metrics": {"mAP": 0.5, **dict.fromkeys(ORDERS[:-1], 0.25)}}
                manifest |= {"versions": dict(zip(ORDERS, ORDERS, strict=True)), "platform": ORDERS[0]}
                manifest |= {"plugin": ORDERS[1], "source": ORDERS[2], "protocol": list(ORDERS)}
        elif stage.kind == "finetune":
            store.record_failure(stage.key, "".join(ORDERS[:9]) + ORDERS[10])
    return the_plan, store


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        links = [value for name, value in attrs if name in ("src", "href") and value and "evil" in value]
        self.handlers += [
            link for link in links if not re.fullmatch("#[a-z0-9-]+", link)
        ]  # a row's own address is fine


def test_the_page(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    text = report.table(the_plan, store, "html", Options())
    assert not {"\x1b", "\x07", "\x08", "\x9b", "\u202e", "\u2028", "\x00", "\ufeff", "\udcff"} & set(text)
    found = Elements(text)
    assert found.handlers == []
    assert found.scripts == 5
    assert "49" not in re.findall(r"<title>(.*?)</title>", text)[0]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font:UserWarning")
def test_figures(made: tuple[Plan, Store], tmp_path: Path) -> None:
    the_plan, store = made
    board = report.collect(the_plan, store)
    written = draw(board, Evidence(the_plan, store), tmp_path / "figures", ORDERS[0])
    assert written
    for file in written:
        assert file.parent == tmp_path / "figures"
        assert re.fullmatch(r"[a-z0-9._-]+", file.name)
        if file.suffix == ".svg":
            root = ElementTree.fromstring(file.read_text(encoding="utf-8"))  # noqa: S314 - our own file
            assert not [node for node in root.iter() if node.tag.endswith(("script", "foreignObject", "}a"))]


@pytest.mark.parametrize(
    "manifest",
    [
        {"metrics": {"mAP": "<b>"}}, {"metrics": {"mAP": float("nan")}}, {"metrics": {"mAP": None}}, {"metrics": []},
        {}, {"metrics": {"mAP": True}}, {"metrics": {"mAP": 0.5}},
        {"metrics": {"mAP": 0.5, "cmc²": 1.0, "cmc" + "9" * 5000: 1}},
        {"metrics": {"mAP": 0.5}, "seconds": "x", "versions": [], "platform": 1, "plugin": 1, "source": 1},
        {"metrics": {"mAP": 0.5}, "protocol": [1, None, {"a": 1}], "notes": 7},
    ],
)  # fmt: skip
def test_manifests_that_no_stage_wrote(
    manifest: dict[str, object], matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    """A whole artifact, checksums and all, from elsewhere."""
    the_plan, store = plan.expand(reader.read(matrix(), registry)), Store(tmp_path / "store")
    for stage in the_plan.stages.values():
        with store.publishing(stage.key) as (folder, made):
            made |= manifest
            (folder / "per_query.npz").write_bytes(b"PK\x03\x04 no archive")
            (folder / "notes.json").write_text('{"rules": [1]}')
    for form in ("md", "csv", "json", "latex", "html"):
        assert report.table(the_plan, store, form, Options())


# ------------------------------------------------------------------ the terminal
def stage(text: str) -> Stage:
    return Stage("k", "finetune", "x", {}, label=text)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_on_a_terminal(terminal: bool) -> None:
    stream = io.StringIO()
    with progress.make(Console(file=stream, force_terminal=terminal, width=4000, color_system=None)) as shown:
        shown.begin(len(ORDERS))
        for order in ORDERS:
            shown.started(stage(order))
            shown.event(stage(order), {"event": "progress", "done": 1, "total": 2})
            shown.event(stage(order), {"event": "note", "text": f"note {order}"})
            shown.ended(stage(order), "failed", 1.0, f"Error: {order}")
    text = stream.getvalue()
    if terminal:  # the bars themselves move the cursor, hide it, and clear their lines
        text = re.sub(r"\x1b\[(\d*[ABCDGKJ]|2K|\?25[lh])", "", text).replace("\r", "")
    assert obeyed(text) == set()
    assert "[bold]x[/bold]" in text
    assert ":bomb:" in text


def called(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Output of `reidbench ARGUMENTS`; it must end with 2 and show no traceback."""
    monkeypatch.setattr(sys, "argv", ["reidbench", *arguments])
    with pytest.raises(SystemExit) as end:
        main.main()
    found = capsys.readouterr()
    assert end.value.code == 2, found.err
    assert "Traceback" not in found.err
    assert found.out == ""
    return found.err


EVIL = "\x1b[2J\x1b]0;owned\x07"
COMMANDS = {
    "plan": ["plan", f"{EVIL}.yaml"],
    "set": ["plan", "MATRIX", "--set", f"{EVIL}=1"],
    "score": ["score", f"{EVIL}.npz"],
    "score of a folder": ["score", f"FOLDER/{EVIL}"],
    "store": ["run", "MATRIX", "--executor", "inline", "--store", f"/dev/null/{EVIL}"],
    "out": ["table", "MATRIX", "--store", "FOLDER", "-o", f"/dev/null/{EVIL}"],
    "against": ["table", "MATRIX", "--against", EVIL],
    "only": ["run", "MATRIX", "--only", EVIL],
    "show": ["show", "finetuner", EVIL],
    "embed": ["embed", "0", f"{EVIL}.png", "-o", "FOLDER/x.npz"],
    "search": ["search", "0", EVIL, "QUERY.png"],
    "row": ["search", "--file", "MATRIX", "--row", EVIL, "FOLDER.png", "FOLDER"],
    "export": ["export", EVIL, "-o", "FOLDER/x.onnx"],
    "data": ["data", "check", "market1501", f"FOLDER/{EVIL}"],
    "setting of data": ["data", "check", "market1501", "FOLDER", "--set", EVIL],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(
    name: str,
    matrix: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"MATRIX": str(matrix()), "FOLDER": str(tmp_path / "folder")}
    (tmp_path / "folder").mkdir()
    arguments = [re.sub("MATRIX|FOLDER", lambda found: places[found[0]], word) for word in COMMANDS[name]]
    text = called(arguments, monkeypatch, capsys)
    assert obeyed(text) == set()
    assert text.strip()


def test_plugins_with_such_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], matrix: Callable[..., Path]
) -> None:
    """The distribution's name, the entry point's, the traceback: all are untrusted text."""
    site = tmp_path / "site"
    monkeypatch.delenv("REIDBENCH_PLUGINS")
    monkeypatch.syspath_prepend(str(site))
    make_plugin(site, "evil_one", f"raise RuntimeError({EVIL + '<script>'!r})\n", distribution=f"evil-{EVIL}x")
    make_plugin(site, "evil_two", "from reidbench import Component, hookimpl\n@hookimpl\ndef reidbench_finetuners():\n"
                f"    yield Component({EVIL!r}, 'evil_two:run')\n")  # fmt: skip
    registry = plugins.load()
    assert len(registry.broken) == 2
    assert all(line.isprintable() for line in registry.complaints())
    monkeypatch.setattr(sys, "argv", ["reidbench", "plugins"])
    main.app(standalone_mode=False)
    assert obeyed(capsys.readouterr().out) == set()
    text = called(["plan", str(matrix(methods="{m: {finetune: none-such}}"))], monkeypatch, capsys)
    assert obeyed(text) == set()
    assert "not loaded" in text


def test_scores_of_files_with_such_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {f"{side}_features": rng.normal(size=(6, 4)) for side in ("query", "gallery")}
    columns |= {"query_pids": np.arange(6), "gallery_pids": np.arange(6)}
    columns |= {"query_camids": np.zeros(6), "gallery_camids": np.ones(6)}
    files = [tmp_path / f"{EVIL}{number}.npz" for number in range(2)]
    for file in files:
        np.savez(file, **columns)
    for as_json in (False, True):
        said: list[str] = []
        score.run(files, as_json=as_json, echo=said.append)
        assert said
        assert obeyed("".join(said)) == set()
    np.savez(files[0], **{EVIL: np.zeros(1)})
    with pytest.raises(ReidbenchError) as caught:
        score.run(files)
    assert str(caught.value).isprintable()
