"""How one stage is run: a spec in, an artifact out. `python -m reidbench.stages.run STAGE.json` is a worker.

A spec is plain JSON, so that any executor can start a stage anywhere that sees the store: the planned stage, the
benchmark's settings, where the store and the data lie, and which plugins are disabled.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.components import (
    AdaptContext,
    Context,
    EvaluateContext,
    FinetuneContext,
    PrepareContext,
    PretrainContext,
    SelectContext,
)
from reidbench.data import Dataset, Split
from reidbench.data.overlap import find_overlaps, image_numbers
from reidbench.data.split import hidden_order
from reidbench.errors import DataError, ReidbenchError
from reidbench.files.names import shown
from reidbench.registry import plugins
from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store
from reidbench.store.leavings import UnfitLeavings, check_leavings

from . import distributed, worker
from .inputs import KINDS, Emit, Inputs, StageError, blame_what_is_gone, images_place
from .outputs import (
    answer_fault,
    by_plain_name,
    compare_with_declared,
    joined_features,
    metric_values,
    save_arrays,
    selection_fault,
    write_selected,
)
from .provenance import TORCH_FREE as TORCH_FREE
from .provenance import provenance, stage_devices
from .record import Record, cluster_purity
from .trained import IMAGES, look_back
from .unchanged import refuse_changed
from .worker import default_device as default_device
from .worker import describe as describe
from .worker import limited_threads as limited_threads
from .worker import seed_torch

_seed_torch = seed_torch


class Busy(ReidbenchError):
    """Another process is making this artifact."""


def run_stage(spec: Mapping[str, Any], emit: Emit) -> None:
    """Make one artifact and publish it. Returns at once when it is there; raises Busy when another makes it.

    Any other exception is the stage's failure.
    """
    store = Store(Path(spec["store"]))
    stage = spec["stage"]
    with store.claim(stage["key"]) as mine:
        if store.has(stage["key"]):
            return
        if not mine:
            raise Busy(f"another process is running {stage['label']}")
        registry = plugins.load(frozenset(spec["without"]))
        with limited_threads(spec["threads"]), store.publishing(stage["key"]) as (folder, manifest):
            began = time.monotonic()  # a clock may be set back meanwhile
            devices = stage_devices(spec, registry)
            manifest.update(provenance(spec, registry))
            try:
                if devices > 1:
                    manifest |= distributed.run(spec, devices, folder, emit)
                else:
                    manifest["metrics"] = _Run(spec, store, registry, folder, emit).run(manifest)
                refuse_changed(Inputs(spec, store, registry, emit), folder, manifest)
            except DamagedArtifact as error:
                store.set_aside(error.key)  # the runner has it made again
                raise
            except Exception as error:
                blame_what_is_gone(store, spec, error)
                raise
            manifest["seconds"] = round(time.monotonic() - began, 3)


class _Run(Inputs):
    """One stage being run: reads its parents, builds its context, calls its code, saves the answer."""

    def __init__(
        self, spec: Mapping[str, Any], store: Store, registry: plugins.Registry, folder: Path, emit: Emit
    ) -> None:
        super().__init__(spec, store, registry, emit)
        self.folder = folder
        self.record = Record(emit)
        place = spec.get("place", {})
        self.rank: int = place.get("rank", 0)
        self.ranks: int = place.get("ranks", 1)

    def run(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Do the work in `folder`; returns the metrics of the manifest."""
        kind = self.stage["kind"]
        if kind not in TORCH_FREE:
            self.check_cameras()
            seed_torch(self.stage["seed"])
        answer: dict[str, Any] = getattr(self, f"_{kind}")(manifest)
        if self.record.lines:
            lines = "".join(json.dumps(line, sort_keys=True) + "\n" for line in self.record.lines)
            (self.folder / "log.jsonl").write_text(lines)
        if self.record.clusters:
            answer |= self._judge_clusters()
        self.record.conclude()
        if self.record.notes:
            manifest["notes"] = self.record.notes
        manifest["work_seconds"] = round(self.record.clock.seconds, 3)
        return answer

    def call(self, context: Context) -> Any:
        """The answer of the component, whose own work is timed: its module is imported before."""
        target = self.component.load()
        owner = self.folder.stat().st_uid
        with self.record.clock.running():
            answer = target(context)
        if self.rank == 0:  # the folder of any other is thrown away
            try:
                check_leavings(self.folder, owner)
            except UnfitLeavings as error:
                raise StageError(f"{KINDS[self.stage['kind']]} {self.stage['use']} left {error}") from None
        return answer

    def aside(self, given: Callable[..., Any]) -> Callable[..., Any]:
        """What the harness does when a component asks it for something: no work of the component's own."""
        return self.record.clock.paused()(given)

    def _data(self, manifest: dict[str, Any]) -> dict[str, Any]:
        with self.record.clock.running():
            dataset = self.open_dataset(self.stage["use"], self.stage["params"], self.stage["root"])
        manifest |= images_place(dataset, self.stage["root"])
        manifest["one_numbering"] = dataset.one_numbering
        manifest["knows_relevance"] = hasattr(dataset.truth, "relevance")
        for note in (*dataset.notes, *self._number_images(dataset)):
            self.record.note(note)
        parts = dataset.parts()
        for part, split in parts.items():
            split.save(self.folder / f"{part}.json")
        dataset.train.hide().save(self.folder / "train-hidden.json")
        if "query" in parts and "gallery" in parts:
            # Query and gallery of one set share pids and cameras, so they are joined as they are.
            test = Split(dataset.root, [*parts["query"].samples, *parts["gallery"].samples])
            test.hide().save(self.folder / "test-hidden.json")
        counts = {part: (len(split), split.num_pids, split.num_cameras) for part, split in parts.items()}
        words = ("images", "identities", "cameras")
        return {f"{part}_{word}": n for part, row in counts.items() for word, n in zip(words, row, strict=True)}

    def _number_images(self, dataset: Dataset) -> tuple[str, ...]:
        """Publish a number for each picture's content; what to note about pictures that come more than once."""
        numbers = image_numbers(dataset, Path(self.spec["cache"]))
        if numbers:
            save_arrays(self.folder / IMAGES, numbers)
        elif dataset.truth is None:
            return ("its pictures, in an lmdb, are not compared with the test images of other sets",)
        found = find_overlaps(dataset, numbers)
        return (*found.problems, *found.notes)

    def common(self) -> dict[str, Any]:
        """The arguments that all contexts share."""
        shared = scratch = self.store.scratch(self.stage["key"])
        if self.rank > 0:
            scratch = self.folder  # of its own, and nobody's artifact
        device = "cpu"
        checkpoint: Any = None
        if self.stage["kind"] not in TORCH_FREE:
            from reidbench.training import TrainingCheckpoint

            device = self.device
            checkpoint = TrainingCheckpoint(shared / "checkpoint", extra=self.record, progress=self.progress)
        prepared = {
            role.removeprefix("prepared."): self.artifact(key).path
            for role, key in self.stage["parents"]
            if role.startswith("prepared.")
        }
        return {
            "params": self.params,
            "image_size": tuple(self.spec["image_size"]),
            "seed": self.stage["seed"],
            "device": device,
            "workers": self.spec["workers"],
            "out": self.folder,
            "scratch": scratch,
            "checkpoint": checkpoint,
            "progress": self.progress,
            "log": self.record.log,
            "record_clusters": self.record.record_clusters,
            "make_fabric": self.aside(self.make_fabric),
            "prepared": prepared,
            "network": self.aside(self.network),
            "note": self.record.note,
        }

    def make_fabric(self) -> Any:
        return distributed.fabric(self.ranks, self.spec["precision"], default_device())

    @property
    def device(self) -> str:
        """Where this process computes: with several, each has a GPU of its own."""
        device = default_device()
        return f"{device}:{self.rank}" if device == "cuda" and self.ranks > 1 else device

    # ------------------------------------------------------------------ kinds
    def _select(self, manifest: dict[str, Any]) -> dict[str, Any]:
        pool = self.images("pool")
        target = self.labelled("target") if self.data_inputs("target") else None
        truth = self.truth("pool")
        context = SelectContext(
            pool=pool, target=target, backbone=self.aside(self.backbone), **self.common(), truth=truth
        )
        answer = self.call(context)
        wrong = selection_fault(answer, len(pool))
        if wrong:
            raise StageError(f"selector {self.stage['use']} must return {wrong}")
        np.savez(self.folder / "selection.npz", indices=np.asarray(answer.indices), scores=np.asarray(answer.scores))
        write_selected(self.folder / "files.csv", pool, answer)
        return {"selected": len(answer.indices), "pool": len(answer.scores)} | self.judge_selection(pool, answer)

    def _pretrain(self, manifest: dict[str, Any]) -> dict[str, Any]:
        from reidbench.training.weights.artifacts import load_backbone, save_backbone

        pool = self.hidden("pool")
        selection = self.parent("select")
        if pool is not None and selection is not None:
            pool = pool.subset(np.load(selection.path / "selection.npz")["indices"])
        context = PretrainContext(
            pool=pool,
            backbone=self.aside(self.backbone),
            auxiliary=self.labelled("auxiliary"),
            truth=self.truth("pool"),
            **self.common(),
        )
        self._keep(self.call(context), "backbone", save_backbone, partial(load_backbone, build=self.build_backbone))
        return {}

    def _prepare(self, manifest: dict[str, Any]) -> dict[str, Any]:
        split = self.images("split")
        self.call(PrepareContext(split=split, truth=self.truth("split"), **self.common()))
        return {}

    def _finetune(self, manifest: dict[str, Any]) -> dict[str, Any]:
        context = FinetuneContext(source=self.labelled("source"), backbone=self.aside(self.backbone), **self.common())
        return self._save_embedder(self.call(context))

    def _adapt(self, manifest: dict[str, Any]) -> dict[str, Any]:
        context = AdaptContext(
            target=self.images("target"),
            source=self.labelled("source"),
            backbone=self.aside(self.backbone),
            start=self.start(),
            truth=self.truth("target"),
            **self.common(),
        )
        return self._save_embedder(self.call(context))

    def _save_embedder(self, embedder: Any) -> dict[str, Any]:
        from reidbench.training.weights.artifacts import save_embedder

        self._keep(embedder, "embedder", save_embedder, self.embedder)
        return {"parameters": sum(tensor.numel() for tensor in embedder.parameters())}

    def _keep(self, network: Any, what: str, save: Callable[[Path, Any], None], load: Callable[[Path], object]) -> None:
        """Save a network and read it back: what cannot be rebuilt must not be published."""
        try:
            save(self.folder, network)
            load(self.folder)
        except Exception as error:
            why = describe(error).removeprefix(f"{shown(self.folder / what)}: ")
            who = f"{KINDS[self.stage['kind']]} {self.stage['use']}"
            raise StageError(f"{who} returned {type(network).__name__}, which cannot be kept: {why}") from error

    def _embed(self, manifest: dict[str, Any]) -> dict[str, Any]:
        from reidbench.training import embed

        (given,) = self.stage["data"]
        artifact, root = self.folder_of(given)
        embedder = self.start()
        parts: dict[str, Split] = {}
        for part in ("query", "gallery"):
            if not (artifact.path / f"{part}.json").is_file():
                raise DataError(f"{given['data']} has no {part}: it can be a source or a pool, not a target")
            parts[part] = Split.load(artifact.path / f"{part}.json", root)
        seen = look_back(self, given, parts)
        manifest["protocol"] = list(seen.words)
        for note in seen.notes:
            self.record.note(note)
        columns = seen.columns
        for part, split in parts.items():
            device = default_device()
            with self.record.clock.running():
                features = embed(
                    embedder, split, split.camids, device=device, workers=self.spec["workers"], progress=self.progress
                )
            if not np.isfinite(features).all():
                row = int(np.flatnonzero(~np.isfinite(features).all(1))[0])
                raise StageError(f"features that are no numbers, first for {split.paths[row]}")
            columns |= {f"{part}_features": features, f"{part}_pids": split.pids, f"{part}_camids": split.camids}
        save_arrays(self.folder / "features.npz", columns)  # the layout that `reidbench score` reads
        return {"dim": columns["query_features"].shape[1]}

    def _evaluate(self, manifest: dict[str, Any]) -> dict[str, Any]:
        from reidbench.metrics import MetricError

        query, gallery = joined_features([self.artifact(key).path / "features.npz" for _, key in self.stage["parents"]])
        if (query.camids < 0).all() or (gallery.camids < 0).all():
            manifest["protocol"] = ["no cameras"]  # the camera rule had nothing to go by
        try:
            answer = self.call(EvaluateContext(query=query, gallery=gallery, **self.common()))
        except MetricError as error:  # a sentence for the table, without the name of its class
            raise StageError(str(error)) from error
        wrong = answer_fault(answer, len(query.pids))
        if wrong:
            raise StageError(f"evaluator {self.stage['use']} {wrong}")
        values, fault = metric_values(answer.values)
        fault, note = (fault, "") if fault else compare_with_declared(values, self.component.declared)
        if fault:
            raise StageError(f"evaluator {self.stage['use']} gave {fault}")
        if note:
            self.record.note(note)
        save_arrays(self.folder / "per_query.npz", by_plain_name(answer.per_query))
        (self.folder / "notes.json").write_text(json.dumps(dict(answer.notes), sort_keys=True))
        return values

    def _judge_clusters(self) -> dict[str, float]:
        """Purity of the last clustering against the labels that its method never saw."""
        clusters = self.record.clusters[-1][1]
        by_epoch = {str(epoch): np.array(labels) for epoch, labels in self.record.clusters}
        save_arrays(self.folder / "clusters.npz", by_epoch)
        (given,) = self.data_inputs("target")
        artifact, root = self.folder_of(given)
        if given["part"] != "train":
            return {}
        split = Split.load(artifact.path / "train.json", root)
        pids = split.pids[hidden_order(len(split))]
        return cluster_purity(np.array(clusters), pids)


