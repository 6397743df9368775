"""A model of timm with its weights."""

from __future__ import annotations

from reidbench.errors import ReidbenchError
from reidbench.files import hub
from reidbench.training.networks.timm_backbone import TimmBackbone, configuration, load_file
from reidbench.training.networks.timm_backbone import build as built

from .params import WEIGHTS, TimmParams, repository


def build(params: TimmParams, image_size: tuple[int, int]) -> TimmBackbone:
    """The network for images of this size.

    Raises ReidbenchError for images that it cannot take, for a file that is not the network's, and for weights that
    were not in the hub's cache when the plan was made: they are fetched, and the next run knows their content.
    """
    backbone = built(params.model, image_size)
    if params.weights_file is not None:
        load_file(backbone, params.weights_file, configuration(params.model).classifier)
    elif params.pretrained:
        place = repository(params.model)
        hub.fetch(place, [WEIGHTS], params.revision)
        raise ReidbenchError(
            f"the weights of {params.model} were not in the hub's cache, and their content is part of the key: they "
            "have been fetched now; run the same command again"
        )
    return backbone
