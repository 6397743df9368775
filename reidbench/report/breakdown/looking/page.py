"""A closer look at one or two rows as one self-contained HTML file without scripts."""

from __future__ import annotations

from reidbench import __version__
from reidbench.report.formats.extras import require
from reidbench.report.html.assets import NO_REQUEST, css, looking_css, style, template
from reidbench.report.html.ranked import Thumbnails

from .section import Look

POLICY = f"{NO_REQUEST}; style-src 'unsafe-inline'; img-src data:"


def render(look: Look, thumbnails: Thumbnails) -> str:
    """Return the page. Raises ReidbenchError if the extra `report` is missing."""
    require("the page", "jinja2")
    styles = style(f"{css()}\n{looking_css()}")
    text: str = template("looking/page.html").render(
        look=look, thumbnails=thumbnails, policy=POLICY, styles=styles, version=__version__
    )
    return text
