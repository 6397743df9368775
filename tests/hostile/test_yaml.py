"""Matrix files that want more than to be read: each is one sentence, soon, and nothing is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.matrix.reading import reader
from reidbench.matrix.reading.yamlfile import read_value
from reidbench.registry.plugins import Registry

SECONDS = 5.0  # of processor time; what is not bounded here would take minutes, or the whole memory


def refused(file: Path, registry: Registry, *overrides: str) -> list[str]:
    """The problems of a file: printable lines, none of them endless, found in a few seconds."""
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        reader.read(file, registry, overrides)
    assert time.process_time() - began < SECONDS
    assert all(problem.isprintable() and len(problem) < 3000 for problem in caught.value.problems)
    return list(caught.value.problems)


def laughs(levels: int, width: int = 9) -> str:
    """Each level is a list of aliases to the one before."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


CHAIN = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 3000))
MERGES = "a0: &a0 {k: v}\n" + "\n".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 3000))
FILES = {
    "object": ("title: !!python/object:os.system {}\n", "1: the tag 'tag:yaml.org,2002:python/object:os.system'"),
    "apply": ("x: 1\ntitle: !!python/object/apply:pathlib.Path.touch [owned]\n", "2: the tag"),
    "new": ("title: !!python/object/new:subprocess.Popen [[touch, owned]]\n", "the tag"),
    "name": ("title: !!python/name:os.system\n", "the tag"),
    "module": ("title: !!python/module:owned\n", "the tag"),
    "key": ("? !!python/object/apply:os.system ['touch owned']\n: x\n", "a key must be a word"),
    "own tag": ("%TAG ! tag:yaml.org,2002:python/object/apply:\n---\ntitle: !os.system ['touch owned']\n", "the tag"),
    "binary": ("title: !!binary aGk=\n", "the tag"),
    "set": ("title: !!set {a, b}\n", "the tag"),
    "no bool": ("title: !!bool maybe\n", "'maybe' is not a valid bool"),
    "no number": ("title: !!int ''\n", "'' is not a valid int"),
    "no float": ("title: !!float ''\n", "'' is not a valid float"),
    "not finite": ("seeds: [.nan]\n", "'.nan' is not a finite number"),
    "64 bits": ("threads: 0xfffffffffffffffff\n", "'0xfffffffffffffffff' exceeds the range of 64-bit integers"),
    "a million digits": ("threads: 1" + "0" * 500_000, "is not a valid int"),
    "sexagesimal": ("threads: 1" + ":00" * 150_000, "is not a valid int"),
    "half a character": ('title: "\\ud800"\n', "contains an unpaired surrogate"),
    "no character": ('title: "\\UFFFFFFFF"\n', "1: not YAML"),
    "version": (f"%YAML {'9' * 5000}.1\n---\na: b\n", "not YAML"),
    "laughs": (laughs(10), "aliases expand to more than"),
    "laughs of maps": (laughs(10).replace("[", "{k: [").replace("]", "]}"), "aliases expand to more than"),
    "laughs of text": (f"a: &a {'x' * 400_000}\nb: [{','.join(['*a'] * 40_000)}]", "aliases expand to more than"),
    "chain of aliases": (CHAIN, "nested too deeply"),
    "chain of merges": (MERGES, "nested too deeply"),
    "deep": ("a: " + "[" * 200_000, "nested too deeply"),
    "deep maps": ("{a: " * 200_000, "nested too deeply"),
    "deep blocks": ("- " * 200_000, "nested too deeply"),
    "deep questions": ("? " * 200_000, "nested too deeply"),
    "merge of itself": ("a: &a\n  <<: *a\n", "an alias contains itself"),
    "merges in a ring": ("a: &a {b: &b {<<: *a}}\n", "1: an alias contains itself"),
    "merge of a list of itself": ("a: &a\n  <<: [*a, *a]\n", "an alias contains itself"),
    "merge of text": ("a: {<<: x}\n", "<< takes a map"),
    "many values": (f"a: [{'x,' * 60_000}]", "more than 50000 values"),
    "many bytes": ("# " + "x" * 1_100_000, "1: larger than 1 MiB"),
    "many problems": ("\n".join(f"k{n}: x" for n in range(5000)), "has more problems; these are the first"),
    "many combinations": (f"matrix: [{{pretrain: &a [{'x,' * 400}], adapt: *a, finetune: *a}}]", "expands to more"),
    "a long key": (f"{'k' * 900}: x", "must have at most 500 printable characters"),
    "a long name": (f"backbone: {'n' * 10_000}", "a name of 10000 characters"),
    "escapes in a key": ('"a\\e[2Jb": x\n', "printable characters"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    content, words = FILES[name]
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    found = refused(file, registry)
    assert any(words in problem for problem in found), found[:3]
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]  # nothing was touched


# written -> the error about it, at any place
SURPRISING = {
    "010": "010 would be read as 8; write 10 (or '010' in quotes for text)",
    "-010": "-010 would be read as -8; write -10 (or",
    "00": "00 would be read as 0; write 0 (or",
    "0x10": "0x10 would be read as 16; write 16 (or",
    "0b101": "0b101 would be read as 5; write 5 (or",
    "1_000": "1_000 would be read as 1000; write 1000 (or",
    "1_000.5": "1_000.5 would be read as 1000.5; write 1000.5 (or",
    "1:30": "1:30 would be read as 90; write 90 (or",
    "1:30.5": "1:30.5 would be read as 90.5; write 90.5 (or",
    "08": "08 is 8 for some YAML parsers and text for others; write 8 (or",
    "0o17": "0o17 is 15 for some YAML parsers and text for others; write 15 (or",
    "1_0e3": "1_0e3 is 10000.0 for some YAML parsers",
    "!!int '0x10'": "0x10 would be read as 16",
    "1e999": "'1e999' is not a finite number",
    "-.inf": "'-.inf' is not a finite number",
}


@pytest.mark.parametrize("written", SURPRISING)
@pytest.mark.parametrize("place", ["threads: {}", "seeds: [{}]", "title: {}", "tasks: {{t: {{target: {}}}}}"])
def test_numbers_that_are_not_what_they_look_like(written: str, place: str, tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(f"data: {{}}\n{place.format(written)}\n")
    assert refused(file, registry)[0].startswith(f"{file}:2: {SURPRISING[written]}")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3e-4", 3e-4), ("1e3", 1000.0), ("1E3", 1000.0), ("+1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("+5", 5),
        ("-5", -5), ("-0", 0), ("0.5", 0.5), ("1.0e+3", 1000.0), ("'010'", "010"), ('"1e3"', "1e3"),
        ("2024-01-01", "2024-01-01"), ("12a", "12a"), ("1,000", "1,000"), ("v08", "v08"), ("!!str 010", "010"),
    ],
)  # fmt: skip
def test_what_is_what_it_looks_like(written: str, value: object) -> None:
    found = read_value(written, "here")
    assert (found, type(found)) == (value, type(value))


