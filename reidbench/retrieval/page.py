"""Ranked lists as one self-contained HTML file with embedded thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from reidbench.registry.plugins import printable
from reidbench.report.html.ranked import Thumbnails

from .search import Found

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 1500px; padding: 0 16px 40px; font: 15px/1.45 system-ui, sans-serif; }
section { display: flex; gap: 16px; align-items: start; border-top: 1px solid #8888; padding: 12px 0; }
ol { display: flex; flex-wrap: wrap; gap: 10px; list-style: none; margin: 0; padding: 0; }
figure { margin: 0; width: 110px; font-size: .8rem; overflow-wrap: anywhere; }
section > figure { flex: none; border-right: 3px solid #888; padding-right: 13px; }
img, .none { display: block; width: auto; height: 96px; max-width: 100%; object-fit: contain; margin-bottom: 3px; }
.same img, .same .none { outline: 3px dashed #c60; outline-offset: 1px; }
"""


def render(found: Sequence[Found], network: str, ranking: str) -> str:
    """Return the page: each query on the left, its matches in order to the right. All names are escaped."""
    thumbnails = Thumbnails()
    sections = "\n".join(_section(one, thumbnails) for one in found)
    absent = f"<p>{thumbnails.left_out} images are not shown: they are missing, or would make the page too large.</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width">
<title>reidbench search</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Nearest images</h1>
<p>Features by {_text(network)}. {_text(ranking)}. A small distance means that this network finds two images similar,
not that they have the same identity.</p>
{absent if thumbnails.left_out else ""}
{sections}
</body>
</html>
"""


def _section(one: Found, thumbnails: Thumbnails) -> str:
    items = []
    for rank, match in enumerate(one.matches, 1):
        same = "; the same file" if match.same else ""
        caption = f"{rank}. {match.distance:.4f}{same}"
        mark = ' class="same"' if match.same else ""
        items.append(f"<li{mark}>{_figure(match.name, caption, thumbnails)}</li>")
    return f"<section>\n{_figure(one.query, 'query', thumbnails)}\n<ol>\n" + "\n".join(items) + "\n</ol>\n</section>"


def _figure(name: str, caption: str, thumbnails: Thumbnails) -> str:
    found = thumbnails.add(Path(name))
    picture = f'<img src="{thumbnails.pictures[found]}" alt="">' if found else '<span class="none"></span>'
    return f"<figure>{picture}<figcaption>{_text(caption)}<br>{_text(name)}</figcaption></figure>"


def _text(name: str) -> str:
    return escape(printable(name))
