"""Declarations of the example plugin. This module must not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from reidbench import Component, Metric, Params, Uses, hookimpl

CHECK = {"example-people": "reidbench_example.reader:example"}  # creates a root for `reidbench check`
Pixels = Uses["preparer", "target"]  # runs on the target's images, before the component with this field


class MethodParams(Params):
    """Parameters of example."""

    epochs: int = Field(20, ge=1, description="number of epochs of the identity sampler over the source")
    identities: int = Field(8, ge=2, description="identities per batch")
    images: int = Field(4, ge=1, description="images per identity in a batch")
    lr: float = Field(3.5e-4, gt=0, description="Adam's learning rate")


class AdapterParams(Params):
    """Parameters of example-adapter."""

    epochs: int = Field(10, ge=1, description="number of epochs over the target")
    batch: int = Field(32, ge=1, description="batch size in images")
    lr: float = Field(1e-4, gt=0, description="Adam's learning rate")


class PretrainerParams(Params):
    """Parameters of example-pretrainer."""

    epochs: int = Field(20, ge=1, description="number of epochs over the pool")
    batch: int = Field(32, ge=1, description="batch size in images; each is used upright and upside down")
    lr: float = Field(3.5e-4, gt=0, description="Adam's learning rate")


class SelectorParams(Params):
    """Parameters of example-selector."""

    keep: float = Field(0.5, gt=0, le=1, description="fraction of the pool to keep")


class UserParams(Params):
    """Parameters of example-pixels-user."""

    pixels: Pixels = Field({"use": "example-pixels"}, description="preparer that measures the target's pixels")


class BackboneParams(Params):
    """Parameters of example-network."""

    width: int = Field(16, ge=1, description="channels of the first layers; the last layer has four times as many")


class EvaluatorParams(Params):
    """Parameters of precision-at."""

    k: int = Field(5, ge=1, description="number of nearest gallery images to consider")


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Add a method that trains on the labelled source."""
    yield Component(
        "example",
        "reidbench_example.method:finetune",
        MethodParams,
        version=1,  # bump whenever results change
        summary="a linear classifier on the backbone's vector: put your method here",
    )


@hookimpl
def reidbench_datasets() -> Iterator[Component]:
    """Add a data set."""
    yield Component(
        "example-people",
        "reidbench_example.reader:read",
        summary="images in train, query and gallery, one folder per person, names like c2_7.png",
        requires={"root"},
    )


@hookimpl
def reidbench_evaluators() -> Iterator[Component]:
    """Add an evaluator."""
    yield Component(
        "precision-at",
        "reidbench_example.evaluation:evaluate",
        EvaluatorParams,
        summary="precision among the k nearest gallery images",
        protocol={"cosine"},  # its rules, shown in the protocol column
        metrics=(Metric("precision", better="higher", unit="%", range=(0, 1)),),
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Add a method that learns on the target without labels, and one that uses a preparer."""
    yield Component(
        "example-adapter",
        "reidbench_example.adaptation:adapt",
        AdapterParams,
        summary="brings images and their mirror images together",
        traits={"source-free"},  # it gets no source; without this trait it gets the task's, if any
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
    """Add the preparer of example-pixels-user."""
    yield Component(
        "example-pixels",
        "reidbench_example.preparation:prepare",
        summary="pixel statistics of the images",
        traits={"seedless"},  # uses no random numbers
    )


@hookimpl
def reidbench_pretrainers() -> Iterator[Component]:
    """Add a pre-training without labels."""
    yield Component(
        "example-pretrainer",
        "reidbench_example.pretraining:pretrain",
        PretrainerParams,
        summary="classifies images as upright or upside down",
    )


@hookimpl
def reidbench_selectors() -> Iterator[Component]:
    """Add a selector of images to pre-train on."""
    yield Component(
        "example-selector",
        "reidbench_example.selection:select",
        SelectorParams,
        summary="keeps the images with the highest contrast",
        traits={"seedless"},
    )


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """Add a network."""
    yield Component(
        "example-network",
        "reidbench_example.network:build",
        BackboneParams,
        summary="four strided convolutions",
        capabilities={"bn"},
    )
