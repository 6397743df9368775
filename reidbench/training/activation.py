"""Maps of an image's positions that a network responds to: activation, attention rollout and Grad-CAM.

Works on any embedder: the last map and the attention are found by running it, not by names of layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from reidbench.errors import ReidbenchError

from .networks.backbone import Backbone, Features
from .networks.embedder import Embedder

MOST_PREFIX = 16  # tokens before the patches: class, distillation, register and part tokens
TINY = 1e-12


class NoMap(ReidbenchError):
    """Raised with the reason why a network has no map of positions."""


@dataclass(frozen=True)
class Seen:
    """Results of running an embedder on a batch: `features` [B, D] and either `output`, its last map, or `attention`.

       `output` is [B, C, h, w], or [B, h, w, C] with `channels_last`.
    `attention` has the probabilities [B, heads, N, N] of each block of a vision transformer, whose last h * w tokens
       are the patches of `grid` (h, w). All tensors are part of one graph.
    """

    features: torch.Tensor
    output: torch.Tensor | None
    attention: tuple[torch.Tensor, ...] = ()
    grid: tuple[int, int] = (0, 0)
    channels_last: bool = False

    @property
    def map(self) -> torch.Tensor | None:
        """The map as [B, C, h, w]."""
        return None if self.output is None else self.in_order(self.output)

    def in_order(self, values: torch.Tensor) -> torch.Tensor:
        """Values of the shape of `output` as [B, C, h, w]."""
        return values.permute(0, 3, 1, 2) if self.channels_last else values


# ---------------------------------------------------------------------- running
def look(embedder: Embedder, images: torch.Tensor, camids: torch.Tensor, *more: torch.Tensor) -> Seen:
    """Run an embedder in evaluation mode on normalised images [B, 3, H, W]; its mode is restored.

    The map is the last output of a layer, with height and width above 1, that the whole feature depends on: of a
    network with branches, the last one before they part. `more` are further arguments, such as modalities. Raises NoMap
    for a network without such a map, or whose output is not differentiable in the image.
    """
    training = embedder.training
    embedder.eval()
    images = images.detach().requires_grad_()
    try:
        with torch.enable_grad(), _watching(embedder) as watched:
            features = embedder(images, camids, *more)
    finally:
        embedder.train(training)
    if features.grad_fn is None:
        raise NoMap(f"{type(embedder).__name__} is not a network whose feature is differentiable in the image")
    features = features.float()
    grid = _patches(watched, len(images))
    if grid is not None:
        return Seen(features, None, tuple(_blocks(watched)), grid)
    found = _last(features, images, watched.outputs)
    if found is None or found.ndim == 3:
        what = "no map of positions" if found is None else "tokens, and its attention cannot be read"
        raise NoMap(f"{type(embedder).__name__} has {what}")
    return Seen(features, found, channels_last=_channels_last(found, watched.declared))


class _Watched(TorchFunctionMode):
    """Records attention probabilities, and outputs of modules with several positions, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[torch.Tensor] = []
        self.declared: list[torch.Tensor] = []  # maps that backbones return
        self.attention: list[torch.Tensor] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if function is F.scaled_dot_product_attention:
            self.attention.append(_probabilities(*args, **given))
        return function(*args, **given)

    def record(self, module: nn.Module, args: Any, output: Any) -> None:
        """Record the output of a module, as a forward hook."""
        if isinstance(module, Backbone) and isinstance(output, Features) and output.map.ndim == 4:
            self.declared.append(output.map)
        elif isinstance(output, torch.Tensor) and output.grad_fn is not None and _has_positions(output):
            self.outputs.append(output)


@contextmanager
def _watching(embedder: nn.Module) -> Iterator[_Watched]:
    watched = _Watched()
    hooks = [module.register_forward_hook(watched.record) for module in embedder.modules() if module is not embedder]
    try:
        with watched:
            yield watched
    finally:
        for hook in hooks:
            hook.remove()


def _has_positions(output: torch.Tensor) -> bool:
    """Whether an output has several positions: a map with rows and columns, or tokens [B, N, D]."""
    return output.ndim in (3, 4) and min(output.shape[1:]) > 1


