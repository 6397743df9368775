"""The regressor of HMR (Kanazawa et al., CVPR 2018): a residual encoder, then error feedback to camera, pose and shape.

theta is camera (4), pose (13 bones x 6) and shape (8) of `humanoid`. The camera has one number more than HMR's (s, tx,
ty): boxes of persons are stretched to one size, so the horizontal stretch is estimated as well.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.rendering import humanoid
from reidbench.rendering.skeleton import BONES
from reidbench.training import Preprocess, StridedPointwise, load_weights, read_state
from reidbench.training.networks.torchvision_compat import torchvision_models

CAMERA = 4  # log of the scale, position of the pelvis to the right and down, log of the stretch
POSE = BONES * 6
THETA = CAMERA + POSE + len(humanoid.SHAPES)
REST = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # two columns of the identity
WEIGHTS = "regressor.safetensors"
SPEC = "regressor.json"


@dataclass(frozen=True)
class NetworkSpec:
    """The JSON values that rebuild a regressor; `preprocess` has the size, mean and deviation of its images."""

    preprocess: Preprocess
    backbone: str = "small"
    width: int = 16
    grid: tuple[int, int] = (1, 1)
    hidden: int = 1024
    dropout: float = 0.5
    iterations: int = 3


@dataclass(frozen=True)
class Fitted:
    """The regressor's estimates for B images.

    `camera` [B, 4]; `pose` [B, 13, 3, 3] relative to the parent bone, the root's relative to the camera; `shape` [B,
    8].
    """

    camera: torch.Tensor
    pose: torch.Tensor
    shape: torch.Tensor

    def joints(self) -> torch.Tensor:
        """[B, 15, 3] in the camera's frame, in body heights, with the pelvis at 0."""
        return humanoid.joints(self.pose, self.shape)

    def project(self, points: torch.Tensor, aspect: float) -> torch.Tensor:
        """Project points [B, P, 3] to fractions of the image [B, P, 2], y down; `aspect` is its height over width."""
        down = self.camera[:, :1].exp()
        right = down * self.camera[:, 3:].exp() * aspect
        x = 0.5 + self.camera[:, 1:2] + right * points[..., 0]
        y = 0.5 + self.camera[:, 2:3] - down * points[..., 1]
        return torch.stack([x, y], -1)


def split_theta(theta: torch.Tensor) -> Fitted:
    """Convert theta [B, 90] to camera, pose and shape."""
    camera, six, shape = torch.split(theta, [CAMERA, POSE, len(humanoid.SHAPES)], 1)
    return Fitted(camera, humanoid.rotations(six.view(-1, BONES, 6)), shape)


class _Block(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential(StridedPointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class _SmallEncoder(nn.Sequential):
    """5x5 with stride 2, then four blocks, three of them halving: [B, 3, H, W] to [B, 8 width, H/16, W/16]."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(3, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            _Block(width, width, 1), _Block(width, 2 * width, 2), _Block(2 * width, 4 * width, 2),
            _Block(4 * width, 8 * width, 2),
        )  # fmt: skip
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on CPUs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        for layer in self:
            images = layer(images)
        return images


def _encoder(spec: NetworkSpec) -> tuple[nn.Module, int]:
    """Return the encoder and the number of channels of its map."""
    if spec.backbone == "small":
        return _SmallEncoder(spec.width), 8 * spec.width
    network = getattr(torchvision_models(), spec.backbone)(weights=None)
    channels = network.fc.in_features
    del network.avgpool, network.fc
    return nn.Sequential(OrderedDict(network.named_children())), channels  # torchvision's names


class Regressor(nn.Module):
    """Map normalised images [B, 3, H, W] to theta [B, 90], refined `iterations` times from the buffer `mean`."""

    mean: torch.Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, channels = _encoder(spec)
        features = channels * spec.grid[0] * spec.grid[1]
        self.feedback = nn.Sequential(
            nn.Linear(features + THETA, spec.hidden), nn.ReLU(inplace=True), nn.Dropout(spec.dropout),
            nn.Linear(spec.hidden, spec.hidden), nn.ReLU(inplace=True), nn.Dropout(spec.dropout),
            nn.Linear(spec.hidden, THETA),
        )  # fmt: skip
        last = self.feedback[-1]
        assert isinstance(last, nn.Linear)
        nn.init.xavier_uniform_(last.weight, gain=0.01)  # the first estimates are near the mean
        nn.init.zeros_(last.bias)
        self.register_buffer("mean", mean_theta())

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the encoder's map averaged to the grid: [B, features]."""
        return F.adaptive_avg_pool2d(self.encoder(images), self.spec.grid).flatten(1)

    def rounds(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return theta [B, 90] after each round: theta <- theta + f([features, theta]) (HMR, section 3.2)."""
        features = self.features(images)
        theta = self.mean.expand(len(images), -1)
        answers = []
        for _ in range(self.spec.iterations):
            theta = theta + self.feedback(torch.cat([features, theta], 1))
            answers.append(theta)
        return answers

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return theta [B, 90] after the last round, in float32."""
        return self.rounds(images)[-1].float()


def mean_theta(camera: Sequence[float] = (-0.1, 0.0, 0.0, 0.3), root: Sequence[float] = REST) -> torch.Tensor:
    """Return theta [90] of the mean: a camera, a root's two columns, all other bones at rest, the mean shape."""
    rest = list(REST) * (BONES - 1)
    return torch.tensor([*camera, *root, *rest, *[0.0] * len(humanoid.SHAPES)])


# ---------------------------------------------------------------------- files
def load_encoder(regressor: Regressor, file: Path) -> None:
    """Load a torchvision encoder's weights from a state dict, without its classifier.

    Raises ReidbenchError for the small encoder and for tensors that are missing or of a different shape.
    """
    load_weights(regressor.encoder, read_state(file), where=str(file), exactly=True)


def save_regressor(folder: Path, regressor: Regressor) -> None:
    """Write `regressor.safetensors` with its description, and the same description as `regressor.json`."""
    text = json.dumps(asdict(regressor.spec))
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in regressor.state_dict().items()}
    save_file(state, folder / WEIGHTS, {"spec": text})
    (folder / SPEC).write_text(text)


def load_regressor(weights: Path, spec: Path | None = None) -> Regressor:
    """Rebuild a regressor from its weights; `spec` is the description of weights without one.

    Raises ReidbenchError for files that are not weights, have no description, or belong to another network.
    """
    state = read_state(weights)
    text = spec.read_text() if spec is not None else _carried(weights)
    if text is None:
        raise DataError(
            f"{shown(weights)}: has no description of its network: set `spec` to a JSON file that describes it"
        )
    try:
        facts = json.loads(text)
        facts["preprocess"], facts["grid"] = Preprocess(**facts["preprocess"]), tuple(facts["grid"])
        regressor = Regressor(NetworkSpec(**facts))
        regressor.load_state_dict(state)
    except Exception as error:  # noqa: BLE001 - json and torch raise many kinds for what is not theirs
        why = shown(" ".join(str(error).split()))[:200]
        raise DataError(f"{shown(weights)}: not weights of this regressor: {why}") from None
    return regressor.eval()


def _carried(weights: Path) -> str | None:
    """Return the description in a safetensors file, or None if it has none or the file is of a different format."""
    try:
        with safe_open(weights, "pt") as opened:
            return (opened.metadata() or {}).get("spec")
    except SafetensorError:
        return None
