"""`show protocol`: what the field's protocols are, and where their definitions are from."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from reidbench.cli.end import exit_code
from reidbench.cli.main import app
from reidbench.matrix.families.generalisation import PROTOCOLS


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_names_its_tests_and_its_sources(name: str) -> None:
    done = CliRunner().invoke(app, ["show", "protocol", name])
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert lines[0] == f"protocol {name}"
    assert sum(line.startswith("test: ") for line in lines) == len(PROTOCOLS[name].targets)
    assert any(line.startswith("from: ") and "https://github.com/" in line for line in lines)


def test_protocols_2_and_3_differ_by_the_images_alone() -> None:
    second, third = (
        CliRunner().invoke(app, ["show", "protocol", name]).output.splitlines() for name in ("dg-2", "dg-3")
    )
    tests = [[line for line in lines if line.startswith("test: ")] for lines in (second, third)]
    assert tests[0] == tests[1]
    assert "test: market1501 + msmt17 + cuhk-sysu -> cuhk03" in tests[0]
    assert "images of the sources: train" in second
    assert "images of the sources: train, query and gallery" in third


def test_a_sequence_has_its_definitions_with_sources() -> None:
    lines = CliRunner().invoke(app, ["show", "protocol", "sequence"]).output.splitlines()
    numbers = [line.partition(":")[0] for line in lines[2:] if not line.startswith("  ")]
    assert numbers == ["seen average", "unseen average", "forgetting"]
    assert sum(line.startswith("  from: ") for line in lines) == 3


def test_an_unknown_protocol_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["reidbench", "show", "protocol", "dg-4"])
    assert exit_code(app) == 2
    assert capsys.readouterr().err == ("reidbench: unknown protocol 'dg-4' (known: dg-1, dg-2, dg-3, sequence)\n")
