"""The JSON answers of the service, which its OpenAPI document describes."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Match(BaseModel):
    """An image of the gallery."""

    rank: int = Field(description="From 1, the nearest.", ge=1)
    distance: float = Field(description="1 - cosine similarity, from 0 to 2.")
    id: int = Field(description="Number of the image in the gallery, from 0.", ge=0)
    name: str = Field(description="Path of the image in the gallery.")
    url: str = Field(description="Address of a copy of the image, as a JPEG.")


class Found(BaseModel):
    """The nearest images, nearest first."""

    matches: list[Match]


class Problem(BaseModel):
    """A request that was not served."""

    error: str = Field(description="One sentence: what is wrong, and how to change it.")


class About(BaseModel):
    """The gallery, the network, and the limits of a search."""

    network: str = Field(description="The stages that trained the network, or the members of an ensemble.")
    keys: list[str] = Field(description="Keys of the networks in the store.")
    row: str | None = Field(None, description="Method of the row, if it was named by a matrix file.")
    task: str | None = Field(None, description="Task of the row.")
    seed: int | None = Field(None, description="Seed of the row.")
    protocol: str | None = Field(None, description="Labels and images that the row used, as in a table.")
    images: int = Field(description="Number of images in the gallery.", ge=1)
    dimensions: int = Field(description="Dimensions of a feature.", ge=1)
    distance: str = "1 - cosine similarity"
    index: str = Field(description="flat, which is exact, or hnsw.")
    exact: bool = Field(description="Whether an answer has the nearest images for certain.")
    most_results: int = Field(description="Most images in an answer.", ge=1)
    most_bytes: int = Field(description="Most bytes of an upload.", ge=1)
    most_pixels: int = Field(description="Most pixels of an image.", ge=1)
