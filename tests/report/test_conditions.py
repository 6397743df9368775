"""One mean over results of different versions, sources, processors or precisions is named in every format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.cli import main
from reidbench.errors import ReidbenchError
from reidbench.execution.preview import changed_code
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench.report.conditions import conditions, mixtures
from reidbench.store.artifacts import Store

MADE = {
    "versions": {"torch": "2.6.0", "numpy": "2.1.0", "reidbench": "0.1.0"},
    "plugin": "p",
    "source": "a" * 32,
    "platform": "Linux-6.1-x86_64-with-glibc2.36",
    "processor": "Fast CPU",
    "settings": {"precision": "32-true"},
}
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("torch versions", {"versions": {**MADE["versions"], "torch": "2.7.1"}}),  # type: ignore[dict-item]
    ("numpy versions", {"versions": {**MADE["versions"], "numpy": "1.26.4"}}),  # type: ignore[dict-item]
    ("reidbench versions", {"versions": {**MADE["versions"], "reidbench": "0.2.0"}}),  # type: ignore[dict-item]
    ("plugin sources", {"source": "b" * 32}),
    ("processors", {"processor": "Other CPU"}),
    ("processors", {"platform": "Linux-6.1-aarch64-with-glibc2.36"}),
    ("precisions", {"settings": {"precision": "bf16-mixed"}}),
]


def made(file: Path, registry: Registry, store: Store, other: dict[str, Any], kind: str = "finetune") -> Plan:
    """Every stage published by hand, those of `kind` of seed 1 with `other` in their manifests."""
    the_plan = plan.expand(reader.read(file, registry))
    for stage in the_plan.stages.values():
        with store.publishing(stage.key) as (_, manifest):
            changed = other if stage.kind == kind and "seed 1" in stage.label else {}
            manifest |= {"metrics": {"mAP": 0.5}, "seconds": 1.0, "work_seconds": 1.0, **MADE, **changed}
    return the_plan


@pytest.fixture
def file(matrix: Callable[..., Path]) -> Path:
    return matrix(methods="{mine: {finetune: none}}", seeds="[0, 1, 2]")


@pytest.mark.parametrize(("what", "other"), OTHERS)
@pytest.mark.parametrize("kind", ["finetune", "embed", "evaluate"])
def test_a_difference_behind_one_seed_is_named(
    what: str, other: dict[str, Any], kind: str, file: Path, registry: Registry, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    the_plan = made(file, registry, store, other, kind)
    board = report.collect(the_plan, store)
    assert len(board.mixed) == 1
    assert f"mine on tiny by cosine: one mean is over different {what}" in board.mixed[0]
    assert "seeds 0, 2" in board.mixed[0]
    for result in board.results:
        assert f"several {what}" in result.row.protocol.split(", ")
        assert board.mixed[0] in result.notes
    for form in ("md", "csv", "json", "latex"):
        assert f"different {what}" in report.write(board, form)
    with pytest.raises(ReidbenchError, match=f"different {what}"):
        report.table(the_plan, store, "md", report.Options(strict=True))


def test_the_page_names_it(file: Path, registry: Registry, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    the_plan = made(file, registry, store, OTHERS[0][1])
    text = report.table(the_plan, store, "html", report.Options())
    assert "one mean is over different torch versions: 2.6.0 with seeds 0, 2; 2.7.1 with seed 1" in text
    assert "several torch versions" in text


def test_equal_conditions_are_no_note(file: Path, registry: Registry, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    the_plan = made(file, registry, store, {})
    board = report.collect(the_plan, store)
    assert board.mixed == ()
    assert all(result.notes == () and "several" not in result.row.protocol for result in board.results)
    report.table(the_plan, store, "md", report.Options(strict=True))


def test_a_kernel_is_no_processor() -> None:
    first, second = (conditions({**MADE, "platform": f"Linux-{n}-x86_64-with-glibc2.36"}) for n in ("5.10", "6.1"))
    assert first == second


def test_versions_that_change_places_are_seen() -> None:
    """Seed 0 trained by torch 1 and was scored by torch 2, seed 1 the other way round: both have seen both."""
    old, new = (conditions({"versions": {"torch": version}}) for version in ("1", "2"))
    train, score = ("finetune", "bot", 0), ("evaluate", "cosine", 0)
    found = mixtures([("0", {train: ("a", old), score: ("b", new)}), ("1", {train: ("c", new), score: ("d", old)})])
    assert [one.sentence for one in found] == [
        "one mean is over different torch versions: 1 with seed 0; 2 with seed 1 (in finetune bot)",
        "one mean is over different torch versions: 2 with seed 0; 1 with seed 1 (in evaluate cosine)",
    ]


def test_what_is_not_known_is_said() -> None:
    slot = ("finetune", "bot", 0)
    found = mixtures([("0", {slot: ("a", conditions(MADE))}), ("1", {slot: ("b", ())})])
    said = "one mean is over different origins: known with seed 0; unknown with seed 1 (in finetune bot)"
    assert [one.sentence for one in found] == [said]


def test_a_field_that_is_missing_is_unknown() -> None:
    slot = ("finetune", "bot", 0)
    older = conditions({name: value for name, value in MADE.items() if name != "settings"})
    found = mixtures([("0", {slot: ("a", conditions(MADE))}), ("1", {slot: ("b", older)})])
    said = "one mean is over different precisions: 32-true with seed 0; unknown with seed 1 (in finetune bot)"
    assert [one.sentence for one in found] == [said]


@pytest.mark.parametrize("command", ["table", "run", "plan"])
def test_a_changed_plugin_warns_with_the_cure(
    command: str, file: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The forged source is not that of the installed plugin, and the component's version is the same."""
    made(file, registry, Store(tmp_path / "store"), {})
    more = ["--executor", "inline"] if command == "run" else []
    monkeypatch.setattr(sys, "argv", ["reidbench", command, str(file), "--store", str(tmp_path / "store"), *more])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 0
    error = capsys.readouterr().err
    assert "the code of finetune none has changed since cached results" in error
    assert "raise `version`" in error


def test_an_unchanged_plugin_does_not_warn(registry: Registry) -> None:
    from reidbench.registry.plugins import source_hash

    now = source_hash(registry, "finetuner", "none")
    assert changed_code({("finetune", "none"): {now, ""}}, registry) == []
    assert len(changed_code({("finetune", "none"): {now, "0" * 32}}, registry)) == 1


def test_strict_refuses_on_the_command_line(
    file: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    made(file, registry, Store(tmp_path / "store"), OTHERS[0][1])
    for command in (["table"], ["table", "--format", "json"], ["run", "--executor", "inline"]):
        argv = ["reidbench", *command, str(file), "--store", str(tmp_path / "store"), "--strict"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as end:
            main.main()
        assert end.value.code == 2
        found = capsys.readouterr()
        assert found.out == ""
        assert "different torch versions" in found.err


def test_a_new_stage_writes_its_processor(
    matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["reidbench", "run", str(matrix()), "--store", str(tmp_path / "store"), "--executor", "inline"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit):
        main.main()
    files = list((tmp_path / "store").glob("objects/*/manifest.json"))
    assert files
    assert all(json.loads(file.read_text())["processor"] for file in files)
