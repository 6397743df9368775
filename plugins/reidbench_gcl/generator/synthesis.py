"""GCL's generator, and the views of one step: reconstruction, new view, cycle (section 3.1, figure 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from reidbench.errors import DataError

from .decoder import Decoder
from .layers import initialise
from .params import GeneratorParams
from .structure_encoder import StructureEncoder, code_size


class Generator(nn.Module):
    """Structure encoder and decoder.

    `feat_dim` is the length of the appearance code, `image_size` (H, W). Raises DataError if the dilations or the
    blocks do not fit them.
    """

    def __init__(self, params: GeneratorParams, feat_dim: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        code_size(params, image_size)
        self.structure = StructureEncoder(params)
        self.decoder = Decoder(params, feat_dim)
        initialise(self)
        # 10 % faster on CPUs, though the norms convert back
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, structure: torch.Tensor | None = None, feat: torch.Tensor | None = None, code: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map structure maps [B, 1, H, W] and appearance codes [B, feat_dim] to images [B, 3, H, W].

        Without `feat` it returns the structure code; with `code` it starts from one. All calls go through here, so that
        a wrapper around the network intercepts them. Raises DataError without structure and code.
        """
        if code is None:
            if structure is None:
                raise DataError("the generator needs a structure map or a structure code")
            code = self.structure(structure)
        return code if feat is None else self.decoder(code, feat)


@dataclass
class Views:
    """One step's images [B, 3, H, W], appearance codes [B, 4 C] and features [B, D], all with their graph."""

    x: torch.Tensor
    feat: torch.Tensor
    f: torch.Tensor
    x_ori: torch.Tensor  # G(s_ori, feat), the reconstruction
    x_new: torch.Tensor  # G(s_new, feat), the new view
    feat_ori: torch.Tensor
    feat_new: torch.Tensor
    f_new: torch.Tensor
    x_cycle: torch.Tensor  # G(s_ori, feat_new): back from the new view
    feat_cycle: torch.Tensor

    @property
    def fakes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The generated images that the discriminator sees."""
        return self.x_ori, self.x_new, self.x_cycle


def synthesise(identity: Any, generator: Any, x: torch.Tensor, s_ori: torch.Tensor, s_new: torch.Tensor) -> Views:
    """The forward graph of one step: 2 structure encodings, 3 decodings, 4 identity encodings, all with gradients.

    x [B, 3, H, W] normalised photographs, s_ori and s_new [B, 1, H, W] the body as seen and rotated; `identity(images)`
    returns appearance code and feature. Nothing is detached here, the losses do that.
    """
    feat, f = identity(x)
    seen, rotated = generator(s_ori), generator(s_new)
    x_ori = generator(code=seen, feat=feat)
    x_new = generator(code=rotated, feat=feat)
    feat_ori, _ = identity(x_ori)
    feat_new, f_new = identity(x_new)
    x_cycle = generator(code=seen, feat=feat_new)
    feat_cycle, _ = identity(x_cycle)
    return Views(x, feat, f, x_ori, x_new, feat_ori, feat_new, f_new, x_cycle, feat_cycle)
