"""Work of each kind of stage: call its component, check and save the answer, return metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.data import Dataset, Split, hold_out
from reidbench.data.hidden import hidden_order
from reidbench.data.overlap import IMAGES, find_overlaps, image_numbers, part_numbers
from reidbench.data.standin import NOTE, STAND_IN, told_as_stand_in
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.matrix.devices import machine
from reidbench.registry.plugins import Registry
from reidbench.scoring.placing import place_features

from .checks.trained import look_back
from .few import few_of
from .inputs import images_place
from .networks import StageError, network_hash, saved_backbone, saved_embedder
from .outputs import (
    answer_fault,
    by_plain_name,
    compare_with_declared,
    joined_features,
    metric_values,
    more_columns,
    save_arrays,
    selection_fault,
    write_selected,
)
from .record import cluster_purity
from .stagerun import StageRun
from .worker import default_device, describe, limited_threads, seed_torch

Manifest = dict[str, Any]


def perform(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    """Do a stage's work in its folder; add to the manifest and return the metrics."""
    if run.spec.kind.torch:
        run.inputs.check_cameras()
        seed_torch(run.stage.seed)
    answer = ACTIONS[run.stage.kind](run, manifest)
    record = run.record
    if record.lines:
        lines = "".join(json.dumps(line, sort_keys=True) + "\n" for line in record.lines)
        (run.folder / "log.jsonl").write_text(lines)
    if record.clusters:
        answer |= _judge_clusters(run)
    record.conclude()
    if record.notes:
        manifest["notes"] = record.notes
    manifest["work_seconds"] = round(record.clock.seconds, 3)
    return answer


