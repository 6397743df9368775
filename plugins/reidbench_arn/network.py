"""ARN's network and loss: E_I -> X, codes of E_C and of E_S or E_T, and one decoder from their sum back to X."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import identity_heads, seeded, stream
from reidbench.training.networks.backbone import layout_of

from .embedder import ArnEmbedder, Codes
from .fcn import FcnDecoder, FcnEncoder, dropped
from .losses import (
    contrastive,
    cosine_difference,
    frobenius_difference,
    raw_difference,
    reconstruction,
    summed_reconstruction,
)
from .params import ArnParams, Group

Domain = Literal["source", "target"]
LEAST_CHANNELS = 16
DIFFERENCES = {"cosine": cosine_difference, "frobenius": frobenius_difference, "raw": raw_difference}
RECONSTRUCTIONS = {"mean": reconstruction, "sum": summed_reconstruction}


class Passed(NamedTuple):
    """Outputs of the networks for one domain's images.

    `features` is X [B, C, h, w], `shared` and `private` are maps [B, D, h', w'], `vector` is e_c [B, D], `wanted` is
    the reconstruction target and `rebuilt` the reconstruction.
    """

    features: torch.Tensor
    shared: torch.Tensor
    private: torch.Tensor | None
    vector: torch.Tensor
    wanted: torch.Tensor
    rebuilt: torch.Tensor | None


class Output(NamedTuple):
    """The weighted sum of all losses, and the values to log."""

    loss: torch.Tensor
    facts: dict[str, torch.Tensor]


class Decoder(nn.Module):
    """D_C: code map [B, D, h', w'] to [B, *wanted], (channels, height, width), by 3x3 convolutions and upsampling by 2.

    The last convolution is linear: neither X nor a normalised image is bounded.
    """

    def __init__(self, inputs: int, given: Sequence[int], wanted: Sequence[int]) -> None:
        super().__init__()
        channels, *self.size = wanted
        largest = max(after / before for before, after in zip(given, self.size, strict=True))
        self.doublings = max(0, math.ceil(math.log2(largest)))
        widths = [inputs]
        for _ in range(max(1, self.doublings)):
            widths.append(max(widths[-1] // 2, LEAST_CHANNELS))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
            for before, after in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], channels, 3, 1, 1)

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        """Map [B, D, h', w'] to [B, *wanted]."""
        for number, block in enumerate(self.blocks):
            code = block(code)
            if number < self.doublings:
                code = F.interpolate(code, scale_factor=2, mode="nearest")
        if list(code.shape[2:]) != self.size:  # a map of odd height or width
            code = F.interpolate(code, size=self.size, mode="nearest")
        return self.last(code)  # type: ignore[no-any-return]


class ArnNetwork(nn.Module):
    """All networks of one run. `forward(source, labels, target)` returns the loss of a step.

    Source and target pass one after the other, so that in training batch norm normalises each domain separately. Its
    running statistics mix both, with the target last. `generator` draws the dropout.
    """

    def __init__(self, embedder: ArnEmbedder, classes: int, params: ArnParams, seed: int) -> None:
        super().__init__()
        self.params = params
        self.embedder = embedder
        self.generator = stream(seed, "dropout")
        codes = _look(embedder)
        length = codes.map.shape[1]
        self.private: nn.ModuleDict | None = None
        self.decoder: Decoder | FcnDecoder | None = None
        with seeded(seed, "new networks"):
            (self.classifier,) = identity_heads([codes.vector.shape[1]], classes, bias=True)
            if "reconstruction" in params.losses:
                height, width = embedder.preprocess.size
                wanted = codes.features.shape[1:] if params.target == "feature" else (3, height, width)
                pooled = params.codes == "pooled"
                self.decoder = FcnDecoder(length, wanted) if pooled else Decoder(length, codes.map.shape[2:], wanted)
                self.decoder.to(memory_format=layout_of(embedder))  # type: ignore[call-overload]
            if "difference" in params.losses:
                self.private = nn.ModuleDict({domain: self._private_encoder() for domain in ("source", "target")})
        self.gamma = params.gamma_of(length)
        for module in self.modules():
            if isinstance(module, FcnEncoder):
                module.draw_from(self.generator, params.dropout)

    def _private_encoder(self) -> nn.Module:
        """Return E_S or E_T: the shape of E_C, with separate weights."""
        encoder = copy.deepcopy(self.embedder.shared)
        if self.params.private_start == "fresh":
            for module in encoder.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
        return encoder

    def train(self, mode: bool = True) -> ArnNetwork:
        """Set the mode; a frozen E_I stays in evaluation mode and keeps its statistics."""
        super().train(mode)
        if self.params.image_frozen:
            for module in self.embedder.image_modules:
                module.eval()
        return self

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        """Return every parameter in exactly one group; turn off the gradients of a frozen E_I."""
        image = [parameter for module in self.embedder.image_modules for parameter in module.parameters()]
        for parameter in image:
            parameter.requires_grad_(not self.params.image_frozen)
        inside = {id(parameter) for parameter in image}
        shared = [parameter for parameter in self.embedder.parameters() if id(parameter) not in inside]
        groups: dict[Group, list[nn.Parameter]] = {"image": image, "shared": shared}
        groups["private"] = list(self.private.parameters()) if self.private is not None else []
        groups["decoder"] = list(self.decoder.parameters()) if self.decoder is not None else []
        groups["classifier"] = list(self.classifier.parameters())
        return groups

    def encode(self, images: torch.Tensor, domain: Domain) -> Passed:
        """Pass one domain's images [B, 3, H, W] through E_I, E_C, and its private encoder and the decoder if used."""
        features, shared, vector = self.embedder.codes(images)
        private = self.private[domain](features) if self.private is not None else None
        wanted = images
        if self.params.target == "feature":
            wanted = features.detach() if self.params.detach else features
        code = shared if private is None else shared + private
        if self.params.codes == "pooled":
            code = code.mean((2, 3), keepdim=True)
        rebuilt = self.decoder(code) if self.decoder is not None else None
        return Passed(features, shared, private, vector, wanted, rebuilt)

    def forward(self, source: torch.Tensor, labels: torch.Tensor, target: torch.Tensor | None) -> Output:
        """Compute the loss of labelled images [B, 3, H, W] and, if a loss needs them, unlabelled ones [N, 3, H, W]."""
        passed = [self.encode(source, "source")]
        if target is not None and self.params.uses_target:
            passed.append(self.encode(target, "target"))
        elif target is not None:
            with torch.no_grad():
                self.embedder.codes(target)
        losses = self.losses(passed, labels)
        weights = {"contrast": self.params.contrast_weight, "difference": self.gamma}
        weights["reconstruction"] = self.params.reconstruction_weight
        total = _sum([weights.get(name, 1.0) * loss for name, loss in losses.items()])
        return Output(total, {"loss": total, **losses, **_facts(passed, labels)})

    def losses(self, passed: list[Passed], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return each chosen loss, unweighted; class and contrast use only the source, the first of `passed`."""
        chosen, losses = self.params.losses, {}
        rebuilt_by = RECONSTRUCTIONS[self.params.reconstruction]
        if "class" in chosen:
            losses["class"] = F.cross_entropy(self.classifier(self._dropout(passed[0].vector)), labels)
        if "contrast" in chosen:
            losses["contrast"] = contrastive(passed[0].vector, labels, self.params.margin)
        if "reconstruction" in chosen:
            losses["reconstruction"] = _sum(
                [rebuilt_by(one.wanted, one.rebuilt) for one in passed if one.rebuilt is not None]
            )
        if "difference" in chosen:
            losses["difference"] = _sum(
                [self.difference(one.shared, one.private) for one in passed if one.private is not None]
            )
        return losses

    def difference(self, shared: torch.Tensor, private: torch.Tensor) -> torch.Tensor:
        """L_diff of one domain's code maps [B, D, h, w]."""
        form = DIFFERENCES[self.params.difference]
        if self.params.difference_rows == "positions":
            return form(*(codes.permute(0, 2, 3, 1).flatten(0, 2) for codes in (shared, private)))
        return form(shared.mean((2, 3)), private.mean((2, 3)))

    def _dropout(self, vector: torch.Tensor) -> torch.Tensor:
        if not self.training or self.params.dropout == 0:
            return vector
        return dropped(vector, self.params.dropout, self.generator)


def _sum(losses: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(losses).sum()


@torch.no_grad()
def _facts(passed: list[Passed], labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Signs of collapse: the spread of X, the lengths of the codes, the unexplained share of variance."""
    last = passed[-1]
    facts = {
        "positives": (labels[:, None] == labels[None]).triu(1).sum(),
        "map_std": last.features.float().std(),
        "shared_norm": last.shared.float().mean((2, 3)).norm(dim=1).mean(),
    }
    if last.private is not None:
        facts["private_norm"] = last.private.float().mean((2, 3)).norm(dim=1).mean()
    if last.rebuilt is not None:
        error = reconstruction(last.wanted, last.rebuilt)
        facts["unexplained"] = error / last.wanted.float().var().clamp_min(1e-12)
    return facts


@torch.no_grad()
def _look(embedder: ArnEmbedder) -> Codes:
    """Return the codes of one black image, to read their shapes."""
    training = embedder.training
    codes = embedder.eval().codes(torch.zeros(1, 3, *embedder.preprocess.size))
    embedder.train(training)
    return codes
