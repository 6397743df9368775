"""Stand-ins for files and folders given as parameters: weights of a fresh network, or files that a plugin writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reidbench.components import ContentHashed, NestedKind
from reidbench.matrix.benchmark import Benchmark, Choice, Recipe, Setup, canonical, marker
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.reading.checker import there
from reidbench.registry.plugins import Registry
from reidbench.stages.networks import build_backbone
from reidbench.stages.worker import seed_torch
from reidbench.words import Declared

from .changes import with_params
from .lists import Lists
from .standins import Cast, NoStandIn, each_method, made, own_folder

WEIGHTS = (".pth", ".pt", ".tar", ".safetensors", "")  # no extension: an unset variable


def stand_in_files(cast: Cast, registry: Registry, folder: Path) -> None:
    """Give each parameter with a missing file or folder a stand-in, and remove methods for which there is none.

    Raises NoStandIn for a missing file of an evaluator.
    """
    for choice in cast.benchmark.evaluate:
        for name, path in missing_paths(choice).items():
            raise NoStandIn(f"{choice.name} requires your own {path} (parameter {name})")
    files = Files(cast.benchmark, registry, folder)
    each_method(cast, files.recipe)
    cast.files |= files.first


class Files:
    """Creates stand-ins below a folder, one for each pair of file and network."""

    def __init__(self, benchmark: Benchmark, registry: Registry, folder: Path) -> None:
        self.benchmark = benchmark
        self.registry = registry
        self.folder = folder
        self.lists = Lists(benchmark)
        self.there: dict[str, Path] = {}
        self.first: dict[str, Path] = {}  # first stand-in by original path

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return the method with stand-ins. Raises NoStandIn."""
        setup = self.benchmark.setup(recipe)
        backbone = self.backbone(setup.backbone, setup)
        setup = replace(setup, backbone=backbone)
        steps = tuple((step, self.choice(choice, setup, OF_STAGE[step].learns_from)) for step, choice in recipe.steps)
        return replace(recipe, backbone=backbone, steps=steps)

    def backbone(self, choice: Choice, setup: Setup) -> Choice:
        """Return a backbone with stand-ins for its weights."""
        return self.filled(choice, replace(setup, backbone=choice), "")

    def choice(self, choice: Choice, setup: Setup, role: str) -> Choice:
        """Return a component with stand-ins, also in nested ones; its images are those of `role`."""
        if choice.backbone:
            choice = replace(choice, backbone=self.backbone(choice.backbone, setup.of(choice)))
        others = {name: self.choice(one, setup, role) for name, one in choice.for_data.items()}
        choice = replace(choice, for_data=others)
        inner_setup = setup.of(choice)
        setups: dict[str, Setup] = {}
        nested: dict[str, tuple[Choice, NestedKind]] = {}
        for name, (inner, mark) in choice.nested.items():
            around = setups.get(mark.start, inner_setup)
            nested[name] = self.choice(inner, around, mark.role), mark
            setups[name] = around.of(nested[name][0])
        return self.filled(with_params(choice, {}, nested), inner_setup, role)

    def filled(self, choice: Choice, setup: Setup, role: str) -> Choice:
        """Return the choice with a stand-in for each missing file and folder."""
        missing = missing_paths(choice)
        return with_params(choice, {name: str(self.stand_in(choice, name, setup, role)) for name in missing})

    def stand_in(self, choice: Choice, name: str, setup: Setup, role: str) -> Path:
        """Return the stand-in for one parameter."""
        mark: ContentHashed = marker(choice.component.params.model_fields[name], ContentHashed)
        path = missing_paths(choice)[name]
        network = without_files(setup.backbone)
        key = canonical([choice.kind, choice.name, name, str(path), network.name, network.resolved, setup.size])
        if key not in self.there:
            if mark.stand_in:
                what = f"{name} of {choice.kind} {choice.name}"
                place = own_folder(self.folder, path.name)
                self.there[key] = made(mark.stand_in, what, place, choice.params, self.lists.names(role))
            elif choice.kind in ("backbone", "pretrainer") and not mark.folder and path.suffix in WEIGHTS:
                self.there[key] = self.weights(path, network, setup.size, getattr(choice.params, "layout", ""))
            else:
                what = f"{'folder' if mark.folder else 'file'} {path} (parameter {name})"
                raise NoStandIn(f"{choice.name} requires your own {what}; it has no stand-in")
        self.first.setdefault(str(path), self.there[key])
        return self.there[key]

    def weights(self, path: Path, network: Choice, size: tuple[int, int], layout: str) -> Path:
        """Write the weights of a fresh network to a file of the same name, in a layout."""
        seed_torch(0)  # the same file in every rehearsal
        described = {"use": network.name, "params": network.resolved, "image_size": size}
        state = build_backbone(self.registry, described).state_dict()
        place = own_folder(self.folder, path.stem) / (path.name if path.suffix else "weights.pth")
        place.parent.mkdir(parents=True)
        write_state(place, state, layout)
        return place


def missing_paths(choice: Choice) -> dict[str, Path]:
    """Return the missing files and folders of a choice by parameter; the first one of a list."""
    found = {}
    for name, info in type(choice.params).model_fields.items():
        mark, value = marker(info, ContentHashed), getattr(choice.params, name)
        if mark is None or value is None:
            continue
        test = Path.exists if mark.folder is None else Path.is_dir if mark.folder else Path.is_file
        lost = [path for path in (value if mark.folder is None else [value]) if not there(path, test)]
        if lost:
            found[name] = lost[0]
    return found


def without_files(backbone: Choice) -> Choice:
    """Return the backbone with random weights: without a file, and without declared labels. Raises NoStandIn."""
    fields = type(backbone.params).model_fields
    marked = [name for name, info in fields.items() if marker(info, ContentHashed) or marker(info, Declared)]
    return with_params(backbone, {name: None for name in marked if getattr(backbone.params, name) is not None})


def write_state(file: Path, state: Mapping[str, Any], layout: str) -> None:
    """Write tensors with torch or safetensors, by the file's extension, in the container and names of a layout."""
    import torch
    from safetensors.torch import save_file

    from reidbench.training.weights.layouts import LAYOUTS

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    if layout in LAYOUTS:
        whose = LAYOUTS[layout]
        plain = {theirs: tensor for name, tensor in plain.items() for theirs in whose.names(name)}
    if file.suffix == ".safetensors":
        save_file({name: tensor.clone() for name, tensor in plain.items()}, file)
        return
    container = LAYOUTS[layout].container if layout in LAYOUTS else ""
    torch.save({container: plain} if container else plain, file)
