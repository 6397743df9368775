"""The page is enough to make its table again: the matrix file, the versions and the commands are in it as text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidbench import report
from reidbench.cli import main
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.report.html.again import again
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.stages.provenance import installed
from reidbench.store.artifacts import Store

EVIL = "</pre></details><script>window.hacked=1</script> {{ 7*7 }} &amp; \u202e"


class Texts(HTMLParser):
    """The content of each `pre` as a reader copies it: the first line break belongs to the element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.details: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        if tag == "pre":
            self.texts.append("")
        if tag == "details":
            self.details.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self.texts[-1] = self.texts[-1].removeprefix("\n")
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "pre":
            self.texts[-1] += data


def page_of(file: Path, registry: Registry, store: Store, *arguments: str) -> str:
    the_plan = plan.expand(reader.read(file, registry, [word for word in arguments if word != "--set"]))
    return report.table(the_plan, store, "html", Options(arguments=arguments))


def publish(store: Store, key: str, **fields: object) -> None:
    common = {"versions": {"python": "3.11.7", "torch": "2.6"}, "plugin": "x", "source": "", "platform": "none"}
    with store.publishing(key) as (_, manifest):
        manifest |= {"metrics": {"mAP": 0.5}, "seconds": 1.0, **common, **fields}


@pytest.mark.slow
def test_the_page_alone_makes_its_table_again(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text copied from the page is saved in an empty folder, and all commands but installations are run."""
    file = matrix(title="'Again & <again>'", seeds="[0, 1]")
    file.write_text("\n\n# ü, a comment\n" + file.read_text())
    monkeypatch.chdir(tmp_path)
    words = ["matrix.yaml", "--set", "seeds=[0]"]
    assert CliRunner().invoke(main.app, ["run", *words, "--executor", "inline"]).exit_code == 0
    wanted = CliRunner().invoke(main.app, ["table", *words, "--format", "csv"]).stdout
    found = Texts(page_of(file, registry, Store(tmp_path / ".reidbench"), "--set", "seeds=[0]"))
    commands, text, lock = found.texts
    assert text == file.read_text()
    assert lock.splitlines()[-3:] == [f"{name}=={version}" for name, version in list(installed().items())[-3:]]
    assert f"pyyaml=={installed()['pyyaml']}" in lock.splitlines()
    assert {"class": "again"} in found.details  # and not open
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("matrix.yaml").write_text(text)
    environment, activate, install, *own = commands.splitlines()
    assert (environment.split()[1:], activate, install) == (
        ["-m", "venv", "again"], ". again/bin/activate", "pip install -r lock.txt",
    )  # fmt: skip
    for line in own:
        name, *arguments = shlex.split(line)
        assert name == "reidbench"
        extra = ["--executor", "inline"] if arguments[0] == "run" else []
        assert CliRunner().invoke(main.app, [*arguments, *extra]).exit_code == 0
    assert CliRunner().invoke(main.app, ["table", *words, "--format", "csv"]).stdout == wanted
    assert Texts(Path("again.html").read_text()).texts[1] == text


def test_nothing_in_a_file_or_a_list_of_packages_is_markup(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    file, store = matrix(), Store(tmp_path / "store")
    file.write_text(f"# {EVIL}\n{file.read_text()}")
    the_plan = plan.expand(reader.read(file, registry))
    packages = {"torch": "2.6.0+cpu", "evil": "1\n--index-url http://127.0.0.1", "-r x": "1", "bad": EVIL, "fine": "1"}
    environment = store.keep_environment(packages)
    for key in the_plan.stages:
        publish(store, key, environment=environment)
    page = page_of(file, registry, store)
    assert "\u202e" not in page
    assert "<script>window.hacked" not in page
    _, text, lock = Texts(page).texts
    assert text == file.read_text().replace("\u202e", " ")
    assert "Not byte for byte the original" in page
    lines = lock.splitlines()
    assert lines[0] == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert [line for line in lines[1:] if not line.startswith("# ")] == ["fine==1", "torch==2.6.0+cpu"]
    assert sum("no installable version" in line for line in lines) == 3


def test_several_environments_and_unknown_ones_are_counted(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    file, store = matrix(seeds="[0, 1]"), Store(tmp_path / "store")
    the_plan = plan.expand(reader.read(file, registry))
    first, second = (store.keep_environment({"torch": version}) for version in ("2.6", "2.7"))
    keys = list(the_plan.stages)
    assert len(keys) == 7
    for key, environment in zip(keys, [second, second, second, first, first, "", "0" * 32], strict=True):
        publish(store, key, **({"environment": environment} if environment else {}))
    found = again(Evidence(the_plan, store))
    assert [(lock.file, str(lock.text), lock.stages, lock.python) for lock in found.locks] == [
        ("lock.txt", "torch==2.7", 3, "3.11.7"),
        ("lock-2.txt", "torch==2.6", 2, "3.11.7"),
    ]
    assert (found.without, found.known) == (2, {"python": "3.11.7", "torch": "2.6"})
    assert found.commands.splitlines()[0] == "python3.11 -m venv again"
    page = page_of(file, registry, store)
    assert "For 2 stages, only these versions are known: python 3.11.7, torch 2.6." in page


def test_a_store_without_results_has_commands_and_file(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    found = again(Evidence(plan.expand(reader.read(matrix(), registry)), Store(tmp_path / "store")))
    assert found.exact
    assert "pip install reidbench" in found.commands.splitlines()
    assert (found.locks, found.without) == ((), 0)


def test_no_secret_is_on_the_page(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> None:
    """Neither in the text, nor in what `--set` gave, which the commands repeat."""
    program = "{use: command, extract: 'tool {images} {out}', env: {TOKEN: swordfish-swordfish}}"
    file = matrix(methods=f"{{program: {{finetune: {program}}}}}")
    other = "methods.program.finetune.env.OTHER=hunter2"
    page = page_of(file, registry, Store(tmp_path / "store"), "--set", other)
    assert "swordfish" not in page
    assert "hunter2" not in page
    assert "env.OTHER=&lt;secret&gt;" in page
    assert json.dumps("TOKEN: '<secret>'")[1:-1].replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;") in page
