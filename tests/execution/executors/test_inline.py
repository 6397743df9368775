"""Changes that a stage makes to its process, and whether the next one sees them."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from reidbench.execution.executors.surroundings import restored
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix


def seen() -> dict[str, object]:
    """All that a stage may change and the next one may depend on."""
    return {
        "cwd": Path.cwd(),
        "environment": dict(os.environ),
        "handler": signal.getsignal(signal.SIGTERM),
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "stream": sys.stdout,
        "recursion": sys.getrecursionlimit(),
        "errors": np.geterr(),
        "python": random.getstate()[1],
        "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index, union-attr]
        "torch": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "products": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "filling": torch.utils.deterministic.fill_uninitialized_memory,
        "benchmark": torch.backends.cudnn.benchmark,
    }


CHANGES: dict[str, Callable[[], object]] = {
    "cwd": lambda: os.chdir("/"),
    "environment": lambda: (os.environ.update(REIDBENCH_X="1"), os.environ.pop("PATH")),
    "handler": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),
    "timer": lambda: signal.setitimer(signal.ITIMER_REAL, 1000),
    "stream": lambda: setattr(sys, "stdout", sys.stderr),
    "recursion": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1000),
    "errors": lambda: np.seterr(all="raise"),
    "python": lambda: random.random(),
    "numpy": lambda: np.random.rand(1000),
    "torch": lambda: torch.rand(1000),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "grad": lambda: torch.set_grad_enabled(False),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "products": lambda: torch.set_float32_matmul_precision("medium"),
    "filling": lambda: setattr(
        torch.utils.deterministic,
        "fill_uninitialized_memory",
        not torch.utils.deterministic.fill_uninitialized_memory,  # another test may have left it off
    ),
    "deterministic": lambda: torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled()),
    "benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark),
}


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_everything_is_as_before(error: type[BaseException] | None) -> None:
    before = seen()
    try:
        with restored():
            for change in CHANGES.values():
                change()
            changed = seen()
            if error is not None:
                raise error
    except KeyboardInterrupt:
        assert error is not None
    after = seen()
    assert after == before
    assert {name for name in before if before[name] == changed[name]} == set()


def test_a_folder_that_is_gone_is_not_gone_back_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    with restored():
        os.chdir(tmp_path)
        (tmp_path / "gone").rmdir()
    assert Path.cwd() == tmp_path


PLUGIN = '''
"""A fine-tuner that leaves its process changed, and one that notices."""
import os
from reidbench import Component, Params, hookimpl


class LeavesParams(Params):
    change: bool = False


@hookimpl
def reidbench_finetuners():
    yield Component("leaves", "leaves_plugin:fit", LeavesParams, traits=frozenset({"label-free"}))


def fit(ctx):
    import torch
    from reidbench.training import BackboneEmbedder, Preprocess

    embedder = BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size))
    if ctx.params.change:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        os.chdir(os.environ["ELSEWHERE"])
    else:
        embedder(torch.rand(4, 3, 32, 16)).sum().backward()
    return embedder
'''


def test_the_next_stage_is_as_in_a_process_of_its_own(
    tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plugin(tmp_path / "site", "leaves_plugin", PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-leaves-plugin")
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{first: {{finetune: {{use: leaves, change: true}}}}, second: {{finetune: leaves}}}}
""",
        Path(),
    )
    assert [(result.status, result.error) for result in board.results] == [("ok", "")] * 2
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(Store(tmp_path / "here" / "store").keys()) == 7