def _data(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    stage = run.stage
    with run.record.clock.running():
        dataset = told_as_stand_in(run.inputs.open_dataset(stage.use, stage.params, stage.root), stage.root)
    if stage.few:
        dataset = few_of(dataset, stage.few)
    if stage.held_out:
        dataset = hold_out(dataset, stage.held_out)
    manifest |= images_place(dataset, stage.root)
    manifest["one_numbering"] = dataset.one_numbering
    manifest["knows_relevance"] = hasattr(dataset.truth, "relevance")
    if NOTE in dataset.faults:
        manifest["protocol"] = [STAND_IN]
    for note in (*dataset.notes, *_number_images(run, dataset)):
        run.record.note(note)
    parts = dataset.parts()
    for part, split in parts.items():
        split.save(run.folder / f"{part}.json")
    dataset.train.hide().save(run.folder / "train-hidden.json")
    if "query" in parts and "gallery" in parts:
        # Query and gallery of one set share pids and cameras, so they are joined unchanged.
        test = Split(dataset.root, [*parts["query"].samples, *parts["gallery"].samples])
        test.hide().save(run.folder / "test-hidden.json")
    counts = {part: (len(split), split.num_pids, split.num_cameras) for part, split in parts.items()}
    words = ("images", "identities", "cameras")
    return {f"{part}_{word}": n for part, row in counts.items() for word, n in zip(words, row, strict=True)}


def _number_images(run: StageRun, dataset: Dataset) -> tuple[str, ...]:
    """Publish a number for each image's content; return notes about images that occur more than once."""
    numbers = image_numbers(dataset, run.spec.cache)
    if numbers:
        save_arrays(run.folder / IMAGES, numbers)
    elif dataset.truth is None:
        return ("its pictures, in an lmdb, are not compared with the test images of other sets",)
    if "queries" in run.stage.held_out:
        numbers = {**numbers, "train": numbers["train"][:0]}  # which is also the gallery
    found = find_overlaps(dataset, numbers)
    return (*found.problems, *found.notes)


def _select(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    context: Any = run.context()
    answer = run.call(context)
    wrong = selection_fault(answer, len(context.pool))
    if wrong:
        raise StageError(f"{run.name} must return {wrong}")
    np.savez(run.folder / "selection.npz", indices=np.asarray(answer.indices), scores=np.asarray(answer.scores))
    write_selected(run.folder / "files.csv", context.pool, answer)
    counts = {"selected": len(answer.indices), "pool": len(answer.scores)}
    return counts | run.inputs.judge_selection(context.pool, answer)


def _pretrain(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    from reidbench.training.weights.artifacts import save_backbone

    _keep(run, run.call(run.context()), save_backbone, saved_backbone)
    return {}


def _prepare(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    run.call(run.context())
    return {}


def _finetune(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    return _keep_embedder(run, run.call(run.context()))


def _adapt(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    return _keep_embedder(run, run.call(run.context(start=run.inputs.start())))


def _keep_embedder(run: StageRun, embedder: Any) -> dict[str, Any]:
    from reidbench.training.weights.artifacts import save_embedder

    _keep(run, embedder, save_embedder, saved_embedder)
    if embedder.modalities and "modality" not in run.inputs.declared_labels:
        raise StageError(
            f"{run.name} returned {type(embedder).__name__}, which takes each image's modality: "
            "declare protocol={'modality'}"
        )
    return {"parameters": sum(tensor.numel() for tensor in embedder.parameters())}


def _keep(
    run: StageRun, network: Any, save: Callable[[Path, Any], None], load: Callable[[Registry, Path], object]
) -> None:
    """Save a network and load it again: a network that cannot be rebuilt must not be published."""
    try:
        save(run.folder, network)
        load(run.inputs.registry, run.folder)
    except Exception as error:
        why = describe(error).removeprefix(f"{shown(run.folder / run.spec.kind.leaves)}: ")
        raise StageError(f"{run.name} returned {type(network).__name__}, which cannot be saved: {why}") from error


def _embed(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    inputs = run.inputs
    (given,) = run.stage.data
    artifact, root = inputs.folder_of(given)
    parts: dict[str, Split] = {}
    for part in ("query", "gallery"):
        if not (artifact.path / f"{part}.json").is_file():
            raise DataError(f"{given.data} has no {part}: it can be a source or a pool, not a target")
        parts[part] = Split.load(artifact.path / f"{part}.json", root)
    seen = look_back(inputs, given, parts)
    manifest["protocol"] = list(seen.words)
    for note in seen.notes:
        run.record.note(note)
    columns = seen.columns
    found = _read_features(run, given.data, parts) if run.stage.files else _computed_features(run, parts)
    for part, split in parts.items():
        features = found[part]
        if not np.isfinite(features).all():
            row = int(np.flatnonzero(~np.isfinite(features).all(1))[0])
            raise StageError(f"features that are not numbers, first for {split.paths[row]}")
        columns |= {f"{part}_features": features, f"{part}_pids": split.pids, f"{part}_camids": split.camids}
    columns |= more_columns(parts)
    save_arrays(run.folder / "features.npz", columns)  # the layout that `reidbench score` reads
    return {"dim": columns["query_features"].shape[1]}


def _computed_features(run: StageRun, parts: dict[str, Split]) -> Mapping[str, np.ndarray]:
    """Return features by part from the embedder of the previous stage."""
    from reidbench.training import SplitEmbedder, embed, modality_numbers

    embedder = run.inputs.start()
    if isinstance(embedder, SplitEmbedder):
        return _embedded_at_once(run, embedder, parts)
    parts = {part: split.telling(run.inputs.declared_labels) for part, split in parts.items()}
    for part, split in parts.items():
        modality_numbers(embedder, split.modality, f"{part} images of {run.stage.data[0].data}")
    settings: Any = {"device": default_device(), "workers": run.spec.workers, "progress": run.inputs.progress}
    settings |= run.stage.params  # flip
    with run.record.clock.running():
        return {part: embed(embedder, split, split.camids, **settings) for part, split in parts.items()}


def _criterion(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    """Return the value of a criterion without labels for the embedder, on the target's train images."""
    from reidbench.metrics import MetricError
    from reidbench.metrics.unsupervised import CRITERIA

    params = dict(run.stage.params)
    name = params.pop("criterion")
    features = _hidden_features(run, params)
    try:
        return CRITERIA[name](features)
    except MetricError as error:
        raise StageError(str(error)) from error


def _hidden_features(run: StageRun, params: Mapping[str, Any]) -> np.ndarray:
    """Return features of the target's unlabelled images, in order."""
    from reidbench.training import SplitEmbedder, embed, modality_numbers

    embedder = run.inputs.start()
    at_once = isinstance(embedder, SplitEmbedder)
    if at_once and params:
        raise StageError(f"flip_test: {type(embedder).__name__} has no features of mirror images; omit it")
    images = run.inputs.images("target")
    modality_numbers(embedder, images.modality, f"images of {run.stage.data[0].data}")
    settings: Any = {"device": default_device(), "workers": run.spec.workers, "progress": run.inputs.progress}
    with run.record.clock.running():
        if at_once:
            return np.asarray(embedder.embed_split(run.split_context()))
        return embed(embedder, images, images.camids, **settings, **params)  # flip


def _embedded_at_once(run: StageRun, embedder: Any, parts: Mapping[str, Split]) -> Mapping[str, np.ndarray]:
    """Return features by part; the embedder receives both parts as one hidden set and cannot distinguish them."""
    if run.stage.params:
        raise StageError(f"flip_test: {type(embedder).__name__} has no features of mirror images; omit it")
    with run.record.clock.running():
        found = np.asarray(embedder.embed_split(run.split_context()))
    joined = np.empty_like(found)
    joined[hidden_order(len(found))] = found
    return dict(zip(parts, np.split(joined, [len(parts["query"])]), strict=True))


def _read_features(run: StageRun, data: str, parts: dict[str, Split]) -> Mapping[str, np.ndarray]:
    """Return features by part, read from the files named in the matrix file."""
    files = {part: Path(file) for part, file in run.stage.files.items()}
    with run.record.clock.running():
        placed = place_features(files, parts, data, lambda split: part_numbers(split, run.spec.cache))
    for note in placed.notes:
        run.record.note(note)
    return placed.features


def _evaluate(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    from reidbench.metrics import MetricError

    parents = [run.inputs.artifact(key) for _, key in run.stage.parents]
    query, gallery = joined_features([parent.path / "features.npz" for parent in parents])
    if (query.camids < 0).all() or (gallery.camids < 0).all():
        manifest["protocol"] = ["no cameras"]  # no cameras for the camera rule
    try:
        answer = run.call(run.context(query=query, gallery=gallery))
    except MetricError as error:  # a sentence for the table, without its class name
        raise StageError(str(error)) from error
    wrong = answer_fault(answer, len(query.pids))
    if wrong:
        raise StageError(f"{run.name} {wrong}")
    values, fault = metric_values(answer.values)
    fault, note = (fault, "") if fault else compare_with_declared(values, run.inputs.component.declared)
    if fault:
        raise StageError(f"{run.name} returned {fault}")
    if note:
        run.record.note(note)
    save_arrays(run.folder / "per_query.npz", by_plain_name(answer.per_query))
    (run.folder / "notes.json").write_text(json.dumps(dict(answer.notes), sort_keys=True))
    return values


def _profile(run: StageRun, manifest: Manifest) -> dict[str, Any]:
    from reidbench.training.efficiency import is_network, measure

    inputs, threads = run.inputs, run.spec.threads
    embedder = inputs.start()
    ((_, parent),) = run.stage.parents
    manifest["machine"] = machine(threads)
    manifest["network"] = network_hash(inputs.store.path(parent))
    if not is_network(embedder):
        return {}  # no embedder to call with an image
    settings: Any = {"device": default_device(), "progress": inputs.progress, **run.stage.params}  # flip
    with run.record.clock.running(), limited_threads(threads):
        return measure(embedder, **settings)


def _judge_clusters(run: StageRun) -> dict[str, float]:
    """Return the purity of the last clustering, measured with labels hidden from its method."""
    clusters = run.record.clusters[-1][1]
    by_epoch = {str(epoch): np.array(labels) for epoch, labels in run.record.clusters}
    save_arrays(run.folder / "clusters.npz", by_epoch)
    (given,) = run.inputs.data_inputs("target")
    artifact, root = run.inputs.folder_of(given)
    if given.part != "train":
        return {}
    split = Split.load(artifact.path / "train.json", root)
    pids = split.pids[hidden_order(len(split))]
    return cluster_purity(np.array(clusters), pids)


ACTIONS: dict[str, Callable[[StageRun, Manifest], dict[str, Any]]] = {
    "data": _data,
    "select": _select,
    "pretrain": _pretrain,
    "prepare": _prepare,
    "finetune": _finetune,
    "adapt": _adapt,
    "embed": _embed,
    "criterion": _criterion,
    "evaluate": _evaluate,
    "profile": _profile,
}
