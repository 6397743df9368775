"""Contact sheets of a generator's images of a few persons, and the saved generator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from reidbench.errors import DataError
from reidbench.rendering.sheets import contact_sheet
from reidbench.training import Preprocess

from .params import GeneratorParams
from .synthesis import Generator

SHEET = "views.png"
DESCRIPTION = "generator.json"
WEIGHTS = "generator.safetensors"


def to_pixels(images: torch.Tensor, preprocess: Preprocess) -> np.ndarray:
    """Convert normalised images [B, 3, H, W] to uint8 [B, H, W, 3]; values outside 0 to 255 are clipped."""
    mean, std = (torch.tensor(tuple(part)).view(1, 3, 1, 1) for part in (preprocess.mean, preprocess.std))
    values = (images.detach().float().cpu() * std + mean) * 255
    return values.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def write_sheet(folder: Path, columns: Mapping[str, torch.Tensor], preprocess: Preprocess) -> None:
    """Write views.png: rows are persons, columns the named batches [B, 3, H, W] of normalised images."""
    pixels = [to_pixels(batch, preprocess) for batch in columns.values()]
    contact_sheet(list(zip(*pixels, strict=True)), list(columns)).save(folder / SHEET)


@dataclass(frozen=True)
class Described:
    """Contents of generator.json: the parameters to rebuild the network, and measurements before and after training."""

    params: dict[str, Any]  # GeneratorParams
    feat_dim: int
    image_size: tuple[int, int]
    provider: str
    angles: tuple[int, ...]  # drawn in training
    views: str
    at_start: dict[str, float]
    at_end: dict[str, float]

    def save(self, folder: Path, generator: Generator) -> None:
        """Write generator.json and generator.safetensors."""
        (folder / DESCRIPTION).write_text(json.dumps(self.__dict__))
        state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in generator.state_dict().items()}
        save_file(state, folder / WEIGHTS)


def load_generator(folder: Path) -> tuple[Generator, Described]:
    """Rebuild a generator saved by `Described.save`, in eval mode. Raises DataError if there is none."""
    if not (folder / DESCRIPTION).is_file():
        raise DataError(f"{folder}: no generator was saved here: {DESCRIPTION} is missing")
    facts = json.loads((folder / DESCRIPTION).read_text())
    facts |= {name: tuple(facts[name]) for name in ("image_size", "angles")}
    described = Described(**facts)
    generator = Generator(GeneratorParams(**described.params), described.feat_dim, described.image_size)
    generator.load_state_dict(load_file(folder / WEIGHTS))
    return generator.eval(), described
