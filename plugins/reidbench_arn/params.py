"""Parameters of arn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from reidbench import AddedLater, Params
from reidbench.training import params as shared

Loss = Literal["class", "contrast", "reconstruction", "difference"]
Group = Literal["image", "shared", "private", "decoder", "classifier"]
SUPERVISED: frozenset[Loss] = frozenset({"class", "contrast"})
PAPER_DIM = 2048  # length of the codes for which the paper gives the weight of its difference loss
PAPER_GAMMA = 1500.0
# The printed form. The paper does not say how many the "first few epochs" are; 3 is our choice.
PAPER_FORM: Mapping[str, Any] = {
    "split": "whole", "encoder": "fcn", "codes": "pooled", "neck": False, "detach": False,
    "reconstruction": "sum", "difference": "raw",
    "contrast_weight": 0.01, "reconstruction_weight": 2.0, "difference_weight": PAPER_GAMMA,
    "lr_image": 1e-7, "lr_code": 1e-3, "lr_classifier": 2e-3, "warmup_epochs": 3, "warmup_groups": ("image",),
}  # fmt: skip


class ArnParams(Params):
    """Parameters of arn. Defaults are the paper's where they can be implemented, otherwise the authors' draft's."""

    epochs: int = Field(50, ge=1, description="number of epochs; an epoch is the steps between two checkpoints")
    iterations: int = Field(200, ge=1, description="steps per epoch")
    identities: int = Field(8, ge=2, description="source identities per batch (P)")
    images: int = Field(4, ge=2, description="images of each source identity in a batch (K)")
    target_images: int | None = Field(None, ge=2, description="target images per batch; default: P x K")

    losses: tuple[Loss, ...] = Field(
        ("class", "contrast", "reconstruction", "difference"),
        min_length=1,
        description="losses to train with, for ablations; private encoders exist only with `difference`",
    )
    target: Literal["feature", "image"] = Field(
        "feature", description="reconstruction target: the map of E_I (paper) or the image (authors' draft)"
    )
    split: Literal["last-stage", "whole"] = Field(
        "last-stage",
        description="last-stage: E_I is the backbone without its last stage, and the encoders are copies of that stage "
        "(draft); whole: E_I is the whole backbone, with new encoders (paper)",
    )
    encoder: Annotated[Literal["residual", "fcn"], AddedLater()] = Field(
        "residual",
        description="type of the encoders with split whole: residual blocks, or the paper's convolutions of 7x7, 1x1 "
        "and 1x1 (214 million weights each for a ResNet-50)",
    )
    codes: Annotated[Literal["map", "pooled"], AddedLater()] = Field(
        "map",
        description="input of the decoder: the sum of the code maps, with 3x3 convolutions and upsampling by 2, or of "
        "the codes averaged over positions, with the paper's transposed convolutions of 1x1, 1x1 and 7x7",
    )
    dim: int | None = Field(None, ge=2, description="length of the codes with split whole; default: the backbone's")
    neck: bool = Field(
        True,
        description="E_C ends in a BNNeck (with last-stage, only if the start has one); the default rates and margin "
        "assume codes of unit scale",
    )
    private_start: Literal["fresh", "copy"] = Field(
        "fresh", description="initial weights of E_S and E_T: new, or a copy of E_C, where cosine has no gradient"
    )
    dropout: float = Field(
        0.5, ge=0, lt=1, description="dropout rate before the classifier and after the first two layers of encoder fcn"
    )

    contrast_weight: float = Field(
        0.01, ge=0, description="alpha, weight of the contrastive loss; the weight of L_class is 1"
    )
    reconstruction_weight: float = Field(
        2.0, ge=0, description="beta, weight of the reconstruction loss of both domains"
    )
    difference_weight: float | None = Field(
        None,
        ge=0,
        description="gamma, weight of the difference loss; default: 1 for cosine, 1500 (d / 2048)^2 for "
        "frobenius, 1500 for raw",
    )
    margin: float = Field(2.0, gt=0, description="margin of the contrastive loss, as a root mean squared difference")
    reconstruction: Annotated[Literal["mean", "sum"], AddedLater()] = Field(
        "mean",
        description="reduction of a domain's squared error over all elements: mean, or sum (paper)",
    )
    difference: Literal["cosine", "frobenius", "raw"] = Field(
        "cosine",
        description="difference loss: cos^2 of the two codes of an image, |H_c^T H_p|^2 / d^2 of a batch's "
        "centred unit rows, or |H_c^T H_p|^2 of the raw codes (paper)",
    )
    difference_rows: Literal["images", "positions"] = Field(
        "images", description="rows of H: the pooled code of each image, or each position of its map"
    )
    detach: bool = Field(
        True, description="with target feature, stop the gradient into E_I through the reconstruction target"
    )

    freeze_image: Literal["unsupervised", "always", "never"] = Field(
        "unsupervised",
        description="when to freeze E_I and its batch statistics; unsupervised: in runs without class and contrast",
    )
    target_statistics: bool = Field(
        True,
        description="also forward target images when no loss uses them, to update batch norm statistics",
    )

    lr_image: float = Field(1e-7, gt=0, description="SGD's learning rate of E_I; the paper's 1e-7 nearly freezes it")
    lr_code: float = Field(1e-3, gt=0, description="SGD's learning rate of E_C, E_S, E_T and the decoder")
    lr_classifier: float = Field(2e-3, gt=0, description="SGD's learning rate of the classifier")
    momentum: shared.Momentum = 0.9
    weight_decay: shared.SgdDecay = 5e-4
    milestones: tuple[shared.Fraction, ...] = Field(
        (), description="fractions of the epochs at which all learning rates drop"
    )
    gamma: shared.Gamma = 0.1
    warmup_epochs: int = Field(0, ge=0, description="number of initial epochs that train only the warm-up groups")
    warmup_groups: tuple[Group, ...] = Field(
        ("image",),
        min_length=1,
        description="groups that the warm-up epochs train; the paper trains image, while classifier and "
        "decoder are the new layers",
    )

    flip: shared.Flip = 0.5
    pad: int = Field(0, ge=0, description="pixels of padding before the random crop")
    erase: shared.Erase = 0.0

    @model_validator(mode="after")
    def _possible(self) -> ArnParams:
        for name in ("losses", "warmup_groups"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {', '.join(values)}: list each value once")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} must be less than epochs {self.epochs}: lower it or raise epochs"
            )
        if self.warmup_epochs and not self.trained & set(self.warmup_groups):
            groups, losses = ", ".join(self.warmup_groups), ", ".join(self.losses)
            raise ValueError(f"warmup_groups {groups}: the losses {losses} train none of them; set warmup_epochs: 0")
        if self.dim is not None and self.split != "whole":
            raise ValueError("dim needs split: whole; with last-stage the backbone fixes the length")
        if self.encoder == "fcn" and self.split != "whole":
            raise ValueError(
                "encoder: fcn needs split: whole; with last-stage the encoder is the backbone's last stage"
            )
        if self.codes == "pooled" and self.target == "image":
            raise ValueError("codes: pooled can reconstruct only the map of E_I: set target: feature or codes: map")
        return self

    @property
    def image_frozen(self) -> bool:
        """Whether E_I and its statistics never change."""
        unsupervised = not SUPERVISED & set(self.losses)
        return self.freeze_image == "always" or (self.freeze_image == "unsupervised" and unsupervised)

    @property
    def uses_target(self) -> bool:
        """Whether any loss uses target images."""
        return bool({"reconstruction", "difference"} & set(self.losses))

    @property
    def trained(self) -> frozenset[Group]:
        """Parameter groups that at least one loss trains."""
        reached: dict[Group, bool] = {
            "image": not self.image_frozen,
            "shared": True,
            "private": "difference" in self.losses,
            "decoder": "reconstruction" in self.losses,
            "classifier": "class" in self.losses,
        }
        return frozenset(group for group, yes in reached.items() if yes)

    def gamma_of(self, dim: int) -> float:
        """Return the weight of the difference loss for codes of length `dim`.

        1500 fits the form divided by d^2 at d = 2048; at other lengths 1500 (d / 2048)^2 gives the same balance. The
        raw form uses the paper's 1500 at every length.
        """
        if self.difference_weight is not None:
            return self.difference_weight
        rescaled = PAPER_GAMMA * (dim / PAPER_DIM) ** 2
        return {"cosine": 1.0, "frobenius": rescaled, "raw": PAPER_GAMMA}[self.difference]

    def rate_of(self, group: Group) -> float:
        """Return the learning rate of a parameter group."""
        return {"image": self.lr_image, "classifier": self.lr_classifier}.get(group, self.lr_code)
