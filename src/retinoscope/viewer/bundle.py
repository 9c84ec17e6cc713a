"""A page of this package: its HTML shell and its built front end."""

from __future__ import annotations

from html import escape
from importlib.resources.abc import Traversable

from ..errors import InputError


def media_types(bundle: str) -> dict[str, str]:
    """Returns the files of a front end that its page loads, with their media types."""
    return {
        f"{bundle}.js": "text/javascript; charset=utf-8",
        f"{bundle}.css": "text/css; charset=utf-8",
    }


def shell(bundle: str, title: str, body: str) -> bytes:
    """Returns index.html around `body`, without inline script or style, as a strict content
    security policy requires."""
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n"
        f'<link rel="stylesheet" href="{bundle}.css">\n'
        f'<script src="{bundle}.js" defer></script>\n'
        f"</head>\n{body}\n</html>\n"
    ).encode()


def read_asset(folder: Traversable, name: str) -> bytes:
    """Returns a file of a built front end.

    Raises:
        InputError: this copy of retinoscope was built without the front end.
    """
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"this copy of retinoscope lacks the page's {name}: install a release, or build it "
            "(`npm ci && npm run build` in frontend/)"
        ) from None
