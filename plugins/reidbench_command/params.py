"""Parameters of a program, and the traits and checks that follow from the placeholders of its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from reidbench import FileParam, FilesParam, InPlace, Params, Secret
from reidbench.words import BACKBONE_FREE, SEEDLESS, UNKNOWN, Declared

from .template import fault, placeholders

# Words that a program cannot declare: the harness adds the first for `cameras: true`, and never provides the others.
NOT_DECLARED = ("cameras", "truth", "auxiliary")


def _words(given: Any) -> Any:
    """Return `none` as an empty list, and one word as a list of one."""
    if isinstance(given, str):
        return [] if given == "none" else [given]
    return given


class CommandParams(Params):
    """Parameters of both fine-tuner and adapter."""

    extract: str = Field(description="command that writes features of the images in {images} into the folder {out}")
    train: str | None = Field(
        None, description="command that writes a model to the folder {out}; extract reads {model}"
    )
    folder: Annotated[Path, InPlace()] = Field(
        Path(), description="working folder of the commands, relative to the matrix file; default: its folder"
    )
    files: FilesParam = Field((), description="files and folders of the program; their content is part of the key")
    lock: FileParam | None = Field(
        None, description="list of installed packages, such as requirements.txt; its content is part of the key"
    )
    env: Annotated[dict[str, str], Secret()] = Field(
        {}, description="environment variables; hashes of their values are part of the key, the values are not stored"
    )
    uses: Annotated[tuple[str, ...] | None, BeforeValidator(_words)] = Field(
        None,
        description="protocol words for other data that the program has used, such as 'ImageNet labels', or none; "
        "default: 'unknown pre-training'",
    )
    layout: Literal["market", "csv"] = Field("market", description="format of the labels in {source}")
    cameras: bool = Field(False, description="provide a CSV file of camera numbers as {cameras}")
    shell: bool = Field(False, description="run the commands with /bin/sh, which allows pipes and variables")
    resumable: Annotated[bool, Declared()] = Field(
        False, description="keep the content of {out} when an interrupted command runs again"
    )
    minutes: Annotated[float | None, Declared()] = Field(
        None, gt=0, description="time limit of each command in minutes; none: no limit"
    )
    memory_gb: Annotated[float | None, Declared()] = Field(
        None, gt=0, description="memory limit of a command and its processes in GiB; none: no limit"
    )

    @model_validator(mode="after")
    def _fit(self) -> Self:
        """Raise ValueError for placeholders that cannot be filled, and for invalid declarations."""
        told = {"cameras"} if self.cameras else set()
        model = {"model"} if self.train else set()
        known = {"images", "out", "seed"} | model | told
        wrong = fault("extract", self.extract, known, {"images", "out"} | model)
        if not wrong and self.train is not None:
            wrong = self.train_fault(told)
        if not wrong and self.cameras and "cameras" not in self.asked:
            wrong = "cameras: true provides {cameras}, but no command uses it; add {cameras} or remove cameras"
        wrong = wrong or self._declared_fault()
        if wrong:
            raise ValueError(wrong)
        return self

    def _declared_fault(self) -> str:
        taken = [word for word in self.uses or () if word in NOT_DECLARED]
        if taken:
            return f"uses cannot include {taken[0]!r}: programs do not receive it, except with `cameras: true`"
        bad = [name for name, value in self.env.items() if not name or "=" in name or "\0" in name + value]
        return f"env: {bad[0]!r} is not a valid variable" if bad else ""

    def train_fault(self, told: set[str]) -> str:
        """Return the fault of `train`, or ""; `told` contains "cameras" if they are provided."""
        raise NotImplementedError

    @property
    def asked(self) -> set[str]:
        """The placeholders of all commands."""
        return placeholders(self.extract) | placeholders(self.train or "")

    def traits(self) -> frozenset[str]:
        """Return "backbone-free", and "seedless" without {seed}: the program then runs once for all seeds."""
        return frozenset({BACKBONE_FREE} | ({SEEDLESS} if "seed" not in self.asked else set()))

    def protocol(self) -> frozenset[str]:
        """Return the protocol words for the given and the declared data."""
        declared = {UNKNOWN} if self.uses is None else set(self.uses)
        return frozenset(declared | ({"cameras"} if self.cameras else set()))


class FinetuneParams(CommandParams):
    """Parameters of the fine-tuner: `train` may use {source}, the labelled source."""

    def train_fault(self, told: set[str]) -> str:
        """Return the fault of `train`, or ""."""
        assert self.train is not None
        if "target" in placeholders(self.train):
            return "train uses {target}, which only an adapter receives: write `adapt:` instead of `finetune:`"
        return fault("train", self.train, {"source", "out", "seed"}, {"out"})

    def traits(self) -> frozenset[str]:
        """Add "label-free" without {source}."""
        return super().traits() | ({"label-free"} if "source" not in self.asked else set())


class AdaptParams(CommandParams):
    """Parameters of the adapter: `train` uses {target}, the target's images, and may use {source}."""

    train: str = Field(description="command that writes a model to the folder {out}; extract reads {model}")

    def train_fault(self, told: set[str]) -> str:
        """Return the fault of `train`, or ""."""
        return fault("train", self.train, {"source", "target", "out", "seed"} | told, {"target", "out"})

    def traits(self) -> frozenset[str]:
        """Add "source-free" without {source}."""
        return super().traits() | ({"source-free"} if "source" not in self.asked else set())

    def required(self) -> frozenset[str]:
        """Require a source in the task with {source}."""
        return frozenset({"source"} & self.asked)