SETTINGS = (
    "threads=010",
    "seeds=[1_000]",
    "title=!!python/object/apply:os.system ['touch owned']",
    "seeds=" + "[" * 5000,
    "seeds=&a [*a]",
    "a.b=[",
    "seeds=[.inf]",
    "threads=0x" + "f" * 5000,
    "=3",
    "methods..x=3",
    "methods.a\x1b[2J.finetune=none",
    "methods.a\nb.finetune=none",
    ".".join("a" * 1000) + "=1",
    "title" + "x" * 100_000,
)


@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_settings_of_the_command_line(
    number: int, matrix: Callable[..., Path], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--set` has the rules of the file."""
    monkeypatch.chdir(tmp_path)
    (problem,) = refused(matrix(), registry, SETTINGS[number])
    assert problem.startswith("--set ")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "root",
    ["nowhere", "a\\0b", "~nobody-of-that-name/x", "x" * 5000, "../" * 5000, "loop", "\\e[2J", "/dev/null/x", "~"],
)
def test_roots_that_lead_nowhere(root: str, matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    file = matrix(data=f'{{tiny: {{use: market-folder, root: "{root}"}}}}')
    if root == "~" or set(root) <= {".", "/"}:  # these are there; the reader reports that they hold no data set
        assert reader.read(file, registry).data["tiny"].root is not None
        return
    assert "no such folder or file" in refused(file, registry)[0]


def test_more_rows_than_anybody_waits_for(matrix: Callable[..., Path], registry: Registry) -> None:
    """Lists multiply: 2,000 seeds, 2,000 pre-training seeds, and nothing else out of the ordinary."""
    many = str(list(range(2000)))
    file = matrix(
        seeds=many, pretrain_seeds=many, methods="{m: {pretrain: moco-v2, finetune: bot}, n: {finetune: none}}"
    )
    assert "expands to 4002000 rows, more than 1000000" in refused(file, registry)[0]


def test_a_file_whose_name_is_an_order_to_the_terminal(tmp_path: Path, registry: Registry) -> None:
    for name in ("\x1b[2Jx.yaml", "a\nb.yaml", "\x1b]0;owned\x07.yaml", "b\udcffad.yaml"):
        file = tmp_path / name
        assert refused(file, registry)
        file.write_text("title: [\n")
        assert refused(file, registry)
    assert refused(tmp_path / "a\0b.yaml", registry)
    assert refused(tmp_path, registry)  # a folder
    assert "larger than" in refused(Path("/dev/zero"), registry)[0]
