"""A person in several outfits, and in near infrared: constant and changed properties."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reidbench.rendering.mesh import Mesh, Part
from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.persons.attributes import nearest_name
from reidbench_synthetic.persons.body import build_body
from reidbench_synthetic.persons.identity import Identity
from reidbench_synthetic.persons.infrared import in_infrared
from reidbench_synthetic.persons.looks import widen
from reidbench_synthetic.persons.palettes import COLOURS, SUMMER
from reidbench_synthetic.randomness import Stream
from reidbench_synthetic.render import Studio, draw_person
from reidbench_synthetic.worlds import WORLDS

WARDROBE = WORLDS["wardrobe"]
BODY = (Part.HEAD, Part.NECK, Part.HAND, Part.FOOT)  # parts that garments do not widen


def of_parts(mesh: Mesh, parts: tuple[Part, ...]) -> np.ndarray:
    corners: np.ndarray = mesh.vertices[mesh.faces[np.isin(mesh.parts, parts)]]
    return corners


@pytest.mark.parametrize("pid", range(1, 7))
def test_the_body_stays_and_the_clothes_change(pid: int) -> None:
    first, second, third = (draw_person(0, WARDROBE, (pid,), outfit) for outfit in range(3))
    for other in (second, third):
        assert (other.build, other.head, other.gait) == (first.build, first.head, first.gait)
        assert other.top != first.top
        assert other.bottom != first.bottom
        assert other.bag != first.bag
        assert np.array_equal(of_parts(build_body(other), BODY), of_parts(build_body(first), BODY))
        redressed = dataclasses.replace(other, top=first.top, bottom=first.bottom, bag=first.bag)
        assert np.array_equal(build_body(redressed).vertices, build_body(first).vertices)
    assert second.top != third.top


def test_pictures_of_one_moment_in_two_outfits_differ_in_the_clothes() -> None:
    studio = Studio(SyntheticParams(world="wardrobe", size="small"))
    albedos = [studio.person((3,), outfit)[0] for outfit in (0, 1)]
    assert albedos[0].head == albedos[1].head
    difference = np.abs(np.subtract(albedos[0].top.colour, albedos[1].top.colour)).max()
    assert difference > 0.05


def test_nobody_wears_a_cap_where_clothes_change() -> None:
    assert {draw_person(0, WARDROBE, (pid,)).head.style for pid in range(1, 101)} == {"short", "long", "bun"}


def person(pid: int = 1) -> Identity:
    return draw_person(0, WORLDS["plaza"], (pid,))


def test_widen_moves_a_build_away_from_the_mean_and_not_without_end() -> None:
    tall = dataclasses.replace(person().build, height=1.05, weight=0.5)
    wide = widen(dataclasses.replace(person(), build=tall), 2.0).build
    assert wide.height == pytest.approx(1.10)  # one deviation of 0.05, doubled
    assert wide.weight == pytest.approx(1 - 2 * 1.8 * 0.12)  # over four deviations, of which 1.8 count
    same = widen(person(), 1.0).build
    assert same.hip == pytest.approx(person().build.hip)


def colours_of(value: object) -> list[tuple[float, float, float]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [colour for field in dataclasses.fields(value) for colour in colours_of(getattr(value, field.name))]
    if isinstance(value, tuple):
        red, green, blue = value
        return [(red, green, blue)]
    return []


@pytest.mark.parametrize("pid", range(1, 6))
def test_infrared_has_no_colours_and_the_same_form(pid: int) -> None:
    seen = in_infrared(Stream(pid), person(pid))
    assert colours_of(person(pid))
    assert all(red == green == blue for red, green, blue in colours_of(seen))
    assert np.array_equal(build_body(seen).vertices, build_body(person(pid)).vertices)


def correlation(pairs: list[tuple[float, float]]) -> float:
    return float(np.corrcoef(np.array(pairs).T)[0, 1])


def test_infrared_says_little_of_a_garments_brightness_and_skin_is_bright() -> None:
    garments, skins = [], []
    for pid in range(1, 201):
        day, night = person(pid), in_infrared(Stream(pid), person(pid))
        garments.append((float(np.dot(day.top.colour, (0.30, 0.59, 0.11))), night.top.colour[0]))
        skins.append(night.head.skin[0])
        between = abs(night.top.second[0] - night.top.colour[0])
        apart = abs(float(np.dot(np.subtract(day.top.second, day.top.colour), (0.30, 0.59, 0.11))))
        assert between < apart + 1e-9  # patterns fade
    assert 0.2 < correlation(garments) < 0.9
    assert min(skins) > 0.5


def test_a_dyed_garment_has_the_name_that_is_nearest() -> None:
    for name, colour in COLOURS.items():
        assert nearest_name(colour) == name
    red, green, blue = COLOURS["red"]
    assert nearest_name((red * 1.05, green, blue * 0.95)) == "red"
    assert set(SUMMER.uppers) <= set(COLOURS)
