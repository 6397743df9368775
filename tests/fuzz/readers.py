"""Readers of untrusted files, as functions of bytes, and properties of each that hold for all bytes.

Either something valid comes back or a ReidbenchError of printable lines; nothing else is raised, nothing takes longer
than a few seconds of processor time, and no file is written, renamed or removed and no program started meanwhile.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import signal
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidbench.data import read_manifest
from reidbench.errors import ConfigError, DataErrors, ReidbenchError
from reidbench.matrix.reading import reader as config
from reidbench.registry import plugins
from reidbench.scoring import score
from reidbench.training import Backbone, TrainingCheckpoint
from reidbench.training.weights.files import read_checkpoint, read_state
from reidbench.training.weights.resnets import load_weights
from reidbench.training.weights.transformers import load_transformer, read_head

SECONDS = 4.0  # of processor time for one input; the limits of the readers were chosen for one or two
CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link", "os.chmod"}
STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile", "socket.connect"}


class Hang(BaseException):
    """An input has used up its seconds."""


class Watch:
    """Changes by this process to files and other programs under observation, and the time of each input."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        self.counts: Counter[str] = Counter()
        self.slowest = self.began = 0.0
        sys.addaudithook(self._event)

    def _event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and len(arguments) > 2 and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if event in CHANGES or event in STARTS or writes:
            self.seen.append(f"{event} {arguments}"[:300])

    def __call__(self, reader: Callable[..., Any], *arguments: Any) -> Any:
        """The reader's answer, or None when it refused. Raises AssertionError when it broke a promise."""
        signal.signal(signal.SIGVTALRM, _hang)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        self.on, began = True, time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of numpy and torch, about the numbers that they were given
                answer = reader(*arguments)
            self.counts["valid"] += 1
        except ReidbenchError as error:
            answer = None
            self.counts["refused"] += 1
            lines = error.problems if isinstance(error, ConfigError | DataErrors) else (str(error),)
            if not lines or not all(line and line.isprintable() and len(line) < 4000 for line in lines):
                raise AssertionError(f"not said in printable lines: {lines}") from error
        finally:
            self.on = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            self.slowest = max(self.slowest, time.process_time() - began)
        if self.seen:
            raise AssertionError(f"while it read: {self.seen[:3]}")
        return answer

    def said(self, name: str) -> str:
        """One line for the log: how many inputs, what became of them, processor seconds of the slowest and of all."""
        counts = ", ".join(f"{number} {what}" for what, number in sorted(self.counts.items()))
        taken = f"the slowest {self.slowest:.2f} s, all {time.process_time() - self.began:.0f} s"
        return f"{name}: {sum(self.counts.values())} inputs ({counts}), {taken}"

    def clear(self) -> None:
        """Begin again."""
        self.counts.clear()
        self.seen.clear()
        self.slowest, self.began = 0.0, time.process_time()


def _hang(*_: object) -> None:
    raise Hang


# ------------------------------------------------------------------ the readers
class Matrices:
    """Matrix files and `--set`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "matrix.yaml"
        self.registry = plugins.load()

    def __call__(self, data: bytes, *overrides: str) -> Any:
        """Reads; a Benchmark has at least one task and one method or says why not."""
        _put(self.file, data)
        benchmark = config.read(self.file, self.registry, overrides)
        json.dumps([recipe.name for recipe in benchmark.methods])
        for choice in (step for recipe in benchmark.methods for _, step in recipe.steps):
            json.dumps(choice.resolved, allow_nan=False)
        return benchmark


class Scores:
    """Feature files, under these further rules."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.folder, self.rules = folder, rules

    def __call__(self, data: bytes, suffix: str, rerank: str | None = None) -> Any:
        """Reads and scores; every number is a fraction."""
        file = self.folder / f"features{suffix}"
        _put(file, data)
        said: list[str] = []
        score.run([file], as_json=True, rerank=rerank, more=self.rules, echo=said.append)
        found: dict[str, Any] = json.loads(said[0])
        if not all(0 <= found[name] <= 1 + 1e-9 for name in ("mAP", "mINP")):
            raise AssertionError(f"no fractions: {found}")
        return found


