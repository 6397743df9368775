"""The view-invariant terms: image and generated view against the memory, in the form of the released code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from .memory import Pairs


def contrast_terms(
    f: torch.Tensor,
    f_new: torch.Tensor | None,
    rows: torch.Tensor,
    indices: torch.Tensor,
    pairs: Pairs,
    *,
    temperature: float,
    terms: Sequence[str],
    own_negatives: bool = False,
) -> dict[str, torch.Tensor]:
    """Return the chosen terms, each averaged over the batch; computed in float32.

    f, f_new [B, D] are features of the images and of their views, of any norm; rows [N, D] is the bank before
    this step's update and gets no gradient; indices [B] are the images' own rows. With n(g) the sum of
    exp(<g, M_j> / temperature) over the negatives j, a term is log(1 + n / exp(<g', M_p> / temperature)):

    - real-mate: g' = f and p a cluster mate; g = f_new, as in the released code, or f with `own_negatives`;
    - view-self: g' = g = f_new, p = the image's own row;
    - view-mate: g' = g = f_new, p = an independently drawn cluster mate.

    Without views (f_new None) only real-mate exists, with the image's negatives.
    """
    with torch.autocast(f.device.type, enabled=False):
        rows = rows.detach()
        f = F.normalize(f.float(), dim=1)
        view = f if f_new is None else F.normalize(f_new.float(), dim=1)
        far = log_negatives(view, rows, pairs, temperature)
        own = log_negatives(f, rows, pairs, temperature) if own_negatives and f_new is not None else far
        chosen = {
            "real-mate": (f, pairs.mate, own),
            "view-self": (view, indices, far),
            "view-mate": (view, pairs.view_mate, far),
        }
        names = [name for name in chosen if name in terms and (f_new is not None or name == "real-mate")]

        def term(features: torch.Tensor, positives: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
            near = (features * rows[positives]).sum(1) / temperature
            return F.softplus(negative - near).mean()  # log(1 + n / e^near), exact where n / e^near is tiny

        return {name: term(*chosen[name]) for name in names}


def log_negatives(features: torch.Tensor, rows: torch.Tensor, pairs: Pairs, temperature: float) -> torch.Tensor:
    """Return [B], the log of the sum of exp(<g, M_j> / temperature) over each image's negatives.

    For an image without negatives it is the lowest finite number, not minus infinity, whose gradient would be NaN.
    """
    similar = (features @ rows.t()).gather(1, pairs.others) / temperature
    return similar.masked_fill(~pairs.valid, torch.finfo(similar.dtype).min / 4).logsumexp(1)
