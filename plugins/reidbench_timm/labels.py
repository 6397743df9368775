"""Labels behind the weights of a timm model, as far as its name states them."""

from __future__ import annotations

from reidbench.words import IMAGENET, UNKNOWN

LABELS = {
    "in1k": IMAGENET,
    "in12k": "ImageNet-12k labels",
    "in21k": "ImageNet-21k labels",
    "in22k": "ImageNet-22k labels",
}
# Trainings without labels, or with other ones: the name does not state what the weights were trained on.
OTHER = (
    *("clip", "laion", "datacomp", "openai", "webli", "metaclip", "dfn", "merged", "pe", "aim", "radio"),
    *("mim", "mae", "fcmae", "dino", "lvd", "ijepa", "moco", "swag", "seer", "ssl", "swsl", "wsl", "ig", "yfcc"),
    *("jft", "sam", "inat"),
)


def labels_of(tag: str) -> frozenset[str]:
    """Return protocol words for a tag, the part of a name after its dot: `fb_in22k_ft_in1k`.

    Each training between `_ft_` counts: with the ImageNets that it names, or as unknown if it names none or
    something else.
    """
    return frozenset(word for training in tag.split("_ft_") for word in _of_training(training))


def _of_training(text: str) -> set[str]:
    words = text.split("_")
    found = {LABELS[word] for word in words if word in LABELS}
    other = any(word.startswith(start) for word in words for start in OTHER)
    return found if found and not other else {UNKNOWN}
