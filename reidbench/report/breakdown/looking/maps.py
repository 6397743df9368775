"""Activation maps of a row's network, drawn over images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidbench.data import read_image
from reidbench.errors import DataError, ReidbenchError
from reidbench.report.breakdown.scored import Unknown
from reidbench.report.html.ranked import HEIGHT, Thumbnails
from reidbench.stages.outputs import joined
from reidbench.store.artifact import Artifact

from .subject import Subject

if TYPE_CHECKING:
    from reidbench.training import Embedder

Load = Callable[[Artifact], "Embedder"]
# Red, green and blue of the scale at 0, 1/4, ..., 1: dark blue, violet, red, orange, light yellow; lighter is more.
SCALE = np.array([[0, 0, 40], [90, 15, 110], [200, 40, 60], [245, 140, 30], [255, 250, 190]], dtype=np.float64)
OPACITY = 0.6  # of the map over the image
WIDEST = 2 * HEIGHT  # of a drawn map, in pixels
BOTH = (
    "Maps: the sum of squared activations over the channels of the last map that the feature depends on (Zagoruyko and "
    "Komodakis, ICLR 2017), and Grad-CAM (Selvaraju et al., ICCV 2017) of the cosine similarity of query and gallery "
    "image: on the query towards its first match, on each match towards the query."
)
ATTENTION = (
    "Maps: attention rollout (Abnar and Zuidema, ACL 2020), the share of the class token that comes from each patch. "
    "Grad-CAM requires a map of convolutions, which a vision transformer does not have."
)
RANGE = "Each map ranges from its own minimum (dark) to its own maximum (light)."


class Images:
    """Decoded images with modalities, as `HasImages`."""

    def __init__(self, images: Sequence[np.ndarray], modality: tuple[str, ...] | None) -> None:
        self.images, self.modality = images, modality

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> np.ndarray:
        """Return image `index` as uint8 [height, width, 3]."""
        return self.images[index]


@dataclass(frozen=True)
class Drawn:
    """Names of the thumbnails of one image's maps, "" if there was not enough space."""

    activation: str = ""
    grad_cam: str = ""


class Mapper:
    """Draws maps by the network of one row. Raises Unknown with the reason if it has none."""

    def __init__(self, subject: Subject, load: Load) -> None:
        if len(subject.networks) > 1:
            raise Unknown("an ensemble has several networks; look at its members")
        self.subject = subject
        artifact, self.flip = subject.networks[0]
        try:
            self.embedder = load(artifact)
        except ReidbenchError as error:
            raise Unknown(str(error)) from None
        self.attention = self.drew = False

    @property
    def sentence(self) -> str:
        """The maps that were drawn, with their sources."""
        flipped = " The row also averages mirror images, which the maps do not show." if self.flip else ""
        return f"{ATTENTION if self.attention else BOTH} {RANGE}{flipped}"

    def draw(
        self, query: Path, query_labels: tuple[int, str], matches: Sequence[int], thumbnails: Thumbnails
    ) -> list[Drawn]:
        """Return the maps of a query and of gallery images. `query_labels` are its camera and modality ("": unknown).

        Raises Unknown if the network has no map of positions, or an image cannot be read.
        """
        gallery = self.subject.splits["gallery"]
        try:
            images = [read_image(query), *(read_image(self.subject.path("gallery", index)) for index in matches)]
        except DataError as error:
            raise Unknown(str(error)) from None
        camids = np.array([query_labels[0], *gallery.camids[list(matches)].tolist()], dtype=np.int64)
        words = None if gallery.modality is None else tuple(gallery.modality[index] for index in matches)
        modality = None if words is None else (query_labels[1], *words)
        activations, cams = self._maps(Images(images, modality), camids)
        self.drew = True
        drawn = [_overlaid(image, one, thumbnails) for image, one in zip(images, activations, strict=True)]
        if cams is None:
            return [Drawn(one) for one in drawn]
        others = [_overlaid(image, one, thumbnails) for image, one in zip(images, cams, strict=True)]
        return [Drawn(*both) for both in zip(drawn, others, strict=True)]

    def _maps(self, images: Images, camids: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the activation maps [B, h, w] in 0 ... 1, and Grad-CAM's unless the network is a transformer."""
        import torch

        from reidbench.training import activation, modality_numbers
        from reidbench.training.batches.feed import Feed, Plan

        feed = Feed(images, self.embedder.preprocess.at_test(), limit=0)
        try:
            numbers = modality_numbers(self.embedder, images.modality)
            more = [] if numbers is None else [torch.as_tensor(numbers)]
            batch = feed.make(Plan(np.arange(len(images))))
            seen = activation.look(self.embedder, batch, torch.as_tensor(camids), *more)
        except ReidbenchError as error:
            raise Unknown(str(error)) from None
        self.attention = seen.map is None
        own = activation.scaled(activation.activation(seen))
        if self.attention:
            return own, None
        return own, activation.scaled(activation.similarity_maps(seen, 0, range(1, len(images))))


def features(subject: Subject, load: Load, image: Path) -> np.ndarray:
    """Return the feature [D] of another image by a row's networks.

    Raises ReidbenchError if the row has no network, or if the image cannot be read.
    """
    from reidbench.training import embed

    try:
        networks = subject.networks
    except Unknown as reason:
        raise ReidbenchError(f"{subject.name} cannot embed {image}: {reason}") from None
    images = Images([read_image(image)], None)
    found = [embed(load(artifact), images, np.array([-1]), flip=flip) for artifact, flip in networks]
    return np.asarray(joined(found, "query_features")[0])


def coloured(values: np.ndarray) -> np.ndarray:
    """Colours [h, w, 3] in 0 ... 255 of values [h, w] in 0 ... 1, linear between the entries of SCALE."""
    places = np.linspace(0, 1, len(SCALE))
    return np.stack([np.interp(values, places, SCALE[:, channel]) for channel in range(3)], axis=-1)


def _overlaid(image: np.ndarray, values: np.ndarray, thumbnails: Thumbnails) -> str:
    """Return the name of the thumbnail of an image [H, W, 3] under a map [h, w], which is stretched to its size."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((WIDEST, HEIGHT))
    stretched: Any = Image.fromarray(values.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    mixed = OPACITY * coloured(np.asarray(stretched)) + (1 - OPACITY) * np.asarray(picture, dtype=np.float64)
    return thumbnails.draw(mixed.round().astype(np.uint8))
