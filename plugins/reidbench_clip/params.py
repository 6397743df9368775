"""Parameters of CLIP's image encoders and of clip-reid."""

from __future__ import annotations

from pydantic import Field, model_validator

from reidbench import FileParam, Params
from reidbench.training import params as shared
from reidbench.training.params import FileWeightsParams
from reidbench.words import DESCRIPTION, Labels, behind, require_file

PROJECTION = "clip:projection"  # capability of a network with a projection into the space of a text encoder
FIXED = 8  # tokens of the template besides the learned ones
CONTEXT = 77  # positions of CLIP's text encoder
Triple = tuple[float, float, float]


class ClipViTParams(FileWeightsParams):
    """Parameters of clip-vit-base; its file has the names of OpenAI's or open_clip's state dict."""

    patch: int = Field(16, ge=2, description="height and width of a patch in pixels")
    stride: int | None = Field(
        None, ge=1, description="step between patches; less than patch overlaps them (the paper's OLP: 12); null: patch"
    )

    @model_validator(mode="after")
    def _geometry(self) -> ClipViTParams:
        if self.stride is not None and self.stride > self.patch:
            raise ValueError(
                f"stride {self.stride} is larger than patch {self.patch} and would skip pixels; lower stride"
            )
        return self


class ClipViTTinyParams(ClipViTParams):
    """Parameters of clip-vit-tiny: 64x32 on a CPU."""

    patch: int = Field(8, ge=2, description="height and width of a patch in pixels")
    dim: int = Field(48, ge=8, description="length of a token")
    depth: int = Field(3, ge=2, description="number of transformer blocks")
    heads: int = Field(3, ge=1, description="number of attention heads; divides dim")
    shared: int = Field(32, ge=2, description="length of the projected vector, shared with the text encoder")

    @model_validator(mode="after")
    def _heads(self) -> ClipViTTinyParams:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        return self


class ClipReidParams(Params):
    """Parameters of clip-reid; the defaults are the official configuration for persons with a ViT-B/16."""

    text_file: FileParam | None = Field(
        None, description="state dict with CLIP's text encoder (.safetensors or .pth), OpenAI's names; default: random"
    )
    labels: Labels = Field(None, description=DESCRIPTION)
    text_dim: int = Field(512, ge=8, description="length of a token of the text encoder")
    text_depth: int = Field(12, ge=1, description="number of blocks of the text encoder")
    text_heads: int = Field(8, ge=1, description="number of attention heads of the text encoder; divides text_dim")
    tokens: int = Field(4, ge=1, le=CONTEXT - FIXED, description="number of learned tokens of an identity (M)")

    prompt_epochs: int = Field(120, ge=1, description="first stage: number of passes over the images' features")
    prompt_batch: int = Field(64, ge=2, description="first stage: number of images in a batch")
    prompt_lr: float = Field(3.5e-4, gt=0, description="first stage: Adam's learning rate")
    prompt_warmup: float = Field(
        1 / 24, ge=0, lt=1, description="first stage: fraction of the epochs with linear warm-up: 5 of 120"
    )
    prompt_warmup_lr: float = Field(1e-5, ge=0, description="first stage: learning rate at the start of the warm-up")
    prompt_floor: float = Field(1e-6, ge=0, description="first stage: learning rate at the end of the cosine")

    epochs: int = Field(60, ge=1, description="second stage: number of passes of the identity sampler")
    identities: shared.Identities = 16
    images: shared.Images = 4
    lr: float = Field(5e-6, gt=0, description="second stage: Adam's learning rate; random weights need a higher one")
    bias_lr_factor: float = Field(
        2.0, gt=0, description="learning rate of parameters with 'bias' in their name, as a factor of lr"
    )
    weight_decay: float = Field(1e-4, ge=0, description="Adam's weight decay in both stages, including biases")
    warmup: float = Field(1 / 6, ge=0, lt=1, description="second stage: fraction of the epochs with linear warm-up")
    warmup_factor: float = Field(0.1, ge=0, le=1, description="start of the second warm-up, as a factor of lr")
    milestones: shared.Milestones = (1 / 2, 5 / 6)
    gamma: shared.Gamma = 0.1
    label_smoothing: shared.LabelSmoothing = 0.1
    margin: shared.Margin = 0.3
    identity_weight: float = Field(0.25, ge=0, description="weight of the two classifiers' cross-entropies")
    triplet_weight: shared.TripletWeight = 1.0
    text_weight: float = Field(1.0, ge=0, description="weight of the cross-entropy over the identities' texts (i2tce)")
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: float = Field(0.5, ge=0, le=1, description="probability of replacing a rectangle by Gaussian noise")
    mean: Triple | None = Field(None, description="pixel mean; null: the backbone's; the original uses 0.5")
    std: Triple | None = Field(
        None, description="pixel standard deviation; null: the backbone's; the original uses 0.5"
    )

    @model_validator(mode="after")
    def _possible(self) -> ClipReidParams:
        require_file(self.text_file, self.labels, "text_file")
        if self.text_dim % self.text_heads:
            raise ValueError(f"text_dim {self.text_dim} is not divisible by text_heads {self.text_heads}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std, or neither")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be above 0")
        return self

    def supervision(self) -> frozenset[str]:
        """Return words for the protocol column: the text encoder's weights."""
        return behind(self.text_file, self.labels)
