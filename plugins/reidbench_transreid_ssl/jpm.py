"""The jigsaw patch module (He et al., TransReID, ICCV 2021): shift, shuffle, local branches."""

from __future__ import annotations

import copy

import torch
from torch import nn

from reidbench.errors import ReidbenchError


def jigsaw_order(patches: int, shift: int, groups: int, shuffle: int) -> torch.Tensor:
    """Return the indices of patches after shift and shuffle, in equal parts for the groups: [groups, length].

    The first `shift` patches move to the end; then `shuffle` runs of equal length are interleaved, one patch from each
    run in turn, so that every part covers the whole image. Patches left over after equal parts are dropped: 2 of the
    210 patches at stride 12. If one patch is missing for equal runs, the last but one is used twice, as in the official
    code, which has no rule if more are missing: here the rest of the shifted sequence is dropped. Raises ReidbenchError
    for fewer patches than groups.
    """
    if patches < max(groups, shuffle):
        raise ReidbenchError(
            f"jpm with {max(groups, shuffle)} groups needs at least as many patches, but the backbone has {patches}"
        )
    shifted = (torch.arange(patches) + shift) % patches
    missing = -patches % shuffle
    if missing == 1:
        shifted = torch.cat([shifted, shifted[-2:-1]])
    elif missing:
        shifted = shifted[: patches // shuffle * shuffle]
    dealt = shifted.view(shuffle, -1).t().flatten()
    length = min(patches, len(dealt)) // groups
    return dealt[: groups * length].view(groups, length)


class JigsawBranch(nn.Module):
    """A copy of the last block and its norm, shared by the local parts; each part passes through it with the CLS."""

    def __init__(self, block: nn.Module, norm: nn.Module, shift: int, groups: int, shuffle: int) -> None:
        super().__init__()
        self.block = copy.deepcopy(block)
        self.norm = copy.deepcopy(norm)
        self.shift = shift
        self.groups = groups
        self.shuffle = shuffle

    def forward(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Map the last block's input [B, 1 + N, D], CLS first, to one CLS [B, D] for each group."""
        order = jigsaw_order(tokens.shape[1] - 1, self.shift, self.groups, self.shuffle).to(tokens.device)
        cls, patches = tokens[:, :1], tokens[:, 1:]
        parts = torch.stack([torch.cat([cls, patches[:, part]], 1) for part in order], 1)  # [B, groups, 1 + length, D]
        out = self.norm(self.block(parts.flatten(0, 1)))[:, 0]
        return list(out.view(len(tokens), self.groups, -1).unbind(1))
