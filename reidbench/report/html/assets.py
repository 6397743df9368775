"""The templates, styles and scripts of pages, and the policy that allows these scripts and nothing else.

A page has its styles and scripts within itself, or a site has them once as files that its pages are linked to.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol

from reidbench.errors import ReidbenchError
from reidbench.report.formats.tables import visible

if TYPE_CHECKING:
    from markupsafe import Markup

STYLES = ("page.css", "ranks.css", "fails.css")  # the files beside the templates that make page.css
CODE = ("table.js", "page.js", "fails.js", "start.js")  # those that make page.js, in this order; they share their names
NO_REQUEST = "default-src 'none'; base-uri 'none'; form-action 'none'"


def template(name: str) -> Any:
    """A template beside this file, by name; everything that it prints is escaped and without control characters."""
    return _environment().get_template(name)


@cache
def _environment() -> Any:
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
    return environment


def _seconds(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}".replace(",", "\u202f")


class Assets(Protocol):
    """The styles and scripts of a page, as elements, and the content security policy that allows no others."""

    @property
    def policy(self) -> str:
        """The policy."""

    @property
    def styles(self) -> Markup:
        """What the head of the page has."""

    @property
    def scripts(self) -> Markup:
        """What the body of the page ends with."""


class Inline:
    """Styles and scripts within the page; scripts are allowed by their hashes."""

    @cached_property
    def _texts(self) -> list[str]:
        return [_inline(text) for text in scripts().values()]

    @property
    def policy(self) -> str:
        """Nothing is loaded; scripts by hash; styles and pictures within the file."""
        hashes = " ".join(f"'{_hash(text)}'" for text in self._texts)
        return f"{NO_REQUEST}; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"

    @property
    def styles(self) -> Markup:
        """One element."""
        return _markup(f"<style>\n{css()}\n</style>")

    @property
    def scripts(self) -> Markup:
        """One element each."""
        return _markup("\n".join(f"<script>{text}</script>" for text in self._texts))


class Linked:
    """Styles and scripts in files of the folder `base`, as `files` gives them; scripts are those of `names`.

    Plain scripts, since browsers load no modules from a disk. `file:` is for them too: in Firefox a page on a disk has
    no 'self', and no page from elsewhere may load files.
    """

    def __init__(self, base: str, names: tuple[str, ...] = ("plotly.js", "datatables.js", "page.js")) -> None:
        self._base, self._names = base, names

    @property
    def policy(self) -> str:
        """Nothing is loaded but scripts, styles and pictures from where the page is."""
        own = "'self' file:"
        return f"{NO_REQUEST}; script-src {own}; style-src {own} 'unsafe-inline'; img-src {own} data: blob:"

    @property
    def styles(self) -> Markup:
        """A link."""
        return _markup(f'<link rel="stylesheet" href="{self._base}page.css">')

    @property
    def scripts(self) -> Markup:
        """A link each."""
        return _markup("\n".join(f'<script src="{self._base}{name}"></script>' for name in self._names))


def files() -> dict[str, str]:
    """The files that pages are linked to, by name."""
    return {"page.css": css(), **scripts()}


def css() -> str:
    """The styles of all pages."""
    return "\n".join(map(_resource, STYLES))


def scripts() -> dict[str, str]:
    """The scripts of a page by name, in the order in which a page runs them."""
    return {"plotly.js": _plotly(), "datatables.js": _datatables(), "page.js": _closed("\n".join(map(_resource, CODE)))}


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _datatables() -> str:
    """DataTables, which comes as a module, as a plain script that gives what the module exports to the page's code."""
    bundle = importlib.resources.files("itables").joinpath("html/dt_bundle.js").read_text(encoding="utf-8")
    exports = re.search(r"export\s*\{[^{}]*?(\w+) as default\b[^{}]*\};?", bundle)
    if exports is None:
        raise ReidbenchError("this itables has no DataTables that the page can use: pip install 'itables>=2.5,<3'")
    body = bundle[: exports.start()] + bundle[exports.end() :]
    return _closed(f"{body}\nwindow.tableLibrary = {exports.group(1)};")


def _closed(script: str) -> str:
    """A script whose names are its own, in the strict mode that modules have."""
    return f'(() => {{\n"use strict";\n{script}\n}})();\n'


def _resource(name: str) -> str:
    return importlib.resources.files("reidbench.report.html").joinpath("templates", name).read_text(encoding="utf-8")


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - ours and our libraries', no text of plugins or files


def _inline(script: str) -> str:
    """A script that may stand in HTML: nothing in it ends the element, and its line ends are what a browser hashes."""
    script = script.replace("\r\n", "\n").replace("\r", "\n")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
