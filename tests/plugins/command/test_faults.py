"""A failing program fails its row, with one sentence; the matrix continues, and no process remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reidbench.store.locks import process_start
from reidbench_command.output import HEAD, TAIL

from .conftest import Bench, errors

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

LONGEST = 60.0  # time limit of these tests in seconds
FAULTY = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from extract import counts, write
fault, images, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
files = sorted(images.iterdir())
names, features = [file.name for file in files], [counts(file) for file in files]
def detached(*, session):
    if os.fork() == 0:
        if session:
            os.setsid()
        if os.fork() == 0:
            (out.parents[3] / f"{fault}.pid").write_text(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    while not (out.parents[3] / f"{fault}.pid").exists():
        time.sleep(0.01)
if fault == "exits":
    print("it is broken\\n\\n")
    sys.exit(3)
elif fault == "raises":
    raise ValueError("no such thing")
elif fault == "dies":
    print("about to die", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
elif fault == "hangs":
    detached(session=True)
    print("still here", flush=True)
    time.sleep(600)
elif fault == "closes":
    os.closerange(0, 3)
    time.sleep(600)
elif fault == "eats":
    detached(session=True)
    held = bytearray(1 << 30)
    for place in range(0, len(held), 4096):
        held[place] = 1
    time.sleep(600)
elif fault == "nan":
    features[1][0] = float("nan")
elif fault == "huge":
    features[1][0] = 1e300
elif fault == "misses":
    del names[2:4], features[2:4]
elif fault == "twice":
    names.append(names[0]), features.append(features[0])
elif fault == "surplus":
    names.append("other.png"), features.append(features[0])
elif fault == "ragged":
    features[1] = features[1][:-1]
elif fault == "text":
    features[1][0] = "abc"
elif fault == "prints":
    for _ in range(100):
        print("x" * 999_999)
    print("the end")
elif fault == "child":
    detached(session=True)
if fault != "nothing":
    write(out, names, features)
if fault == "both":
    (out / "features.npz").write_bytes(b"")
"""
REASONS = {
    "exits": "extract ended with exit code 3; its last line: it is broken",
    "raises": "extract ended with exit code 1; its last line: ValueError: no such thing",
    "dies": "extract was killed by SIGKILL; its last line: about to die",
    "hangs": "extract ran longer than its limit of 3 s; its last line: still here",
    "closes": "extract ran longer than its limit of 3 s; it printed nothing",
    "eats": "extract used more than its limit of 0.5 GiB; it printed nothing",
    "nan": "extract wrote features that are not finite for 1 of 16 images, first ",
    "huge": "extract wrote features that are not finite for 1 of 16 images, first ",
    "misses": "extract wrote no row for 2 of 16 images, first ",
    "twice": ".png twice, in rows 1 and 17",
    "surplus": "extract wrote a row for 'other.png', which is not among the given images",
    "ragged": "extract wrote features.csv: line 2 has 31 numbers, but the first row has 32",
    "text": "extract wrote features.csv: line 2 is invalid: ",
    "nothing": "extract must write features.npz or features.csv into {out}, but wrote neither",
    "both": "extract must write features.npz or features.csv into {out}, but wrote both",
    "absent": "extract: program ./absent not found in ",
    "unknown": "extract: program no-such-program not found in PATH",
    "script": "extract: cannot start ./script.sh: No such file or directory",
}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")


def faulty(fault: str, **more: Any) -> dict[str, Any]:
    command = f"python faulty.py {fault} {{images}} {{out}}"
    listed = {"files": ["faulty.py", "extract.py"], "lock": "extract.py"}
    return {"finetune": {"use": "command", "extract": command, **listed, **more}}


def gone(file: Path) -> bool:
    """Return whether the process with the number in that file has ended, or ends within a moment."""
    until = time.monotonic() + LONGEST
    while process_start(int(file.read_text())) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@LINUX
