"""Templates, styles and scripts of pages, and the content security policy that allows only these scripts.

A single page contains its styles and scripts; the pages of a site link to shared files.
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

STYLES = ("page.css", "ranks.css", "fails.css", "fit.css")  # parts of page.css
CODE = ("table.js", "fit.js", "page.js", "fails.js", "start.js")  # parts of page.js in this order, in one scope
NO_REQUEST = "default-src 'none'; base-uri 'none'; form-action 'none'"


def template(name: str) -> Any:
    """Return a template by name; its output is escaped and has no control characters."""
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
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.filters["percent"] = lambda fraction, digits=1: f"{100 * fraction:.{digits}f}"
    environment.filters["seconds"] = _seconds
    return environment


def _seconds(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}".replace(",", "\u202f")


class Assets(Protocol):
    """Styles and scripts of a page as elements, and the content security policy that allows only them."""

    @property
    def policy(self) -> str:
        """The content security policy."""

    @property
    def styles(self) -> Markup:
        """Elements for the head of the page."""

    @property
    def scripts(self) -> Markup:
        """Elements for the end of the body."""


class Inline:
    """Styles and scripts inside the page; the policy allows scripts by hash."""

    @cached_property
    def _texts(self) -> list[str]:
        return [_inline(text) for text in scripts().values()]

    @property
    def policy(self) -> str:
        """Policy without requests: scripts by hash, styles and images inside the file."""
        hashes = " ".join(f"'{_hash(text)}'" for text in self._texts)
        return f"{NO_REQUEST}; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"

    @property
    def styles(self) -> Markup:
        """One style element."""
        return style(css())

    @property
    def scripts(self) -> Markup:
        """One script element each."""
        return _markup("\n".join(f"<script>{text}</script>" for text in self._texts))


class Linked:
    """Styles and scripts as files in the folder `base` (see `files`), limited to the scripts in `names`.

    Scripts are plain because browsers do not load modules from disk. The policy allows `file:` because a page on disk
    has no 'self' in Firefox; pages from the web cannot load files anyway.
    """

    def __init__(self, base: str, names: tuple[str, ...] = ("plotly.js", "datatables.js", "page.js")) -> None:
        self._base, self._names = base, names

    @property
    def policy(self) -> str:
        """Policy that allows scripts, styles and images from the page's own origin only."""
        own = "'self' file:"
        return f"{NO_REQUEST}; script-src {own}; style-src {own} 'unsafe-inline'; img-src {own} data: blob:"

    @property
    def styles(self) -> Markup:
        """One link element."""
        return _markup(f'<link rel="stylesheet" href="{self._base}page.css">')

    @property
    def scripts(self) -> Markup:
        """One script element with a source each."""
        return _markup("\n".join(f'<script src="{self._base}{name}"></script>' for name in self._names))


def files() -> dict[str, str]:
    """Return the shared files of a site by name."""
    return {"page.css": css(), **scripts()}


def css() -> str:
    """Return the styles of all pages."""
    return "\n".join(map(_resource, STYLES))


def looking_css() -> str:
    """Return the further styles of a closer look at rows, which only pages with one contain."""
    return _resource("looking/looking.css")


def style(text: str) -> Markup:
    """Return a style element."""
    return _markup(f"<style>\n{text}\n</style>")


def scripts() -> dict[str, str]:
    """Return the scripts of a page by name, in execution order."""
    return {"plotly.js": _plotly(), "datatables.js": _datatables(), "page.js": _closed("\n".join(map(_resource, CODE)))}


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _datatables() -> str:
    """Return DataTables, which ships as a module, as a plain script that defines `window.tableLibrary`."""
    bundle = importlib.resources.files("itables").joinpath("html/dt_bundle.js").read_text(encoding="utf-8")
    exports = re.search(r"export\s*\{[^{}]*?(\w+) as default\b[^{}]*\};?", bundle)
    if exports is None:
        raise ReidbenchError("the installed itables has no usable DataTables bundle: pip install 'itables>=2.5,<3'")
    body = bundle[: exports.start()] + bundle[exports.end() :]
    return _closed(f"{body}\nwindow.tableLibrary = {exports.group(1)};")


def _closed(script: str) -> str:
    """Wrap a script in its own scope, in strict mode."""
    return f'(() => {{\n"use strict";\n{script}\n}})();\n'


def _resource(name: str) -> str:
    return importlib.resources.files("reidbench.report.html").joinpath("templates", name).read_text(encoding="utf-8")


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - from this package and its libraries, not from plugins or files


def _inline(script: str) -> str:
    """Escape a script for HTML, with the line ends that a browser hashes."""
    script = script.replace("\r\n", "\n").replace("\r", "\n")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
