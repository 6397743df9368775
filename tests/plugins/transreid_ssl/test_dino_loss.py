"""DINO's loss, centre and signs of collapse: Caron et al. (ICCV 2021), equations 3 and 4."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from reidbench.training import stream
from reidbench_transreid_ssl.dino_loss import DinoLoss, entropy

pytestmark = pytest.mark.usefixtures("one_thread")


def dino_loss(outputs: int = 32) -> DinoLoss:
    return DinoLoss(outputs, student_temperature=0.1, centre_momentum=0.9)


@pytest.mark.parametrize("local", [0, 2, 8])
def test_loss_by_a_plain_loop(local: int) -> None:
    """Equation 3: 2 (2 + L) - 2 terms, 18 with eight local views, as in the official double loop."""
    student = torch.randn((2 + local) * 3, 32, generator=stream(0, "s"))
    teacher = torch.randn(2 * 3, 32, generator=stream(0, "t"))
    loss = dino_loss()
    loss.center.copy_(torch.randn(1, 32, generator=stream(0, "c")))
    targets = F.softmax((teacher - loss.center) / 0.04, dim=1).chunk(2)
    terms = []
    for i, target in enumerate(targets):
        for v, view in enumerate(student.chunk(2 + local)):
            if v != i:
                terms.append(-(target * F.log_softmax(view / 0.1, dim=1)).sum(1).mean())
    assert len(terms) == 2 * (2 + local) - 2
    expected = torch.stack(terms).mean()
    assert loss(student, teacher, 0.04).loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_of_uniform_outputs_is_ln_k() -> None:
    """ln 4096 = 8.3178 and ln 65536 = 11.0904, as in collapsed official runs."""
    for outputs in (32, 4096, 65536):
        found = dino_loss(outputs)(torch.zeros(10 * 2, outputs), torch.zeros(2 * 2, outputs), 0.04)
        assert found.loss.item() == pytest.approx(math.log(outputs), rel=1e-6)
        assert found.entropy.item() == pytest.approx(math.log(outputs), rel=1e-5)


def test_the_centre_follows_after_the_loss() -> None:
    """Equation 4: the loss of step n uses the centre before its update; constant outputs v give (1 - .9^n) v."""
    loss = dino_loss()
    value = torch.randn(32, generator=stream(0, "v"))
    teacher, student = value.expand(4, 32), torch.randn(8, 32, generator=stream(0, "s"))
    for step in range(1, 5):
        centre = loss.center.clone()
        found = loss(student, teacher, 0.04).loss
        fresh = dino_loss()
        fresh.center.copy_(centre)
        assert found == fresh(student, teacher, 0.04).loss
        assert torch.allclose(loss.center[0], (1 - 0.9**step) * value, atol=1e-6)


def test_adding_a_constant_to_outputs_and_centre_changes_nothing() -> None:
    """The teacher's softmax is of its outputs minus the centre."""
    student, teacher = (torch.randn(n, 32, generator=stream(0, str(n))) for n in (8, 4))
    offset = torch.randn(32, generator=stream(0, "o"))
    plain, moved = dino_loss(), dino_loss()
    moved.center.add_(offset)
    pair = plain(student, teacher, 0.04), moved(student, teacher + offset, 0.04)
    assert pair[0].loss.item() == pytest.approx(pair[1].loss.item(), rel=1e-5)


def test_no_gradient_to_the_targets() -> None:
    """The teacher changes only as the student's average."""
    student, teacher = (torch.randn(n, 32).requires_grad_() for n in (8, 4))
    dino_loss()(student, teacher, 0.04).loss.backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().max() > 0


def test_a_lower_temperature_sharpens() -> None:
    """The teacher's entropy falls with its temperature, and is between 0 and ln K."""
    student, teacher = (torch.randn(n, 32, generator=stream(0, str(n))) * 0.1 for n in (8, 4))
    values = [dino_loss()(student, teacher, t).entropy.item() for t in (0.1, 0.07, 0.04, 0.02)]
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < values[0] < math.log(32)
    assert entropy(torch.tensor([0.5, 0.25, 0.25, 0.0])).item() == pytest.approx(1.5 * math.log(2))