class Manifests:
    """CSV manifests."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "features.csv"

    def __call__(self, data: bytes) -> Any:
        """Reads; every label is there for every image, and the images of a tracklet have one person and camera."""
        _put(self.file, data)
        found = read_manifest(self.file)
        for split in found.parts().values():
            walks: dict[int, tuple[int, int]] = {}
            for one in split.samples:
                if one.tracklet >= 0 and walks.setdefault(one.tracklet, (one.pid, one.camid)) != (one.pid, one.camid):
                    raise AssertionError(f"a tracklet of two: {one}")
        return found


class Weights:
    """Checkpoints of other projects, our safetensors, and the checkpoint of a stage that was killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = Backbone()
        self.network.conv1, self.network.bn1 = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)

    def __call__(self, data: bytes, suffix: str) -> Any:
        """Reads both ways; everything copied into the network is finite and has the network's shapes."""
        file = self.folder / f"weights{suffix}"
        _put(file, data)
        read = 0
        for one in (self._layouts, self._transformer):
            with contextlib.suppress(ReidbenchError) if read == 0 else contextlib.nullcontext():
                one(file)
                read += 1
        if not read:
            self._layouts(file)
        return read

    def _layouts(self, file: Path) -> None:
        report = load_weights(self.network, read_state(file), where="weights")
        if not 0.9 <= report.share <= 1:
            raise AssertionError(str(report))

    def _transformer(self, file: Path) -> None:
        content = read_checkpoint(file)
        for role in ("teacher", "student"):
            with contextlib.suppress(ReidbenchError):
                read_head(content, role)
        load_transformer(self.network, content)


class Checkpoints:
    """A stage's own checkpoint: what is damaged is not used, and nothing is refused."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "checkpoint"
        self.model = torch.nn.Linear(2, 2)

    def __call__(self, data: bytes) -> int:
        """The epoch that training would continue with."""
        _put(self.file, data)
        first = next(TrainingCheckpoint(self.file).epochs(5, model=self.model), 5)
        if not 0 <= first <= 5:
            raise AssertionError(f"epoch {first}")
        return first


def _put(file: Path, data: bytes) -> None:
    """Write the input, which is not among what is watched."""
    on, WATCH.on = WATCH.on, False
    file.write_bytes(data)
    WATCH.on = on


# ------------------------------------------------------------------ what inputs are made from
MATRIX_SEEDS = (
    """title: Fuzz
image_size: [32, 16]
seeds: [0, 1]
data: {tiny: {use: synthetic, world: plaza, size: tiny}, pool: {use: synthetic, world: crowd, size: tiny, seed: 3}}
tasks: {a: {source: tiny, target: tiny, pool: pool}, b: {source: {use: tiny, identities: 0.5}, target: tiny}}
backbone: {use: resnet-tiny, width: 4}
evaluate: [cosine, {use: k-reciprocal, k1: 4}]
methods:
  untrained: {finetune: none}
  bot: {finetune: {use: bot, epochs: 2, lr: 3e-4}}
  both: {ensemble: [untrained, bot]}
matrix:
  - {pretrain: [moco-v2, {use: up-reid, epochs: 1}], finetune: [bdb, none]}
""",
    """data:
  tiny: &one
    use: synthetic
    size: tiny
  two: {<<: *one, seed: 1}
tasks:
  t: {source: [tiny, two], target: tiny, adapt_on: train}
backbone: vit-tiny
methods:
  hhl: {finetune: &ft {use: bot, epochs: 1}, adapt: {use: hhl, style: {use: stargan, steps: 2}}}
  cc: {adapt: [{use: cluster-contrast, rounds: 1}]}
  other: {finetune: {<<: *ft, epochs: 2}}
