"""A profile as a stage makes it: the same counts wherever it runs, with the threads of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench.matrix.devices import machine
from reidbench.stages.networks import network_hash
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench.training import efficiency

pytestmark = pytest.mark.usefixtures("one_thread")
TEXT = """
image_size: [32, 16]
threads: {threads}
profile: true
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{m: {{finetune: none, flip_test: true}}}}
"""


def made(store: Store) -> dict[str, Any]:
    """The manifests of a store by kind of stage."""
    manifests = [dict(store.manifest(key).manifest) for key in store.keys()]  # noqa: SIM118
    return {manifest["stage"]["kind"]: manifest for manifest in manifests}


@pytest.mark.slow
def test_a_worker_counts_what_this_process_counts(tmp_path: Path, market: Path) -> None:
    found = []
    for jobs in (0, 1):
        (folder := tmp_path / str(jobs)).mkdir()
        run_matrix(TEXT.format(root=market, threads=1), folder, jobs=jobs)
        store = Store(folder / "store")
        stages = made(store)
        profile = stages["profile"]
        found.append({name: profile["metrics"][name] for name in ("params", "macs", "bytes")})
        assert profile["machine"] == machine(1)
        assert profile["network"] == network_hash(store.path(stages["finetune"]["key"])) != ""
        assert profile["stage"]["parents"] == [["finetune", stages["finetune"]["key"]]]
        assert profile["metrics"]["params"] == stages["finetune"]["metrics"]["parameters"]
        assert profile["metrics"]["bytes"] == 4 * stages["embed"]["metrics"]["dim"]
    assert found[0] == found[1]


@pytest.mark.slow
def test_it_is_timed_with_the_threads_of_the_file(
    tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def measure(embedder: object, **settings: Any) -> dict[str, float]:
        seen.update(settings, threads=torch.get_num_threads())
        return {"params": 1.0}

    monkeypatch.setattr(efficiency, "measure", measure)
    run_matrix(TEXT.format(root=market, threads=2), tmp_path)
    assert (seen["threads"], seen["flip"]) == (2, True)
    assert torch.get_num_threads() == 1


def test_a_hash_tells_classes_and_shapes_apart_and_nothing_else(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    def saved(name: str, kind: str, **tensors: torch.Tensor) -> str:
        (folder := tmp_path / name).mkdir()
        (folder / "embedder.json").write_text(json.dumps({"class": kind, "spec": {"preprocess": {"mean": [name]}}}))
        save_file(tensors, folder / "embedder.safetensors", {"by": name})
        return network_hash(folder)

    first = saved("first", "a:B", weight=torch.zeros(2, 3))
    assert first == saved("values", "a:B", weight=torch.ones(2, 3))
    others = [
        saved("class", "a:C", weight=torch.zeros(2, 3)),
        saved("shape", "a:B", weight=torch.zeros(3, 2)),
        saved("more", "a:B", weight=torch.zeros(2, 3), bias=torch.zeros(2)),
        saved("none", "a:B"),
    ]
    assert len({first, *others}) == 5


@pytest.mark.parametrize(
    ("described", "tensors"),
    [
        (None, None),
        ("{", b""),
        ("[]", b"\x02\0\0\0\0\0\0\0{}"),
        ('{"class": "a:B"}', b"\xff" * 8),
        ('{"class": "a:B"}', b"\x02\0\0\0\0\0\0\0[]"),
        ('{"class": "a:B"}', b"\x08\0\0\0\0\0\0\0" + b'{"a": 1}'),
    ],
)
def test_files_that_are_none_have_no_hash(described: str | None, tensors: bytes | None, tmp_path: Path) -> None:
    if described is not None and tensors is not None:
        (tmp_path / "embedder.json").write_text(described)
        (tmp_path / "embedder.safetensors").write_bytes(tensors)
    assert network_hash(tmp_path) == ""
