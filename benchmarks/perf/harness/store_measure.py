"""Stores of 100,000 artifacts: CPU seconds of `reidbench clean --dry-run` and `reidbench table`.

`python -m benchmarks.perf.harness.store_measure [ARTIFACTS] [--against FOLDER]` prints the table of `README.md`. FOLDER
is a checkout of another commit; its commands alternate with ours, each on a store made by its own code. A store has the
manifests of one tiny real run, copied under the keys of a plan of finetune, embed and evaluate stages, each artifact
with one small file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[3]
SEEDS, TASKS, STAGES = 25, 10, 3  # stages of a row that are not shared: finetune, embed, evaluate
FEW = 2  # methods of the small table
ROUNDS = 3
CASES = {
    "clean --dry-run, all needed": ("clean", "all.yaml", "--dry-run"),
    "clean --dry-run, nearly none needed": ("clean", "few.yaml", "--dry-run"),
    "table of all": ("table", "all.yaml"),
    "table of few": ("table", "few.yaml"),
}


def write_matrix(file: Path, methods: int, tasks: int = TASKS, seeds: int = SEEDS) -> None:
    """Write a matrix of methods x tasks x seeds rows; a matrix of fewer methods is a subset of one of more."""
    recipes = "\n".join(f"  m{n}: {{finetune: {{use: bot, epochs: {n + 1}}}}}" for n in range(methods))
    columns = "\n".join(f"  t{n}: {{source: w{n}, target: w{(n + 1) % tasks}}}" for n in range(tasks))
    data = "\n".join(f"  w{n}: {{use: synthetic, world: plaza, size: tiny, seed: {n}}}" for n in range(tasks))
    file.write_text(
        f"image_size: [48, 24]\nseeds: {list(range(seeds))}\nbackbone: resnet-tiny\nevaluate: [cosine]\n"
        f"data:\n{data}\ntasks:\n{columns}\nmethods:\n{recipes}\n"
    )


def make(folder: Path, artifacts: int) -> int:
    """Create two matrix files and their store with the code on the path; return the number of artifacts."""
    from reidbench.matrix import plan
    from reidbench.matrix.reading import reader
    from reidbench.registry import plugins

    write_matrix(folder / "few.yaml", FEW)
    write_matrix(folder / "all.yaml", max(FEW, artifacts // (STAGES * SEEDS * TASKS)))
    real = tiny_run(folder)
    the_plan = plan.expand(reader.read(folder / "all.yaml", plugins.load()))
    for number, stage in enumerate(the_plan.stages.values()):
        copy(real[stage.kind], dataclasses.asdict(stage), number, folder / "store/objects" / stage.key, whole=False)
    return len(the_plan.stages)


def make_whole(folder: Path, methods: int, tasks: int, seeds: int) -> int:
    """As `make`, of methods x tasks x seeds rows whose artifacts have all their files. Returns the rows."""
    from reidbench.matrix import plan
    from reidbench.matrix.reading import reader
    from reidbench.registry import plugins

    folder.mkdir(exist_ok=True)
    write_matrix(folder / "all.yaml", methods, tasks, seeds)
    real = tiny_run(folder)
    the_plan = plan.expand(reader.read(folder / "all.yaml", plugins.load()))
    for number, stage in enumerate(the_plan.stages.values()):
        copy(real[stage.kind], dataclasses.asdict(stage), number, folder / "store/objects" / stage.key, whole=True)
    return len(the_plan.rows)


def tiny_run(folder: Path) -> dict[str, Path]:
    """Artifacts of a real run of one row, by kind of stage."""
    write_matrix(folder / "tiny.yaml", 1, tasks=1, seeds=1)
    command = ["-m", "reidbench", "run", str(folder / "tiny.yaml"), "--store", str(folder / "tiny"), "--executor"]
    subprocess.run([sys.executable, *command, "inline"], check=True, capture_output=True)
    files = sorted((folder / "tiny/objects").glob("*/manifest.json"))
    return {json.loads(file.read_bytes())["stage"]["kind"]: file.parent for file in files}


def copy(real: Path, stage: dict[str, Any], number: int, place: Path, *, whole: bool) -> None:
    """Publish an artifact again as that of another stage: with its own files, or with one small file instead."""
    from reidbench.store.leavings import MANIFEST
    from reidbench.store.manifests import sealed

    manifest = json.loads((real / MANIFEST).read_bytes()) | {"stage": stage, "key": stage["key"]}
    if "mAP" in manifest["metrics"]:
        manifest["metrics"]["mAP"] = 0.3 + number % 97 / 200
    if whole:
        shutil.copytree(real, place)
    else:
        place.mkdir(parents=True)
        name, entry = next(iter(manifest["files"].items()))
        manifest["files"] = {name: {**entry, "size": 8}}
        (place / name).write_bytes(b"a result")
    (place / MANIFEST).write_text(sealed(manifest))


def environment(code: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{code}{os.pathsep}{code / 'plugins'}", "OMP_NUM_THREADS": "1"}


def made(code: Path, folder: Path, artifacts: int) -> int:
    """Have a checkout create its own store."""
    folder.mkdir()
    command = [sys.executable, __file__, "--make", str(folder), str(artifacts)]
    done = subprocess.run(command, env=environment(code), cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout)


def seconds(code: Path, folder: Path, words: tuple[str, ...]) -> float:
    """CPU seconds of a command and its children, user and system together."""
    command = [sys.executable, "-m", "reidbench", *words, "--store", "store"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment(code), cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(codes: list[Path], artifacts: int, place: Path, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Median over rounds of each case, by checkout; the checkouts alternate."""
    folders = [place / f"{number}" for number in range(len(codes))]
    counts = [made(code, folder, artifacts) for code, folder in zip(codes, folders, strict=True)]
    print(f"{counts[0]} artifacts", file=sys.stderr)
    found: dict[str, list[float]] = {}
    for case, words in CASES.items():
        taken = [
            [seconds(code, folder, words) for code, folder in zip(codes, folders, strict=True)] for _ in range(rounds)
        ]
        found[case] = [statistics.median(one) for one in zip(*taken, strict=True)]
    return found


def table(found: dict[str, list[float]], artifacts: int) -> str:
    """The figures as Markdown: seconds, and with two checkouts the ratio."""
    two = len(next(iter(found.values()))) > 1
    lines = [f"| {artifacts:,} artifacts | CPU s |" + (" before | ratio |" if two else "")]
    lines.append("|---|---|" + ("---|---|" if two else ""))
    for case, values in found.items():
        lines.append(f"| {case} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
        lines[-1] += f" {values[0] / values[1]:.2f} |" if two else ""
    return "\n".join(lines)


def main(words: list[str]) -> None:
    """Create a store (`--make FOLDER ARTIFACTS`), or measure."""
    if words[:1] == ["--make"]:
        print(make(Path(words[1]), int(words[2])))
        return
    artifacts = int(next((word for word in words if word.isdigit()), 100_000))
    codes = [HERE] + ([Path(words[words.index("--against") + 1]).resolve()] if "--against" in words else [])
    with tempfile.TemporaryDirectory() as name:
        print(table(measure(codes, artifacts, Path(name)), artifacts))


if __name__ == "__main__":
    main(sys.argv[1:])
