"""A headless Chromium for tests of pages. Tests are skipped only on a machine without chromium and chromedriver."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
in_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="no chromium or no chromedriver on this machine: apt-get install chromium chromium-driver",
)


@contextlib.contextmanager
def browsing(address: str) -> Iterator[Any]:
    """A browser that records its console and its requests, and opens an address; Selenium downloads nothing."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.address = address  # type: ignore[attr-defined]
    try:
        yield driver
    finally:
        driver.quit()


READY = """
return document.readyState === "complete" && (!document.querySelector("script[src], script:not([type])")
  || document.documentElement.dataset.ready === "yes");
"""


def view(browser: Any, width: int, scheme: str = "light", at: str = "") -> Any:
    """Open an address, by default the browser's current one, on a screen of this width."""
    resize(browser, width, scheme)
    browser.get("about:blank")  # otherwise another fragment of the same address loads nothing
    browser.get(at or browser.address)
    wait(lambda: browser.execute_script(READY))
    return browser


def resize(browser: Any, width: int, scheme: str) -> None:
    """Set the screen's width and colour scheme: light or dark."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def wait(holds: Callable[[], bool], where: str = "the page") -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, f"{where}: did not get there"
        time.sleep(0.05)


def find(browser: Any, selector: str) -> list[Any]:
    found: list[Any] = browser.find_elements("css selector", selector)
    return found


def choose(browser: Any, selector: str, words: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(find(browser, selector)[0]).select_by_visible_text(words)


def requests(browser: Any) -> list[str]:
    """Addresses requested since the last call, except data URLs and the empty page."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "about:"))]


LUMINANCE = """
const channels = (colour) => colour.match(/[\\d.]+/g)
  .map((part, i) => (i < 3 && colour.startsWith("color(srgb") ? 255 : 1) * Number(part));
const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
  .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const found = channels(getComputedStyle(at).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll(arguments[0])].filter((e) => e.offsetParent).map((e) => {
  const pair = [light(channels(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
});
"""