""",
)
FRAGMENTS = (
    "&a ", "*a", "*one", "<<: ", "!!python/object:os.system ", "!!int ", "!!float ", "!!bool ", "!!str ", "!!set ",
    "? ", "- ", ": ", "[", "]", "{", "}", "\n", "  ", "\t", "\n---\n", "...", "%YAML 1.1\n", "|\n", ">-\n", "'", '"',
    "#", '"\\x1b[2J"', '"\\ud800"', "\x1b", "\0", "<b>", "é", "\u202e", "0x" + "f" * 40, "1e999", ".nan", ".inf", "-1",
    "1:30:00", "2020-01-01", "~", "null", "yes", "1" * 30, "9" * 5000, "use: ", "bot", "finetune: ", "seeds: ",
    "root: ", "title: ", "epochs: ", "methods: ", "matrix: ", "identities: ", "ensemble: ",
)  # fmt: skip


class Seed:
    """A valid input. Its bytes are left out where it is printed."""

    def __init__(self, data: bytes, suffix: str = "") -> None:
        self.data, self.suffix = data, suffix

    def __repr__(self) -> str:
        return f"<{len(self.data)} bytes of a {self.suffix}>"


def features() -> dict[str, Any]:
    """Six queries of people who are all in a gallery of eight, junk and a distractor aside."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {
        "query_pids": np.arange(1, 7), "query_camids": np.zeros(6, np.int64),
        "gallery_pids": np.array([1, 2, 3, 4, 5, 6, 0, -1]), "gallery_camids": np.ones(8, np.int32),
        "query_features": rng.normal(size=(6, 4)).astype(np.float32), "gallery_features": rng.normal(size=(8, 4)),
    }  # fmt: skip
    return found


def labelled() -> dict[str, Any]:
    """The same with clothes, modality and tracklets."""
    return features() | {
        "query_clothes": np.zeros(6, np.int64), "gallery_clothes": np.array([1, 0, 1, -1, 1, 1, 0, 0]),
        "query_modality": np.array(["visible"] * 6), "gallery_modality": np.array(["infrared"] * 7 + [""]),
        "query_tracklets": np.array([0, -1, -1, -1, -1, 5]), "gallery_tracklets": np.arange(8),
    }  # fmt: skip


def labelled_seeds() -> list[Seed]:
    """Feature files with these labels, as arrays and as a table."""
    found = labelled()
    words = {"pid": "pids", "camid": "camids", "clothes": "clothes", "modality": "modality", "tracklet": "tracklets"}
    columns = {name: [*found[f"query_{word}"], *found[f"gallery_{word}"]] for name, word in words.items()}
    values = zip(["query"] * 6 + ["gallery"] * 8, *columns.values(), stacked()["features"], strict=True)
    rows = [",".join(map(str, [*labels, *feature])) for *labels, feature in values]
    csv = "\n".join([",".join(["part", *words, "f0,f1,f2,f3"]), *rows, ""])
    return [Seed(npz(found), ".npz"), Seed(npz(found, packed=True), ".npz"), Seed(csv.encode(), ".csv")]


MANIFEST_SEEDS = (
    "path,pid,split,camid,clothes,modality,tracklet,attributes\n"
    "a.jpg,1,query,0,2,visible,7,bag=yes;hair=long\nb.jpg,1,gallery,1,,infrared,,\nc.jpg,2,train,-1,-1,,-1,bag=no\n",
    "path,pid,split,tracklet\na.jpg,1,query,3\na.jpg,1,gallery,3\nb.jpg,2,gallery,4\nc.jpg,2,gallery,4\n",
)


def stacked() -> dict[str, Any]:
    """The same in one array."""
    found, sides = features(), ("query", "gallery")
    arrays = {key: np.concatenate([found[f"{side}_{key}"] for side in sides]) for key in ("features", "pids", "camids")}
    return arrays | {"num_query": np.array(6)}


def embedded() -> dict[str, Any]:
    """The same next to image names, which have the labels."""
    found = stacked()
    folders = ["query"] * 6 + ["bounding_box_test"] * 8
    labels = zip(folders, found["pids"], found["camids"], strict=True)
    names = [f"m/{folder}/{'-1' if pid < 0 else f'{pid:04d}'}_c{cam + 1}s1_0_0.jpg" for folder, pid, cam in labels]
    return {"features": found["features"], "names": np.array(names)}


