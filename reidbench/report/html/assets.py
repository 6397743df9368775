"""The templates, styles and scripts of pages, and the policy that allows these scripts and nothing else."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.report.formats.tables import visible


def template(name: str) -> Any:
    """A template beside this file, by name; everything that it prints is escaped and without control characters."""
    import jinja2
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reidbench.report.html"),
        autoescape=True,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = lambda fraction, digits=1: f"{100 * fraction:.{digits}f}"
    environment.filters["seconds"] = _seconds
    return environment.get_template(name)


def _seconds(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}".replace(",", "\u202f")


STYLES = ("page.css", "ranks.css")


@dataclass
class Scripts:
    """The scripts of the page, and the policy that allows them and nothing else."""

    @cached_property
    def css(self) -> str:
        return "\n".join(map(_resource, STYLES))

    @cached_property
    def plotly(self) -> str:
        from plotly.offline import get_plotlyjs

        return _inline(get_plotlyjs())

    @cached_property
    def page(self) -> str:
        """DataTables and the page's own code, one module: what the bundle exports is given to the code by name."""
        bundle = importlib.resources.files("itables").joinpath("html/dt_bundle.js").read_text(encoding="utf-8")
        exports = re.search(r"export\s*\{[^{}]*?(\w+) as default\b[^{}]*\};?", bundle)
        if exports is None:
            raise ReidbenchError("this itables has no DataTables that the page can use: pip install 'itables>=2.5,<3'")
        body = bundle[: exports.start()] + bundle[exports.end() :]
        return _inline(f"{body}\nconst tableLibrary = {exports.group(1)};\n{_resource('page.js')}")

    @property
    def policy(self) -> str:
        """Content security policy: nothing is loaded; scripts by hash; styles and pictures within the file."""
        hashes = " ".join(f"'{_hash(script)}'" for script in (self.plotly, self.page))
        return (
            f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'"
        )


def _resource(name: str) -> str:
    return importlib.resources.files("reidbench.report.html").joinpath("templates", name).read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """A script that may stand in HTML: nothing in it ends the element, and its line ends are what a browser hashes."""
    script = script.replace("\r\n", "\n").replace("\r", "\n")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
