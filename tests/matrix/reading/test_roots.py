"""Paths of a matrix file: `${NAME}` and `~` lead to them by name, and nothing but the path depends on the name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry

BY_NAME = "{tiny: {use: market-folder, root: '${MARKET}'}}"


def problems(file: Path, registry: Registry, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        reader.read(file, registry, overrides)
    return list(caught.value.problems)


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARKET", raising=False)


def test_a_name_leads_to_the_same_plan_as_the_path_itself(
    matrix: Callable[..., Path], registry: Registry, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage with its key, its root and its label: nothing that is stored knows of the name."""
    written = plan.expand(reader.read(matrix(), registry)).stages
    monkeypatch.setenv("MARKET", str(market.parent))
    monkeypatch.setenv("HOME", str(market.parent))
    for root in ("'${MARKET}/tiny'", "$MARKET/tiny", "~/tiny", "$HOME/tiny"):
        named = matrix(data=f"{{tiny: {{use: market-folder, root: {root}}}}}")
        assert plan.expand(reader.read(named, registry)).stages == written
    again = plan.expand(reader.read(matrix(data=BY_NAME), registry, ["data.tiny.root=$MARKET/tiny"])).stages
    assert again == written


def test_a_relative_value_is_relative_to_the_file(
    matrix: Callable[..., Path], registry: Registry, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = matrix(data=BY_NAME)
    (file.parent / "here").symlink_to(market)
    monkeypatch.setenv("MARKET", "here")
    assert reader.read(file, registry).data["tiny"].root == market


@pytest.mark.usefixtures("unset")
def test_a_missing_variable_is_named_with_its_cures(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(data=BY_NAME)
    sentence = "the environment variable MARKET is not set; export MARKET=FOLDER, or give --set data.tiny.root=FOLDER"
    assert problems(file, registry) == [f"{file}:3: data.tiny.root: {sentence}"]
    (of_set,) = problems(matrix(), registry, "data.tiny.root=$MARKET/a")
    assert of_set == f"--set 'data.tiny.root=$MARKET/a': data.tiny.root: {sentence}"


@pytest.mark.usefixtures("unset")
def test_each_cure_mends_it(
    matrix: Callable[..., Path], registry: Registry, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = matrix(data=BY_NAME)
    assert reader.read(file, registry, [f"data.tiny.root={market}"]).data["tiny"].root == market
    monkeypatch.setenv("MARKET", str(market))
    assert reader.read(file, registry).data["tiny"].root == market


def test_an_empty_variable_is_not_the_folder_of_the_file(
    matrix: Callable[..., Path], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET", "")
    assert "the environment variable MARKET is empty; export" in problems(matrix(data=BY_NAME), registry)[0]


def test_a_path_that_is_not_there_is_told_as_written_and_as_found(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET", str(tmp_path / "gone"))
    monkeypatch.setenv("HOME", str(tmp_path))
    gone = f"leads to '{tmp_path / 'gone'}'"
    assert f"no such folder or file: '${{MARKET}}' {gone}" in problems(matrix(data=BY_NAME), registry)[0]
    at_home = matrix(data="{tiny: {use: market-folder, root: ~/gone}}")
    assert f"no such folder or file: '~/gone' {gone}" in problems(at_home, registry)[0]
    plain = matrix(data=f"{{tiny: {{use: market-folder, root: {tmp_path / 'gone'}}}}}")
    assert problems(plain, registry)[0].endswith(f"no such folder or file: '{tmp_path / 'gone'}'")


METHODS = """
  weighted: {pretrain: {use: weights, file: "$WEIGHTS"}, finetune: none}
  styled row: {finetune: bot, adapt: {use: hhl, style: {use: camstyle-folder, folder: "${STYLES}/a"}}}
  listed: {finetune: none, adapt: [{use: hhl, style: {use: camstyle-folder, folder: "${STYLES}/a"}}]}
"""


def test_files_and_folders_among_parameters_too(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "styles" / "a").mkdir(parents=True)
    (tmp_path / "net.pth").write_bytes(b"weights")
    monkeypatch.setenv("WEIGHTS", str(tmp_path / "net.pth"))
    monkeypatch.setenv("STYLES", str(tmp_path / "styles"))
    weighted, styled, listed = reader.read(matrix(methods=METHODS), registry).methods
    assert weighted.steps[0][1].params.file == tmp_path / "net.pth"  # type: ignore[attr-defined]
    for recipe in (styled, listed):
        inner, _ = recipe.steps[1][1].nested["style"]
        assert inner.params.folder == tmp_path / "styles" / "a"  # type: ignore[attr-defined]


def test_their_missing_variables_and_files(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WEIGHTS", "STYLES"):
        monkeypatch.delenv(name, raising=False)
    file = matrix(methods=METHODS)
    weights, styles, listed = problems(file, registry)
    assert weights == (
        f"{file}:8: methods.weighted.pretrain.file: the environment variable WEIGHTS is not set; "
        "export WEIGHTS=FILE, or give --set methods.weighted.pretrain.file=FILE"
    )
    assert styles.endswith("export STYLES=FOLDER, or give --set 'methods.styled row.adapt.style.folder=FOLDER'")
    assert listed.endswith("; export STYLES=FOLDER")  # `--set` cannot name an entry of a list
    monkeypatch.setenv("WEIGHTS", str(tmp_path))
    monkeypatch.setenv("STYLES", str(tmp_path))
    found = problems(file, registry)
    assert f"no such file: '$WEIGHTS' leads to '{tmp_path}'" in found[0]
    assert f"no such folder: '${{STYLES}}/a' leads to '{tmp_path / 'a'}'" in found[1]


@pytest.mark.parametrize("data", ["{tiny: {use: market-folder, root: ${MARKET}}}", "[${MARKET}]"])
def test_yaml_wants_quotes_around_braces_inside_of_braces(
    data: str, matrix: Callable[..., Path], registry: Registry
) -> None:
    file = matrix(data=data)
    (problem,) = problems(file, registry)
    assert problem.startswith(f"{file}:3: not YAML: a variable in a map in braces or a list in brackets needs quotes")


def test_a_block_wants_none(
    matrix: Callable[..., Path], registry: Registry, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET", str(market.parent))
    file = matrix(data="\n  tiny:\n    use: market-folder\n    root: ${MARKET}/tiny")
    assert reader.read(file, registry).data["tiny"].root == market


def test_nothing_else_is_expanded(
    matrix: Callable[..., Path], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET", "no")
    file = matrix(title="$MARKET", methods="{'${MARKET}': {finetune: none}}")
    benchmark = reader.read(file, registry)
    assert (benchmark.title, benchmark.methods[0].name) == ("$MARKET", "${MARKET}")


def test_every_command_takes_names(
    matrix: Callable[..., Path], market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET", str(market))
    file, store = str(matrix(data=BY_NAME)), ["--store", str(tmp_path / "store")]
    for command in (["plan", file], ["run", file, "--executor", "inline"], ["table", file], ["clean", file]):
        done = CliRunner().invoke(main.app, [*command, *store])
        assert done.exit_code == 0, done.output
    monkeypatch.setenv("MARKET", "$MARKET")  # a value is taken as it is
    assert isinstance(CliRunner().invoke(main.app, ["table", file, *store]).exception, ConfigError)


@pytest.mark.slow
def test_the_program_names_a_missing_variable_and_ends_with_2(matrix: Callable[..., Path]) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("MARKET", None)
    words = [sys.executable, "-m", "reidbench", "table", str(matrix(data=BY_NAME))]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert "data.tiny.root: the environment variable MARKET is not set; export MARKET=FOLDER" in done.stderr
    assert "Traceback" not in done.stderr
