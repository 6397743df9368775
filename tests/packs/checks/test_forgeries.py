"""Two hundred damaged, forged and hostile packs: none passes with a number that its features do not give."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from reidbench.errors import ReidbenchError
from reidbench.execution import progress
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.packs.checks.verify import Asked, verify
from reidbench.packs.reading import Pack
from reidbench.packs.writing import write_pack
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from tests.support.forgeries import FORGED, REFUSED, Forgery, forgeries

COUNT = 200
MATRIX = """
image_size: [32, 16]
seeds: [0, 1]
data: {d: {use: synthetic, world: plaza, size: tiny}}
tasks: {t: {source: d, target: d}}
backbone: {use: resnet-tiny, width: 4}
methods: {untrained: {finetune: none}, bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}
"""
# Reads each file of a folder as a pack, allowed to write nothing, with little time and one gigabyte more than the
# imports have taken, which is more where there are more cores.
READS = """
import resource, sys
from pathlib import Path

import psutil
from reidbench.errors import ReidbenchError
from reidbench.packs.reading import Pack

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
if sys.platform == "linux":
    most = psutil.Process().memory_info().vms + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        with Pack(file) as pack:
            for key in pack.manifests:
                pack.manifests[key], pack.results(key), pack.features(key), pack.rounded(key)
            print("OPENED", file.name, flush=True)
    except ReidbenchError as error:
        assert "\\n" not in str(error), error
        print("REFUSED", file.name, flush=True)
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A pack with features, two methods and two seeds."""
    folder = tmp_path_factory.mktemp("sound")
    run_matrix(MATRIX, folder)
    the_plan = plan.expand(reader.read(folder / "matrix.yaml", registry))
    write_pack(the_plan, Store(folder / "store"), folder / "sound.zip", features=True)
    return folder / "sound.zip"


@pytest.fixture(scope="module")
def all_of_them(sound: Path) -> list[Forgery]:
    return list(forgeries(sound, COUNT))


def numbers(pack: Path, registry: Registry, store: Path | None = None) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The mismatches of a pack, and the numbers that were computed here, by key."""
    with Pack(pack) as opened:
        found = verify(opened, registry, Asked(store=store), progress.Lines(Console(file=io.StringIO())))
        return list(found.findings.mismatches), {key: dict(one) for key, one in found.numbers.items()}


def test_what_is_no_sound_pack_does_not_open_and_costs_little(all_of_them: list[Forgery], tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    packs.mkdir()
    refused = [one for one in all_of_them if one.expected == REFUSED]
    for number, one in enumerate(refused):
        (packs / f"{number:03}.zip").write_bytes(one.data)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READS, str(packs)], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    opened = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("OPENED")]
    assert [refused[int(name[:3])].name for name in opened] == []
    assert len(done.stdout.splitlines()) == len(refused) > 150
    assert [path.name for path in tmp_path.iterdir()] == ["packs"]


@pytest.mark.slow
def test_no_number_passes_that_its_features_do_not_give(
    all_of_them: list[Forgery], sound: Path, registry: Registry, tmp_path: Path
) -> None:
    """Neither as a result of `verify`, nor in the store that it publishes to."""
    mismatches, true = numbers(sound, registry)
    assert (mismatches, len(true)) == ([], 4)
    forged = [one for one in all_of_them if one.expected == FORGED]
    assert len(forged) >= 30
    for number, one in enumerate(forged):
        file, store = tmp_path / f"{number}.zip", tmp_path / f"store {number}"
        file.write_bytes(one.data)
        try:
            mismatches, found = numbers(file, registry, store)
        except ReidbenchError:
            continue  # it did not even open
        assert mismatches, one.name
        assert all(found[key] == pytest.approx(true[key], abs=1e-6) for key in found), one.name
        published = Store(store)
        for key in published.keys():  # noqa: SIM118 - a method
            assert dict(published.manifest(key).metrics) == pytest.approx(true[key], abs=1e-6), one.name