def test_each_fault_is_its_rows_one_sentence(bench: Bench) -> None:
    bench.program("faulty.py", FAULTY)
    bench.program("script.sh", "#!/no/such/interpreter\n")
    (bench.folder / "script.sh").chmod(0o755)
    limits = {"hangs": {"minutes": 0.05}, "closes": {"minutes": 0.05}, "eats": {"memory_gb": 0.5}}
    places = {"absent": "./absent {images} {out}", "unknown": "no-such-program {images} {out}"}
    places["script"] = "./script.sh {images} {out}"
    rows = {fault: faulty(fault, **limits.get(fault, {})) for fault in (*REASONS, "prints", "child", "good")}
    rows |= {fault: {"finetune": {"use": "command", "extract": command}} for fault, command in places.items()}
    board = bench.run(2, **rows)
    found = errors(board)
    assert set(found) == set(REASONS)
    for fault, reason in REASONS.items():
        assert reason in found[fault], fault
        assert found[fault].isprintable()
    notes = {result.row.method: result.notes for result in board.results if result.notes and result.status == "ok"}
    assert set(notes) == {"child"}
    assert "extract ended and had left processes running (1), which were ended" in notes["child"][0]
    assert all(gone(bench.folder / f"{fault}.pid") for fault in ("hangs", "eats", "child"))
    sizes = [file.stat().st_size for file in (bench.store / "logs").iterdir()]
    assert HEAD + TAIL < max(sizes) < HEAD + TAIL + 4096
    (long,) = [file for file in (bench.store / "logs").iterdir() if file.stat().st_size == max(sizes)]
    assert long.read_text().endswith("the end\n")
    assert f"[... {100_000_000 + 8 - HEAD - TAIL} bytes of its output are omitted ...]" in long.read_text()
    assert not list((bench.store / "scratch").rglob("*.png")), "copies of pictures are left"


@LINUX
def test_the_same_in_the_process_of_the_command(bench: Bench) -> None:
    bench.program("faulty.py", FAULTY)
    board = bench.run(hangs=faulty("hangs", minutes=0.03), dies=faulty("dies"), child=faulty("child"))
    found = errors(board)
    assert set(found) == {"hangs", "dies"}
    assert "extract ran longer than its limit of 1.8 s; its last line: still here" in found["hangs"]
    assert REASONS["dies"] in found["dies"]
    assert all(gone(bench.folder / f"{fault}.pid") for fault in ("hangs", "child"))


@LINUX
@pytest.mark.parametrize("executor", ["process", "inline"])
def test_it_ends_with_a_killed_driver(executor: str, bench: Bench) -> None:
    bench.program("faulty.py", FAULTY)
    (bench.folder / "matrix.yaml").write_text(bench.text(m=faulty("hangs")))
    words = [sys.executable, "-m", "reidbench", "run", "matrix.yaml", "--store", "store", "--executor", executor]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen(words, cwd=bench.folder, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + LONGEST
    while not (bench.folder / "hangs.pid").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert gone(bench.folder / "hangs.pid")


ARRAYS = """
import sys
from pathlib import Path
import numpy as np
fault, images, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
names = [file.name for file in sorted(images.iterdir())]
features = np.ones((len(names), 4))
names = np.array(names)
if fault == "short":
    features = features[1:]
elif fault == "flat":
    features = features[:, 0]
elif fault == "empty":
    features = features[:, :0]
elif fault == "objects":
    names = names.astype(object)
elif fault == "complex":
    features = features * 1j
elif fault == "numbers":
    names = np.arange(len(names))
elif fault == "bytes":
    names = np.char.encode(names)
elif fault == "stems":
    names = np.array([str(images / Path(name).stem) for name in names])
arrays = {"features": features} if fault == "unnamed" else {"features": features, "names": names}
np.savez(out / "features.npz", **arrays)
if fault == "cut":
    data = (out / "features.npz").read_bytes()
    (out / "features.npz").write_bytes(data[: len(data) // 2])
"""


def test_arrays_that_are_no_features_of_these_pictures(bench: Bench) -> None:
    bench.program("arrays.py", ARRAYS)
    expected = {
        "short": "extract must write features [16, D] for 16 names, but wrote float64 [15, 4]",
        "flat": "extract must write features [16, D] for 16 names, but wrote float64 [16]",
        "empty": "extract must write features [16, D] for 16 names, but wrote float64 [16, 0]",
        "complex": "extract must write features [16, D] for 16 names, but wrote complex128 [16, 4]",
        "objects": "extract wrote an unreadable features.npz: Object arrays cannot be loaded",
        "numbers": "extract must write names as a list of strings, but wrote int64 [16]",
        "unnamed": "extract wrote features.npz without the array names",
        "cut": "extract wrote an unreadable features.npz: ",
    }
    files = ["arrays.py"]
    rows = {
        fault: {
            "finetune": {"use": "command", "extract": f"python arrays.py {fault} {{images}} {{out}}", "files": files}
        }
        for fault in (*expected, "bytes", "stems")
    }
    found = errors(bench.run(**rows))
    assert set(found) == set(expected)
    assert {fault: error for fault, error in found.items() if expected[fault] not in error} == {}