# ---------------------------------------------------------------------- the worker process
def main(arguments: list[str]) -> int:
    """Run the stage of a spec file. Events go, a JSON line each, to the descriptor in REIDBENCH_EVENTS.

    Standard input is a pipe that nobody writes to: when it ends, the driver is gone, and so is the worker. Started by
    hand, without that variable, a worker prints its events and heeds no input. `--rank` is one of several processes
    of a stage, started by `ranks.run`.
    """
    if arguments == ["--rank"]:
        return distributed.serve(_as_rank)
    spec = json.loads(Path(arguments[0]).read_text())
    driven = os.environ.pop(worker.EVENTS, "")
    emit = worker.writer(os.fdopen(int(driven), "w") if driven else sys.stdout)
    if driven:
        worker.leave_with_the_starter()
    try:
        run_stage(spec, emit)
    except Busy:
        emit({"event": "busy"})
        return 0
    except DamagedArtifact as error:
        emit({"event": "damaged", "error": str(error), "key": error.key})
        return 1
    except BaseException as error:  # whatever a plugin raises costs one cell
        emit({"event": "failed", "error": describe(error), "traceback": traceback.format_exc()})
        with suppress(OSError):  # the log lies in the store, whose disk may be what is full
            traceback.print_exc()
        return 1
    emit({"event": "done"})
    return 0


def _as_rank(spec: dict[str, Any], out: Path, emit: Emit) -> dict[str, Any]:
    """The metrics, notes and seconds of work of a stage that this process runs together with others."""
    registry = plugins.load(frozenset(spec["without"]))
    with limited_threads(spec["threads"]):
        manifest: dict[str, Any] = {}
        metrics = _Run(spec, Store(Path(spec["store"])), registry, out, emit).run(manifest)
        return {"metrics": metrics, "notes": manifest.get("notes", []), "work_seconds": manifest["work_seconds"]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