def _probabilities(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Attention probabilities of a call of torch's scaled_dot_product_attention, [..., N, N]."""
    products = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(products.shape[-2:], dtype=torch.bool, device=products.device).tril()
    if attn_mask is not None:
        hidden = attn_mask.dtype == torch.bool
        products = products.masked_fill(~attn_mask, -torch.inf) if hidden else products + attn_mask
    return products.softmax(-1)


# ---------------------------------------------------------------------- transformers
def _blocks(watched: _Watched) -> Iterator[torch.Tensor]:
    """Yield the attention of the first blocks with equal numbers of tokens; local branches see fewer."""
    for one in watched.attention:
        if one.shape != watched.attention[0].shape:
            return
        yield one


def _patches(watched: _Watched, count: int) -> tuple[int, int] | None:
    """Rows and columns of the patches of a vision transformer; None if its tokens are not those of whole images."""
    if not watched.attention:
        return None
    first = watched.attention[0]
    if first.ndim != 4 or len(first) != count or first.shape[2] != first.shape[3]:
        return None
    tokens = first.shape[2]
    sizes = [(one.shape[2], one.shape[3]) for one in watched.declared]
    for one in watched.outputs:
        if one.ndim == 4:
            sizes += [(one.shape[1], one.shape[2]), (one.shape[2], one.shape[3])]
    return next(((h, w) for h, w in sizes if 0 <= tokens - h * w <= MOST_PREFIX), None)


def rollout(seen: Seen) -> torch.Tensor:
    """Attention rollout [B, h, w]: how much of the output's token comes from each patch.

    Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, section 3: the product over blocks of
    0.5 A + 0.5 I, where A is the mean over heads and I stands for the residual connection. The output's token is the
    first, or all tokens on average if there are only patches. Raises NoMap for a network without attention.
    """
    if not seen.attention:
        raise NoMap("attention rollout requires a vision transformer")
    height, width = seen.grid
    tokens = seen.attention[0].shape[-1]
    identity = torch.eye(tokens, device=seen.features.device)
    product = identity
    for one in seen.attention:
        product = (one.detach().float().mean(1) + identity) / 2 @ product
    before = tokens - height * width
    row = product[:, 0] if before else product.mean(1)
    return row[:, before:].reshape(-1, height, width)


# ---------------------------------------------------------------------- maps
def activation(seen: Seen) -> torch.Tensor:
    """Sum of squared activations over the channels of the map, [B, h, w].

    Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017, section 3.1 (F_sum with p = 2), as in
    torchreid's visualisation. For a vision transformer, `rollout`.
    """
    if seen.map is None:
        return rollout(seen)
    return seen.map.detach().float().square().sum(1)


def grad_cam(seen: Seen, target: torch.Tensor) -> torch.Tensor:
    """Grad-CAM [B, h, w] of a scalar computed from `seen.features`.

    Selvaraju et al., "Grad-CAM", ICCV 2017, eqs. 1 and 2: channels are weighted by the mean over positions of the
    target's gradient, and negative sums become 0. The graph is kept. Raises NoMap for a vision transformer, whose
    tokens are not a map of convolutions.
    """
    if seen.output is None or seen.map is None:
        raise NoMap("Grad-CAM requires a map of convolutions, which a vision transformer does not have")
    (gradient,) = torch.autograd.grad(target, seen.output, retain_graph=True)
    weights = seen.in_order(gradient).mean((2, 3), keepdim=True)
    return (weights * seen.map).sum(1).relu().detach().float()


def similarity_maps(seen: Seen, one: int, others: Sequence[int]) -> torch.Tensor:
    """Grad-CAM [1 + len(others), h, w] of the cosine similarity of image `one` and each of the others.

    The first map is that of image `one` towards the first of the others; the next are those of the others towards
    `one`. Images are indices in the batch, each given once. Each map is the gradient in one of the two images, with the
    feature of the other constant.
    """
    features = seen.features
    fixed = features.detach()
    own = F.cosine_similarity(features[one], fixed[others[0]], dim=0)
    theirs = F.cosine_similarity(features[list(others)], fixed[one][None], dim=1).sum()
    return torch.cat((grad_cam(seen, own)[[one]], grad_cam(seen, theirs)[list(others)]))


def scaled(maps: torch.Tensor) -> np.ndarray:
    """Scale each map [B, h, w] from its minimum to its maximum to 0 ... 1; a constant map becomes 0."""
    flat = maps.flatten(1).double()
    low, high = flat.min(1, keepdim=True).values, flat.max(1, keepdim=True).values
    return ((flat - low) / (high - low).clamp_min(TINY)).reshape(maps.shape).float().cpu().numpy()


def _channels_last(found: torch.Tensor, declared: Sequence[torch.Tensor]) -> bool:
    """Whether a map is [B, h, w, C]: the backbone returns one of the same shape in the other order, as Swin does."""
    known = {tuple(one.shape) for one in declared}
    return tuple(found.shape) not in known and tuple(found.permute(0, 3, 1, 2).shape) in known


def _last(features: torch.Tensor, images: torch.Tensor, outputs: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Return the last output through which all of the feature's dependence on the images passes."""
    for output in reversed(outputs):
        if not _reaches(features.grad_fn, images, without=output.grad_fn):
            return output
    return None


def _reaches(start: Any, images: torch.Tensor, without: Any) -> bool:
    """Whether a walk back from a node of the graph arrives at the images without passing the node `without`."""
    waiting, known = [start], {start, without}
    if start is without:
        return False
    while waiting:
        node = waiting.pop()
        if getattr(node, "variable", None) is images:
            return True
        for earlier, _ in node.next_functions:
            if earlier is not None and earlier not in known:
                known.add(earlier)
                waiting.append(earlier)
    return False
