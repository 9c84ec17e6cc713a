"""The page's shell and its built front end."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from ..errors import InputError

ASSETS = {
    "collect.js": "text/javascript; charset=utf-8",
    "collect.css": "text/css; charset=utf-8",
}
STATIC = files("retinoscope.collect") / "static"


def page(title: str) -> bytes:
    """index.html: no script and no style in it, so that a strict content security policy holds."""
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n"
        '<link rel="stylesheet" href="collect.css">\n'
        '<script src="collect.js" defer></script>\n'
        '</head>\n<body>\n<main id="app"></main>\n'
        "<noscript>This page needs JavaScript.</noscript>\n"
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
