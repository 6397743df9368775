"""Inputs that nobody thought of: every reader answers or refuses, in time, and touches nothing.

The quick profile is part of the ordinary suite; the slow one tries a hundred times as many, and prints how many.
"""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import readers
from tests.fuzz.readers import FRAGMENTS, MATRIX_SEEDS, WATCH

QUICK, SLOW = 200, 20_000
ENOUGH = {"suppress_health_check": list(HealthCheck), "deadline": None, "database": None, "derandomize": True}

changes = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 65_535), st.binary(min_size=1, max_size=6)), max_size=4)


def tried(cases: st.SearchStrategy[Any], reader: Callable[..., Any], examples: int, folder: Path, name: str) -> str:
    """Give a reader this number of inputs; returns the sentence about them. Some must be valid, and some refused.

    A case is a function and its arguments, which make the reader's: a hundred kB of bytes are nothing to print.
    """
    WATCH.clear()

    @settings(max_examples=examples, **ENOUGH)
    @given(cases)
    def body(case: tuple[Callable[..., tuple[Any, ...]], ...]) -> None:
        make, *arguments = case
        WATCH(reader, *make(*arguments))

    with readers.inside(folder):
        body()
    assert sum(WATCH.counts.values()) >= examples * 0.9
    assert min(WATCH.counts["valid"], WATCH.counts["refused"]) > 0 or isinstance(reader, readers.Checkpoints)
    return WATCH.said(name)


# ------------------------------------------------------------------ matrix files
words = st.sampled_from(("use", "seeds", "data", "tasks", "methods", "finetune", "bot", "tiny", "target", "x", "é<"))
leaves = st.one_of(words, st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none(), st.text(max_size=8))
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)
fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=6)
splices = st.lists(st.tuples(st.integers(0, 65_535), st.sampled_from(FRAGMENTS), st.booleans()), max_size=3)
keys = ("seeds", "methods.bot.finetune.epochs", "data.x", "title", "threads", "a.b.c", "", "methods")


def spliced(seed: int, pieces: list[tuple[int, str, bool]]) -> tuple[bytes]:
    """A matrix file with pieces of YAML put in, or written over what was there."""
    text = MATRIX_SEEDS[seed]
    for where, piece, over in pieces:
        at = where * len(text) >> 16
        text = text[:at] + piece + text[at + len(piece) * over :]
    return (text.encode(),)


def scrambled(seed: int, some: list[Any]) -> tuple[bytes]:
    return (readers.mutated(MATRIX_SEEDS[seed].encode(), some),)


def dumped(tree: Any) -> tuple[bytes]:
    return (yaml.safe_dump(tree, allow_unicode=True).encode(errors="replace"),)


def joined(pieces: list[str]) -> tuple[bytes]:
    return ("".join(pieces).encode(),)


def override(key: str, pieces: list[str]) -> tuple[bytes, str]:
    return MATRIX_SEEDS[0].encode(), f"{key}={''.join(pieces)}"


matrices = st.one_of(
    st.tuples(st.just(spliced), st.integers(0, 1), splices),
    st.tuples(st.just(scrambled), st.integers(0, 1), changes),
    st.tuples(st.just(dumped), trees),
    st.tuples(st.just(joined), fragments),
    st.tuples(st.just(override), st.sampled_from(keys), fragments),
)


# ------------------------------------------------------------------ feature files
numbers = st.sampled_from((0.0, 1.0, -1.0, 2.0, 3.5, 1e38, -1e38, 1e-40, 1e300, np.nan, np.inf, 2**53, 7, 2**62))
kinds = ["<f4", ">f8", "<f2", "<i8", "<i4", "|u1", ">u8", "|b1", "<c8", "|O", "<U3", "<M8[s]", "|S2", "<f16"]
shapes = ((6,), (8,), (6, 4), (8, 4), (6, 8), (1, 6), (6, 1), (), (0,), (0, 4), (6, 0), (8, 0), (6, 4, 1))
drawn = st.tuples(numbers, st.sampled_from(kinds), st.sampled_from(shapes), st.booleans())
labels = st.sampled_from(tuple(readers.labelled()))
names = st.sampled_from((*readers.features(), "distances", "query_f", "names", "features", "train_pids", "other\x1b"))


