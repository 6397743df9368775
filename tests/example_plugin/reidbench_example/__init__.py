"""What reidbench has to know of this plugin. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from reidbench import Component, Metric, Params, Uses, hookimpl

CHECK = {"example-people": "reidbench_example.reader:example"}  # how `reidbench check` gets a root to read
Pixels = Uses["preparer", "target"]  # runs on the target's images, before the component that asks for it


class MethodParams(Params):
    """Parameters of example."""

    epochs: int = Field(20, ge=1, description="passes of the identity sampler over the source")
    identities: int = Field(8, ge=2, description="identities in a batch")
    images: int = Field(4, ge=1, description="images of each identity in a batch")
    lr: float = Field(3.5e-4, gt=0, description="Adam's learning rate")


class AdapterParams(Params):
    """Parameters of example-adapter."""

    epochs: int = Field(10, ge=1, description="passes over the target")
    batch: int = Field(32, ge=1, description="images in a batch")
    lr: float = Field(1e-4, gt=0, description="Adam's learning rate")


class PretrainerParams(Params):
    """Parameters of example-pretrainer."""

    epochs: int = Field(20, ge=1, description="passes over the pool")
    batch: int = Field(32, ge=1, description="images in a batch; each comes upright and upside down")
    lr: float = Field(3.5e-4, gt=0, description="Adam's learning rate")


class SelectorParams(Params):
    """Parameters of example-selector."""

    keep: float = Field(0.5, gt=0, le=1, description="share of the pool that is kept")


class UserParams(Params):
    """Parameters of example-pixels-user."""

    pixels: Pixels = Field({"use": "example-pixels"}, description="preparer that measures the target's pixels")


class BackboneParams(Params):
    """Parameters of example-network."""

    width: int = Field(16, ge=1, description="channels of the first layers; the last has 4 times that")


class EvaluatorParams(Params):
    """Parameters of precision-at."""

    k: int = Field(5, ge=1, description="how many of the nearest gallery images are looked at")


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """A method that trains on the labelled source."""
    yield Component(
        "example",
        "reidbench_example.method:finetune",
        MethodParams,
        version=1,  # bump it whenever results change
        summary="a linear classifier on the backbone's vector: put your method here",
    )


@hookimpl
def reidbench_datasets() -> Iterator[Component]:
    """A data set."""
    yield Component(
        "example-people",
        "reidbench_example.reader:read",
        summary="pictures in train, query and gallery, a folder for each person, names like c2_7.png",
        requires={"root"},
    )


@hookimpl
def reidbench_evaluators() -> Iterator[Component]:
    """An evaluator."""
    yield Component(
        "precision-at",
        "reidbench_example.evaluation:evaluate",
        EvaluatorParams,
        summary="share of the query's person among its k nearest gallery images",
        protocol={"cosine"},  # its rules, for the protocol column
        metrics=(Metric("precision", better="higher", unit="%", range=(0, 1)),),
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """A method that learns on the target without labels, and one that asks for a preparer."""
    yield Component(
        "example-adapter",
        "reidbench_example.adaptation:adapt",
        AdapterParams,
        summary="brings images and their mirror images together",
        traits={"source-free"},  # it is given no source; without this it gets the task's, where there is one
    )
    yield Component(
        "example-pixels-user",
        "reidbench_example.preparation:use",
        UserParams,
        summary="normalises the target's images by their own pixel statistics",
        traits={"source-free"},
    )


@hookimpl
def reidbench_preparers() -> Iterator[Component]:
    """What example-pixels-user asks for."""
    yield Component(
        "example-pixels",
        "reidbench_example.preparation:prepare",
        summary="pixel statistics of the images",
        traits={"seedless"},  # it draws nothing
    )


@hookimpl
def reidbench_pretrainers() -> Iterator[Component]:
    """Pre-training without labels."""
    yield Component(
        "example-pretrainer",
        "reidbench_example.pretraining:pretrain",
        PretrainerParams,
        summary="tells upright pictures from those turned upside down",
    )


@hookimpl
def reidbench_selectors() -> Iterator[Component]:
    """A choice of the images to pre-train on."""
    yield Component(
        "example-selector",
        "reidbench_example.selection:select",
        SelectorParams,
        summary="keeps the pictures of the strongest contrast",
        traits={"seedless"},
    )


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """A network."""
    yield Component(
        "example-network",
        "reidbench_example.network:build",
        BackboneParams,
        summary="four strided convolutions",
        capabilities={"bn"},
    )
