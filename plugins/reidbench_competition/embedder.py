"""Networks of the competition system: one vector, or branches of stripes and cells."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import Backbone, BNNeck, Embedder, Preprocess, Reduction, divide, set_stride
from reidbench.training.networks.stripes import Apart, balanced_vectors, grid_vectors

# Branches by name: rows and columns of the parts of each. A branch of one part has only its global vector.
PARTS = {
    "global": ((1, 1),),
    "mgn": ((1, 1), (2, 1), (3, 1)),
    "rmgl": ((1, 1), (2, 1), (3, 1)),
    "grid": ((1, 1), (2, 1), (3, 1), (2, 2)),
}


class CompetitionEmbedder(Embedder):
    """Concatenated vectors, each with a BNNeck: [B, vectors x dim].

    `global`: the backbone's vector. Otherwise one copy of the last stages per branch, with a global vector and one
    vector per part, each reduced to `dim`. The branch without parts has a last stride of 2, as in MGN. In `rmgl`,
    `apart` shows the last stage one stripe at a time, and `balanced` moves the stripes' borders.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        branches: str = "global",
        dim: int = 256,
        pool: str = "max",
        apart: bool = True,
        balanced: bool = True,
    ) -> None:
        super().__init__(
            backbone=backbone, preprocess=preprocess, branches=branches, dim=dim, pool=pool, apart=apart,
            balanced=balanced,
        )  # fmt: skip
        self.parts = PARTS[branches]
        self.pool = pool
        self.balanced = balanced and branches == "rmgl"
        self.globals = len(self.parts)
        vectors = sum(1 + (rows * columns if rows * columns > 1 else 0) for rows, columns in self.parts)
        self._template: tuple[Backbone, nn.Sequential | None] = (backbone, None)  # its weights are not counted twice
        if branches == "global":
            self.whole = backbone
            self.dims = [backbone.dim]
            self.necks = nn.ModuleList([BNNeck(backbone.dim)])
            return
        self.shared, last = divide(backbone)
        self._template = (backbone, last)
        self.branches = nn.ModuleList(
            _branch(last, rows, columns, apart and branches == "rmgl") for rows, columns in self.parts
        )
        self.reductions = nn.ModuleList(Reduction(backbone.dim, dim, bias=False) for _ in range(vectors))
        self.dims = [dim] * vectors
        self.necks = nn.ModuleList(BNNeck(dim) for _ in range(vectors))

    @property
    def backbone(self) -> Backbone:
        """The backbone as one network, with the last stages of the branch with halves."""
        backbone, last = self._template
        if last is not None:
            trained = [stage.inner if isinstance(stage, Apart) else stage for stage in self.branches[1].children()]
            last.load_state_dict(nn.Sequential(*trained).state_dict())
        return backbone.to(next(self.parameters()).device)

    def vectors(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map normalised images to vectors [B, dim] before their necks: the branches' global vectors first."""
        if len(self.parts) == 1:
            return [self.whole(images).vector]
        common = self.shared(images)
        wholes, parts = [], []
        for branch, (rows, columns) in zip(self.branches, self.parts, strict=True):
            maps = branch(common)
            wholes += grid_vectors(maps, 1, 1, self.pool)
            if self.balanced and rows > 1 == columns:
                parts += balanced_vectors(maps, rows, self.pool)
            elif rows * columns > 1:
                parts += grid_vectors(maps, rows, columns, self.pool)
        return [reduce(pooled) for reduce, pooled in zip(self.reductions, [*wholes, *parts], strict=True)]

    def after_necks(self, vectors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the vectors after their BNNecks."""
        return [neck(vector) for neck, vector in zip(self.necks, vectors, strict=True)]

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to features: the concatenated unit vectors after their necks."""
        return torch.cat([F.normalize(vector, dim=1) for vector in self.after_necks(self.vectors(images))], 1)


def _branch(last: nn.Sequential, rows: int, columns: int, apart: bool) -> nn.Sequential:
    branch: nn.Sequential = copy.deepcopy(last)
    set_stride(branch[-1], 2 if rows * columns == 1 else 1)
    if apart and rows > 1:
        branch[-1] = Apart(branch[-1], rows)
    return branch