def array(value: float, kind: str, shape: tuple[int, ...], spread: bool) -> Any:
    with np.errstate(all="ignore"):
        base = np.resize(np.array([value, 1, 2, 3] if spread else [value]), shape)
        try:
            return base.astype(kind)
        except (TypeError, ValueError, OverflowError):
            return np.zeros(shape, kind)


def with_arrays(given_: dict[str, Any], rerank: str | None) -> tuple[bytes, str, str | None]:
    new = {name: array(*what) for name, what in given_.items()}
    return readers.npz({**readers.features(), **new}), ".npz", rerank


def with_labels(given_: dict[str, Any]) -> tuple[bytes, str]:
    new = {name: array(*what) for name, what in given_.items()}
    return readers.npz({**readers.labelled(), **new}), ".npz"


def listed(seed: str, some: list[Any]) -> tuple[bytes]:
    return (readers.mutated(seed.encode(), some),)


def with_inner_change(seed: readers.Seed, number: int, some: list[Any]) -> tuple[bytes, str]:
    return readers.with_member(seed.data, number, lambda content: readers.mutated(content, some)), seed.suffix


def changed(seed: readers.Seed, some: list[Any]) -> tuple[bytes, str]:
    return readers.mutated(seed.data, some), seed.suffix


def called(seed: readers.Seed, suffix: str) -> tuple[bytes, str]:
    return seed.data, suffix


def raw(data: bytes, suffix: str) -> tuple[bytes, str]:
    return data, suffix


def files_of(seeds: list[readers.Seed], inner: int) -> list[st.SearchStrategy[Any]]:
    """Changed outside, changed inside with the checksums right, called otherwise, and bytes of no form at all."""
    zipped = [seed for seed in seeds if seed.data.startswith(b"PK")]
    suffixes = st.sampled_from(sorted({seed.suffix for seed in seeds}))
    return [
        st.tuples(st.just(changed), st.sampled_from(seeds), changes),
        st.tuples(st.just(with_inner_change), st.sampled_from(zipped), st.integers(0, inner), changes),
        st.tuples(st.just(called), st.sampled_from(seeds), suffixes),
        st.tuples(st.just(raw), st.binary(max_size=60), suffixes),
    ]


PROFILES = [pytest.param(QUICK, id="quick"), pytest.param(SLOW, id="slow", marks=pytest.mark.long)]


@pytest.mark.slow
@pytest.mark.parametrize("examples", PROFILES)
def test_matrix_reader(examples: int, tmp_path: Path, figure: Callable[[str], None]) -> None:
    reader = readers.Matrices(tmp_path)
    for seed in MATRIX_SEEDS:
        reader(seed.encode())  # a seed that is refused would be no seed
    figure(tried(matrices, reader, examples, tmp_path, "matrix reader"))


@pytest.mark.slow
@pytest.mark.parametrize("examples", PROFILES)
def test_score_reader(examples: int, tmp_path: Path, figure: Callable[[str], None]) -> None:
    reader, seeds = readers.Scores(tmp_path), readers.score_seeds()
    for seed in seeds:
        reader(seed.data, seed.suffix)
    reader(seeds[0].data, ".npz", "zhong")  # numba compiles once, and keeps what it made
    arrays = st.tuples(
        st.just(with_arrays), st.dictionaries(names, drawn, max_size=2), st.sampled_from((None, "zhong"))
    )
    figure(tried(st.one_of(arrays, *files_of(seeds, 30)), reader, examples, tmp_path, "score reader"))


