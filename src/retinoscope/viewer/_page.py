"""The page's shell and the built front end that is packaged with it."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from ..errors import InputError

ASSETS = {
    "viewer.js": "text/javascript; charset=utf-8",
    "viewer.css": "text/css; charset=utf-8",
}
"""Files of the front end that the page loads, and their media types."""
STATIC = files("retinoscope.viewer") / "static"


def page(mode: str, title: str) -> bytes:
    """index.html, the same in all places: no script and no style in it, so that a strict content
    security policy holds.

    Args:
        mode: "static" or "live".
    """
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)} - retinoscope</title>\n"
        '<link rel="stylesheet" href="viewer.css">\n'
        '<script src="viewer.js" defer></script>\n'
        f'</head>\n<body data-mode="{escape(mode, quote=True)}">\n<div id="app"></div>\n'
        "<noscript>This page needs JavaScript; report.html does without.</noscript>\n"
        "</body>\n</html>\n"
    ).encode()


def asset(name: str) -> bytes:
    """A file of the built front end.

    Raises:
        InputError: this copy of retinoscope was made without the front end.
    """
    try:
        return (STATIC / name).read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"this copy of retinoscope lacks the page's {name}: install a release, or build it "
            "(`npm ci && npm run build` in frontend/)"
        ) from None
