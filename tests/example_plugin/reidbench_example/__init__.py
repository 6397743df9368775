"""What reidbench has to know of this plugin. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from reidbench import Component, Metric, Params, hookimpl

CHECK = {"example-people": "reidbench_example.people:example"}  # how `reidbench check` gets a root to read


class MethodParams(Params):
    """Parameters of example."""

    epochs: int = Field(20, ge=1, description="passes of the identity sampler over the source")
    identities: int = Field(8, ge=2, description="identities in a batch")
    images: int = Field(4, ge=1, description="images of each identity in a batch")
    lr: float = Field(3.5e-4, gt=0, description="Adam's learning rate")


class PrecisionParams(Params):
    """Parameters of precision-at."""

    k: int = Field(5, ge=1, description="how many of the nearest gallery images are looked at")


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """A method."""
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
        "reidbench_example.people:open_people",
        summary="pictures in train, query and gallery, a folder for each person, names like c2_7.png",
        requires=frozenset({"root"}),
    )


@hookimpl
def reidbench_evaluators() -> Iterator[Component]:
    """An evaluator."""
    yield Component(
        "precision-at",
        "reidbench_example.precision:precision_at",
        PrecisionParams,
        summary="share of the query's person among its k nearest gallery images",
        protocol=frozenset({"cosine"}),  # words for the protocol column
        metrics=(Metric("precision", better="higher", unit="%", range=(0, 1)),),
    )
