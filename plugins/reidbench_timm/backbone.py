"""timm model with its weights."""

from __future__ import annotations

from reidbench.errors import ReidbenchError
from reidbench.files import hub
from reidbench.training.networks.timm_backbone import TimmBackbone, configuration, load_file
from reidbench.training.networks.timm_backbone import build as built

from .params import WEIGHTS, TimmParams, repository


def build(params: TimmParams, image_size: tuple[int, int]) -> TimmBackbone:
    """Return the network for this image size.

    Raises ReidbenchError if the model does not accept the image size, if a file does not match the network, and if
    weights were not in the hub's cache when the plan was made: they are downloaded for the next run.
    """
    backbone = built(params.model, image_size)
    if params.weights_file is not None:
        load_file(backbone, params.weights_file, configuration(params.model).classifier)
    elif params.pretrained:
        place = repository(params.model)
        hub.fetch(place, [WEIGHTS], params.revision)
        raise ReidbenchError(
            f"the weights of {params.model} were not in the hub's cache, and their content is part of the key; "
            "they have been downloaded, so run the same command again"
        )
    return backbone
