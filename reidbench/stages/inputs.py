"""Inputs of a stage: images with or without labels, truth, and networks with the parent's weights."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.components import Component, Params
from reidbench.contexts import Selection, ignore_note
from reidbench.data import UNKNOWN_CAMERA, Dataset, HiddenSplit, Split
from reidbench.data.dataset import PARTS
from reidbench.data.parts.everything import all_images
from reidbench.data.split import BoundTruth
from reidbench.errors import DataError
from reidbench.matrix.benchmark import ALL_IMAGES
from reidbench.matrix.devices import devices_for
from reidbench.matrix.kinds import EMBEDDERS, OF_COMPONENT, OF_STAGE, TRAINED, Given
from reidbench.matrix.stage import DataInput, Stage
from reidbench.registry.plugins import Registry
from reidbench.store.artifact import Artifact, DamagedArtifact
from reidbench.store.artifacts import GONE, Store
from reidbench.words import MORE_LABELS, VALIDATION

from .networks import StageError, build_backbone, saved_backbone, saved_embedder
from .record import progressed
from .spec import StageSpec
from .worker import Emit


def images_place(dataset: Dataset, root: str | None) -> dict[str, str | None]:
    """Return the location of a data set's images for its manifest: absolute, and relative to the user's root."""
    place = os.path.abspath(dataset.root)  # noqa: PTH100 - not resolved: a link may lead elsewhere tomorrow
    return {"root": place, "root_from_given": os.path.relpath(place, root) if root else None}


def images_root(artifact: Artifact, root: str | None) -> Path:
    """Return the current location of the images: data may have moved together with the user's root.

    Raises DamagedArtifact for an artifact without a location.
    """
    beside = artifact.need("root_from_given")
    if root and beside:
        return Path(os.path.normpath(Path(root) / beside))
    place = artifact.need("root")
    if place is None:
        raise DamagedArtifact(artifact.key, f"{artifact.path}: its manifest has no location of the images")
    return Path(place)


def every_image(artifact: Artifact, root: Path) -> tuple[Split, np.ndarray, tuple[str, ...]]:
    """Return all images of a data set as one split, their indices in train, query and gallery, and notes."""
    files = {part: artifact.path / f"{part}.json" for part in PARTS}
    parts = {part: Split.load(file, root) for part, file in files.items() if file.is_file()}
    return all_images(parts, bool(artifact.need("one_numbering")))


def blame_what_is_gone(store: Store, spec: StageSpec, error: Exception) -> None:
    """Raise DamagedArtifact if a stage failed because its input was removed, by `clean` or by hand."""
    data = [*spec.stage.data, *(spec.trained_on if spec.stage.kind == "embed" else ())]
    for key in [*(key for _, key in spec.stage.parents), *(given.key for given in data)]:
        if not store.has(key):
            store.set_aside(key)  # what is left of it
            raise DamagedArtifact(key, f"{store.path(key)}: {GONE}") from error


class Inputs:
    """Reader of a stage's inputs, from the store and from the data."""

    def __init__(self, spec: StageSpec, store: Store, registry: Registry, emit: Emit) -> None:
        self.spec = spec
        self.stage = spec.stage
        self.store = store
        self.registry = registry
        self.emit = emit
        self.note: Callable[[str], None] = ignore_note  # of a running stage

    @cached_property
    def component(self) -> Component:
        """Component that the stage runs."""
        return self.registry.get(self.spec.kind.component, self.stage.use)

    @cached_property
    def params(self) -> Params:
        """Parameters of the component."""
        return self.params_of(self.component, self.stage)

    @staticmethod
    def params_of(component: Component, stage: Stage) -> Params:
        """Return a component's parameters in a stage, including secret ones."""
        return component.params(**{**stage.params, **stage.secrets})

    @cached_property
    def devices(self) -> int:
        """Number of devices of the stage. Raises OneDevice if its component does not support several."""
        if not self.spec.kind.several_devices:
            return 1
        return devices_for(self.stage.kind, self.component, self.params, self.spec.devices)

    def progress(self, done: int, total: int) -> None:
        """Report the progress of the stage."""
        self.emit(progressed(done, total))

    def artifact(self, key: str) -> Artifact:
        """Return the artifact of another stage."""
        return self.store.read(key)

    def parent(self, *roles: str) -> Artifact | None:
        """Return the artifact of the last parent with one of these roles."""
        keys = [key for role, key in self.stage.parents if role in roles]
        return self.artifact(keys[-1]) if keys else None

    # ------------------------------------------------------------------ data
    def data_inputs(self, role: str) -> list[DataInput]:
        """Return the data sets of a role."""
        return [given for given in self.stage.data if given.role == role]

    def folder_of(self, given: DataInput) -> tuple[Artifact, Path]:
        """Return the published lists of a data set and the current location of its images."""
        artifact = self.artifact(given.key)
        return artifact, images_root(artifact, self.spec.roots.get(given.key))

    @cached_property
    def declared_labels(self) -> frozenset[str]:
        """Labels beyond identity that the stage's component declares; it receives no others.

        A stage without a component, which uses the network of the previous training, has the labels of that training.
        """
        if self.spec.kind.component:
            return self.component.protocol_with(self.params) & MORE_LABELS
        before = self.spec.start
        if before is None:
            return frozenset()
        component = self.registry.get(OF_STAGE[before.kind].component, before.use)
        return component.protocol_with(self.params_of(component, before)) & MORE_LABELS

    def labelled(self, role: str) -> Split | None:
        """Return the labelled images of a role, train or all; several data sets are merged."""
        splits = []
        for given in self.data_inputs(role):
            split = self._labelled(given)
            if len(split) == 0:
                raise DataError(f"{given.data} has no train images: it can be a target, not a {role}")
            if given.identities is not None:
                split = split.few_identities(given.identities, given.subset_seed)
            splits.append(split.telling(self.declared_labels))
        return Split.merge(splits) if splits else None

    def _labelled(self, given: DataInput) -> Split:
        """Return the labelled images of a data set; notes images left out of all images."""
        artifact, root = self.folder_of(given)
        if given.part != ALL_IMAGES:
            return Split.load(artifact.path / "train.json", root)
        split, _, notes = every_image(artifact, root)
        for note in notes:
            self.note(f"all images of {given.data}: {note}")
        return split

    def hidden(self, role: str) -> HiddenSplit | None:
        """Return the unlabelled images of a role."""
        splits = []
        for given in self.data_inputs(role):
            artifact, root = self.folder_of(given)
            file = artifact.path / f"{given.part}-hidden.json"
            if not file.is_file():
                raise DataError(f"{given.data} has no {given.part} images")
            splits.append(HiddenSplit.load(file, root).telling(self.declared_labels))
            if len(splits[-1]) == 0:
                raise DataError(f"{given.data} has no {given.part} images")
        return HiddenSplit.merge(splits) if splits else None

    def images(self, role: str) -> HiddenSplit:
        """Return the images of a role that the plan requires."""
        images = self.hidden(role)
        if images is None:
            raise StageError(f"{self.stage.use} needs a {role}")
        return images

    def check_cameras(self) -> None:
        """Raise StageError if a component requires cameras and its images come from fewer than two."""
        role = self.spec.kind.learns_from
        if not self.data_inputs(role) or "cameras" not in self.component.required(self.params):
            return
        images = self.labelled(role) if role == "source" else self.hidden(role)
        found = {int(camid) for camid in images.camids} - {UNKNOWN_CAMERA} if images is not None else set()
        if len(found) < 2:
            names = " and ".join(given.data for given in self.data_inputs(role))
            count = "one camera" if found else "no known camera"
            raise StageError(f"{self.stage.use} needs two or more cameras, but {names} has {count}")

    def truth(self, role: str, images: HiddenSplit | None) -> Any:
        """Return the truth about a role's images, which only rendered data have, for `protocol={"truth"}`."""
        return self.known_truth(role, images) if "truth" in self.component.protocol_with(self.params) else None

    def known_truth(self, role: str, images: HiddenSplit | None = None) -> Any:
        """Return the truth about a role's images, or about the given ones.

        Raises StageError if the data set does not have it.
        """
        places = self.data_inputs(role)
        if len(places) != 1:
            raise StageError(f"{self.stage.use} needs the truth of one data set, but its {role} has {len(places)}")
        (given,) = places
        planned = self.spec.data_stages[given.key]
        dataset = self.open_dataset(planned.use, planned.params, planned.root)
        if dataset.truth is None:
            raise StageError(f"{self.stage.use} needs the truth, which {given.data} does not have")
        return BoundTruth(dataset.truth, self.images(role) if images is None else images)

    def validation(self) -> tuple[tuple[Split, Split], ...]:
        """Query and gallery of each data set that a training chooses its epoch on."""
        places = [self.folder_of(given) for given in self.data_inputs(VALIDATION)]
        files = [[(at.path / f"{part}.json", root) for part in ("query", "gallery")] for at, root in places]
        pairs = ([Split.load(*one).telling(self.declared_labels) for one in pair] for pair in files)
        return tuple((query, gallery) for query, gallery in pairs)

    def given(self, images: Given) -> Any:
        """Return the images of an entry of the table of kinds; None if the component receives none."""
        if images.role == VALIDATION:
            return self.validation()
        if not images.hidden:
            return self.labelled(images.role)
        if images.only_with:
            return self.hidden(images.role)
        if not images.unless:
            return self.images(images.role)
        pool, selection = self.hidden(images.role), self.parent("select")
        if pool is None or selection is None:
            return pool
        return pool.subset(np.load(selection.path / "selection.npz")["indices"])

    def open_dataset(self, use: str, params: Mapping[str, Any], root: str | None) -> Dataset:
        component = self.registry.get("dataset", use)
        target = component.load()
        more = {"progress": self.progress} if "progress" in inspect.signature(target).parameters else {}
        dataset = target(component.params(**params), Path(root) if root else None, self.spec.cache, **more)
        if not isinstance(dataset, Dataset):
            raise StageError(f"dataset {use} must return a Dataset, not {type(dataset).__name__}")
        return dataset

    # ------------------------------------------------------------------ networks
    def backbone(self) -> Any:
        """Return a new network with the parent stage's weights."""
        parent = self.parent(*TRAINED)
        if parent and (parent.path / "backbone.json").is_file():
            return saved_backbone(self.registry, parent.path, self.own_network())
        start = self.start()
        if start is not None:
            if not hasattr(start, "backbone"):  # an untrained one would be scored as a trained one
                raise StageError(f"{type(start).__name__} of the previous stage has no backbone to start from")
            if self.stage.kind == OF_COMPONENT["finetuner"].stage:  # in a sequence; adapters receive the embedder
                self._note_carried(start)
            return start.backbone
        assert self.stage.backbone is not None  # the plan sets one for each step
        network = build_backbone(self.registry, {**self.stage.backbone, "image_size": self.spec.size}, whole=True)
        for text in network.notes:
            self.note(text)
        return network

    def _note_carried(self, start: Any) -> None:
        """Note how much of the previous embedder a fine-tuning starts from."""
        whole, kept = (sum(one.numel() for one in network.parameters()) for network in (start, start.backbone))
        if kept < whole:
            self.note(
                f"starts from the backbone of the previous step, {kept:,} of its {whole:,} parameters; the rest, such "
                "as a neck or branches, is new"
            )

    def own_network(self) -> Any:
        """Return the OwnNetwork of a stage whose network or images differ from its parent's, otherwise None."""
        from reidbench.training.weights.carry import OwnNetwork

        stage, before = self.stage, self.spec.start
        if stage.backbone is None or before is None:
            return None
        setups = [(one.backbone, one.image_size, one.pictures) for one in (stage, before)]
        described = {**stage.backbone, "image_size": list(stage.image_size)}
        return None if setups[0] == setups[1] else OwnNetwork(described, stage.size, before.label)

    def start(self) -> Any:
        """Return the parent's embedder with the stage's own network, or None."""
        parent = self.parent(*EMBEDDERS)
        return saved_embedder(self.registry, parent.path, self.own_network()) if parent else None

    def network(self, name: str) -> Any:
        """Return the network trained by the stage of a `Uses` field: a Backbone or an Embedder."""
        artifact = self.parent(f"prepared.{name}")
        if artifact is None:
            raise StageError(f"{self.stage.use} has no field {name!r} that names a stage")
        saved = saved_backbone if (artifact.path / "backbone.json").is_file() else saved_embedder
        return saved(self.registry, artifact.path)

    def judge_selection(self, pool: HiddenSplit, answer: Selection) -> dict[str, float]:
        """Return metrics of a selection computed from the truth; {} if the relevant images are unknown."""
        from reidbench.metrics.selection import selection_quality

        places = self.data_inputs("pool")
        if len(places) != 1 or not self.folder_of(places[0])[0].manifest.get("knows_relevance"):
            return {}
        truth = self.known_truth("pool")
        relevant = np.array([bool(truth.relevance(index)) for index in range(len(pool))])
        return selection_quality(answer.scores, answer.indices, relevant)