def table() -> str:
    """The same as CSV."""
    found = stacked()
    rows = zip(["query"] * 6 + ["gallery"] * 8, found["pids"], found["camids"], found["features"], strict=True)
    lines = [",".join(map(str, [part, pid, camid, *feature])) for part, pid, camid, feature in rows]
    return "\n".join(["part,pid,camid,f0,f1,f2,f3", *lines, ""])


def parquet() -> bytes:
    """The same as parquet."""
    import pyarrow.csv
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(io.BytesIO(table().encode())), stream)
    return stream.getvalue()


def npz(arrays: dict[str, Any], *, packed: bool = False) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(stream, **arrays)
    return stream.getvalue()


def with_member(archive: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    """A zip with one member changed and the checksums right again, so that what is inside it gets read."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(stream, "w") as new:
        for place, info in enumerate(old.infolist()):
            content = old.read(info)
            new.writestr(info, change(content) if place == number % len(old.infolist()) else content)
    return stream.getvalue()


def score_seeds() -> list[Seed]:
    """Feature files of every form that is read."""
    import scipy.io

    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in features().items()}
    labels = {name: value for name, value in features().items() if "features" not in name}
    found = [(npz(features()), ".npz"), (npz(features(), packed=True), ".npz")]
    found.append((npz({**labels, "distances": np.ones((6, 8))}), ".npz"))
    for version in ("5", "4"):
        stream = io.BytesIO()
        scipy.io.savemat(stream, features(), format=version)
        found.append((stream.getvalue(), ".mat"))
    texts = {key: [f"p{label}" for label in value] for key, value in labels.items()}
    arrays = features() | {key: np.array(value) for key, value in texts.items()}
    cells = features() | {key: np.array(value, dtype=object)[:, None] for key, value in texts.items()}
    stream = io.BytesIO()
    scipy.io.savemat(stream, cells)
    found += [(stream.getvalue(), ".mat"), (npz(arrays), ".npz"), (_torch(arrays), ".pt")]
    found += [(_torch(tensors), ".pt"), (_torch(tensors, old=True), ".pt")]
    found += [(npz(stacked()), ".npz"), (npz(embedded()), ".npz"), (table().encode(), ".csv")]
    if importlib.util.find_spec("pyarrow"):
        found.append((parquet(), ".parquet"))
    return [Seed(data, suffix) for data, suffix in found]


def weight_seeds(network: torch.nn.Module) -> list[Seed]:
    """One network as our weights, as torchvision's, in containers and as DINO's teacher."""
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}
    teacher = {f"module.backbone.{name}": tensor for name, tensor in state.items()}
    dino = {"teacher": {**teacher, "head.mlp.0.weight": torch.zeros(2, 2)}, "epoch": 1}
    found = [(save(state), ".safetensors"), (_torch(state), ".pth"), (_torch(state, old=True), ".pth")]
    found += [(_torch(wrapped), ".tar"), (_torch(wrapped, old=True), ".tar"), (_torch(dino, old=True), ".pth")]
    return [Seed(data, suffix) for data, suffix in found]


def checkpoint_seed(folder: Path) -> bytes:
    file = folder / "seed"
    for epoch in TrainingCheckpoint(file).epochs(5, model=torch.nn.Linear(2, 2)):
        if epoch == 3:
            break
    data = file.read_bytes()
    file.unlink()
    return data


def _torch(content: Any, *, old: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def mutated(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Each change is (what, where in 65,536ths, bytes): written over, put in, cut out, doubled, or the rest cut off."""
    found = bytearray(data)
    for what, where, new in changes:
        at = where * len(found) >> 16
        if what == 0:
            found[at : at + len(new)] = new
        elif what == 1:
            found[at:at] = new
        elif what == 2:
            del found[at : at + len(new)]
        elif what == 3:
            found[at:at] = found[at : at + 40]
        else:
            del found[at:]
    return bytes(found)


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, which must hold nothing but the inputs afterwards."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
    names = ("features", "weights", "matrix", "checkpoint")
    left = [path.name for path in folder.rglob("*") if not path.name.startswith(names)]
    if left:
        raise AssertionError(f"left behind: {left}")


WATCH = Watch()
