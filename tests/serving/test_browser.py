"""A browser uploads a rendered person and finds the same person first."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.support.browser import browsing, find, in_browser, requests, view, wait
from tests.support.services import STRANGE, Command, encoded, noise, service_of, serving


def text(browser: object, selector: str) -> str:
    (element,) = find(browser, selector)
    return str(element.text)


def upload(browser: object, file: Path, k: int) -> None:
    for element, keys in ((find(browser, "#picture")[0], str(file)), (find(browser, "#k")[0], str(k))):
        if element.get_attribute("type") == "number":
            element.clear()
        element.send_keys(keys)
    find(browser, "#search")[0].click()


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_a_rendered_person_is_found(served: Command, tmp_path: Path, width: int, scheme: str) -> None:
    query = served.queries[0]
    with browsing(served.address) as browser:
        view(browser, width, scheme)
        images = len(list(served.gallery.iterdir()))
        assert f"Row colours on t. {images} images. Features by " in text(browser, "#about")
        upload(browser, query, 5)
        wait(lambda: text(browser, "#status") == "5 images, nearest first.")
        captions = [element.text.split("\n") for element in find(browser, "#matches figcaption")]
        assert [caption[0].split(". ")[0] for caption in captions] == ["1", "2", "3", "4", "5"]
        assert captions[0][1][:4] == query.name[:4]  # the same identity
        distances = [float(caption[0].split(" ")[1]) for caption in captions]
        assert distances == sorted(distances)
        loaded = "return [...document.images].every((one) => one.complete && one.naturalWidth > 0)"
        wait(lambda: browser.execute_script(loaded))
        assert len(find(browser, "img")) == 6  # with the query
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == (
            "rgb(24, 30, 37)" if scheme == "dark" else "rgb(246, 248, 250)"
        )
        assert all(url.startswith((served.address, "blob:")) for url in requests(browser))
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []

        upload(browser, served.gallery / STRANGE, 1)
        wait(lambda: text(browser, "#status") == "1 images, nearest first.")
        assert find(browser, "#matches figcaption")[0].text.split("\n") == ["1. 0.0000", STRANGE]  # as text
        assert len(find(browser, "#matches img")) == 1

        (tmp_path / "no.png").write_text("no picture")
        upload(browser, tmp_path / "no.png", 1)
        wait(lambda: "the image: cannot be decoded: its 10 bytes" in text(browser, "#status"))
        assert not find(browser, "#found")[0].is_displayed()


@pytest.mark.slow
@in_browser
def test_a_server_that_ended_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(0)))
    with contextlib.ExitStack() as running:
        port = running.enter_context(serving(service_of(tmp_path)))
        with browsing(f"http://127.0.0.1:{port}/") as browser:
            view(browser, 800)
            running.close()
            upload(browser, tmp_path / "a.png", 2)
            wait(lambda: text(browser, "#status") == "The server does not answer.")