@pytest.mark.slow
@pytest.mark.parametrize("examples", PROFILES)
def test_score_reader_of_labels(examples: int, tmp_path: Path, figure: Callable[[str], None]) -> None:
    reader = readers.Scores(tmp_path, exclude="same-clothes", cross="modality", pool="max")
    seeds = readers.labelled_seeds()
    for seed in seeds:
        reader(seed.data, seed.suffix)
    arrays = st.tuples(st.just(with_labels), st.dictionaries(labels, drawn, min_size=1, max_size=2))
    figure(tried(st.one_of(arrays, *files_of(seeds, 30)), reader, examples, tmp_path, "score reader of labels"))


@pytest.mark.parametrize("examples", PROFILES)
def test_manifest_reader(examples: int, tmp_path: Path, figure: Callable[[str], None]) -> None:
    reader = readers.Manifests(tmp_path)
    for seed in readers.MANIFEST_SEEDS:
        reader(seed.encode())
    cases = st.tuples(st.just(listed), st.sampled_from(readers.MANIFEST_SEEDS), changes)
    figure(tried(cases, reader, examples, tmp_path, "manifest reader"))


@pytest.mark.parametrize("examples", PROFILES)
def test_weights_reader(examples: int, tmp_path: Path, figure: Callable[[str], None]) -> None:
    reader = readers.Weights(tmp_path)
    seeds = readers.weight_seeds(reader.network)
    for seed in seeds:
        assert reader(seed.data, seed.suffix) >= 1
    figure(tried(st.one_of(files_of(seeds, 1)), reader, examples, tmp_path, "weights reader"))


@pytest.mark.parametrize("examples", PROFILES)
def test_checkpoint_reader(examples: int, tmp_path: Path, figure: Callable[[str], None]) -> None:
    seed = readers.checkpoint_seed(tmp_path)
    reader = readers.Checkpoints(tmp_path)
    assert reader(seed) == 3

    def damaged(some: list[Any]) -> tuple[bytes]:
        return (readers.mutated(seed, some),)

    cases = st.tuples(st.just(damaged), changes)  # all but a few end at the digest, and one way is soon tried
    figure(tried(cases, reader, min(examples, 5000), tmp_path, "checkpoint reader"))


# ------------------------------------------------------------------ guided by coverage
@pytest.mark.long
@pytest.mark.parametrize("name", ["matrix", "score", "weights"])
def test_with_atheris(name: str, tmp_path: Path, figure: Callable[[str], None]) -> None:
    """libFuzzer, guided by the branches of our readers and of PyYAML; its inputs differ from run to run."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install 'reidbench[fuzz]'")
    options = ["-runs=3000", "-max_len=4096", "-timeout=60"]
    options += ["-rss_limit_mb=0"]  # it would count the peak of these tests, which a child inherits
    command = [sys.executable, "-m", "tests.fuzz.with_atheris", name, *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 3000 runs" in done.stderr
    figure(f"atheris, {name} reader: 3000 inputs")


# ------------------------------------------------------------------ the watch itself
def test_the_watch_sees_what_it_must(tmp_path: Path) -> None:
    """A property that cannot fail is none."""

    def writes() -> None:
        (tmp_path / "elsewhere").write_text("x")

    def starts() -> None:
        subprocess.run(["true"], check=True)

    def hangs() -> None:
        while True:
            pass

    def raises() -> None:
        raise KeyError("x")

    def says_two_lines() -> None:
        raise readers.ReidbenchError("a\nb")

    for act in (writes, starts):
        with pytest.raises(AssertionError):
            WATCH(act)
        WATCH.seen.clear()
    with pytest.raises(KeyError):
        WATCH(raises)
    with pytest.raises(AssertionError):
        WATCH(says_two_lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "SECONDS", 0.05)
        with pytest.raises(readers.Hang):
            WATCH(hangs)
    assert WATCH(lambda: io.BytesIO(b"x").read()) == b"x"
    assert WATCH.seen == []
