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
PAPER_DIM = 2048  # length of the codes for which the paper gives its weight of the difference loss
PAPER_GAMMA = 1500.0
# What the paper prints. It names no number of first epochs; three are what "a few" is taken for.
PAPER_FORM: Mapping[str, Any] = {
    "split": "whole", "encoder": "fcn", "codes": "pooled", "neck": False, "detach": False,
    "reconstruction": "sum", "difference": "raw",
    "contrast_weight": 0.01, "reconstruction_weight": 2.0, "difference_weight": PAPER_GAMMA,
    "lr_image": 1e-7, "lr_code": 1e-3, "lr_classifier": 2e-3, "warmup_epochs": 3, "warmup_groups": ("image",),
}  # fmt: skip


class ArnParams(Params):
    """arn; the defaults are the paper's where it says something that can be done, the authors' draft's elsewhere."""

    epochs: int = Field(50, ge=1, description="epochs, which are only the steps between two checkpoints")
    iterations: int = Field(200, ge=1, description="steps in an epoch")
    identities: int = Field(8, ge=2, description="source identities in a batch (P)")
    images: int = Field(4, ge=2, description="images of each source identity in a batch (K): positives of L_ctrs")
    target_images: int | None = Field(None, ge=2, description="target images in a batch; default: P x K")

    losses: tuple[Loss, ...] = Field(
        ("class", "contrast", "reconstruction", "difference"),
        min_length=1,
        description="the ablation; private encoders are there with `difference` alone",
    )
    target: Literal["feature", "image"] = Field(
        "feature", description="what the decoder rebuilds: the map of E_I (paper) or the image (authors' draft)"
    )
    split: Literal["last-stage", "whole"] = Field(
        "last-stage",
        description="E_I is the backbone but its last stage, copies of which are the encoders (draft), or all of it, "
        "with new encoders (paper)",
    )
    encoder: Annotated[Literal["residual", "fcn"], AddedLater()] = Field(
        "residual",
        description="split whole: the encoders are residual blocks, or the paper's convolutions of 7x7, 1x1 and 1x1 "
        "(214 million weights each behind a ResNet-50)",
    )
    codes: Annotated[Literal["map", "pooled"], AddedLater()] = Field(
        "map",
        description="what the decoder rebuilds X from: the sum of the code maps, by 3x3 convolutions and doublings, or "
        "of the codes averaged over positions, by the paper's transposed convolutions of 1x1, 1x1 and 7x7",
    )
    dim: int | None = Field(None, ge=2, description="split whole: length of the codes; default: the backbone's")
    neck: bool = Field(
        True,
        description="E_C ends in a BNNeck (last-stage: the start's, if any): rates and margin suppose unit scale",
    )
    private_start: Literal["fresh", "copy"] = Field(
        "fresh", description="weights of E_S and E_T; a copy of E_C is where cosine has no gradient"
    )
    dropout: float = Field(
        0.5, ge=0, lt=1, description="before the classifier, and behind the first two layers of encoder fcn"
    )

    contrast_weight: float = Field(0.01, ge=0, description="alpha, weight of the contrastive loss; L_class has 1")
    reconstruction_weight: float = Field(2.0, ge=0, description="beta, weight of the reconstruction of both domains")
    difference_weight: float | None = Field(
        None, ge=0, description="gamma; default: 1 for cosine, 1500 (d / 2048)^2 for frobenius, 1500 for raw"
    )
    margin: float = Field(2.0, gt=0, description="of the contrastive loss, in root mean squared differences")
    reconstruction: Annotated[Literal["mean", "sum"], AddedLater()] = Field(
        "mean", description="squared error of a domain as the mean of its numbers, or their sum over images (paper)"
    )
    difference: Literal["cosine", "frobenius", "raw"] = Field(
        "cosine",
        description="cos^2 of the two codes of an image, |H_c^T H_p|^2 / d^2 of a batch's centred unit rows, or "
        "|H_c^T H_p|^2 of the codes as they are (paper)",
    )
    difference_rows: Literal["images", "positions"] = Field(
        "images", description="what is a row of H: an image's pooled code, or each position of its map"
    )
    detach: bool = Field(True, description="target feature: no gradient into E_I through what is to be rebuilt")

    freeze_image: Literal["unsupervised", "always", "never"] = Field(
        "unsupervised", description="when E_I, its statistics included, stays as it is: without class and contrast"
    )
    target_statistics: bool = Field(
        True, description="without reconstruction and difference: target images still pass through, for batch norm"
    )

    lr_image: float = Field(1e-7, gt=0, description="SGD's rate of E_I; the paper's 1e-7 is nearly frozen")
    lr_code: float = Field(1e-3, gt=0, description="of E_C, E_S, E_T and the decoder")
    lr_classifier: float = Field(2e-3, gt=0, description="of the classifier")
    momentum: shared.Momentum = 0.9
    weight_decay: shared.SgdDecay = 5e-4
    milestones: tuple[shared.Fraction, ...] = Field((), description="fractions of the epochs at which all rates fall")
    gamma: shared.Gamma = 0.1
    warmup_epochs: int = Field(0, ge=0, description="first epochs, in which only the warm-up groups are trained")
    warmup_groups: tuple[Group, ...] = Field(
        ("image",), min_length=1, description="image is the paper's; classifier and decoder are what starts untrained"
    )

    flip: shared.Flip = 0.5
    pad: int = Field(0, ge=0, description="pixels of padding before the crop")
    erase: shared.Erase = 0.0

    @model_validator(mode="after")
    def _possible(self) -> ArnParams:
        for name in ("losses", "warmup_groups"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {', '.join(values)}: each may be named once")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} leave nothing of {self.epochs} epochs")
        if self.warmup_epochs and not self.trained & set(self.warmup_groups):
            groups, losses = ", ".join(self.warmup_groups), ", ".join(self.losses)
            raise ValueError(f"warmup_groups {groups}: nothing of it is trained with the losses {losses}")
        if self.dim is not None and self.split != "whole":
            raise ValueError("dim is for split: whole; the last stage has the length that it has")
        if self.encoder == "fcn" and self.split != "whole":
            raise ValueError("encoder: fcn is for split: whole; the last stage is the encoder that it is")
        if self.codes == "pooled" and self.target == "image":
            raise ValueError("codes: pooled rebuild the map of E_I, not the image: set target: feature or codes: map")
        return self

    @property
    def image_frozen(self) -> bool:
        """Whether E_I stays bit for bit as it is."""
        unsupervised = not SUPERVISED & set(self.losses)
        return self.freeze_image == "always" or (self.freeze_image == "unsupervised" and unsupervised)

    @property
    def uses_target(self) -> bool:
        """Whether any loss looks at target images."""
        return bool({"reconstruction", "difference"} & set(self.losses))

    @property
    def trained(self) -> frozenset[Group]:
        """The groups that some loss reaches."""
        reached: dict[Group, bool] = {
            "image": not self.image_frozen,
            "shared": True,
            "private": "difference" in self.losses,
            "decoder": "reconstruction" in self.losses,
            "classifier": "class" in self.losses,
        }
        return frozenset(group for group, yes in reached.items() if yes)

    def gamma_of(self, dim: int) -> float:
        """The weight of the difference loss for codes of length `dim`.

        1500 fits the form divided by d^2 at d = 2048; at other lengths the same balance is 1500 (d / 2048)^2. The raw
        form has the paper's 1500 at every length.
        """
        if self.difference_weight is not None:
            return self.difference_weight
        rescaled = PAPER_GAMMA * (dim / PAPER_DIM) ** 2
        return {"cosine": 1.0, "frobenius": rescaled, "raw": PAPER_GAMMA}[self.difference]

    def rate_of(self, group: Group) -> float:
        """The learning rate of a group of parameters."""
        return {"image": self.lr_image, "classifier": self.lr_classifier}.get(group, self.lr_code)
