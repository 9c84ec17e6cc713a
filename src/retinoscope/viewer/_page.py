"""The HTML shell of the page, and its files."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from .bundle import media_types, read_asset, shell

ASSETS = media_types("viewer")
STATIC = files("retinoscope.viewer") / "static"


def page(mode: str, title: str) -> bytes:
    """Returns index.html, the same for every use of the page.

    Args:
        mode: "static" or "live".
        title: title of the window.
    """
    body = (
        f'<body data-mode="{escape(mode, quote=True)}">\n<div id="app"></div>\n'
        "<noscript>This page needs JavaScript; report.html does without.</noscript>\n"
        "</body>"
    )
    return shell("viewer", f"{title} - retinoscope", body)


def asset(name: str) -> bytes:
    """Returns a file of the built front end; raises as `read_asset` does."""
    return read_asset(STATIC, name)
