"""A page of this package: its shell, and the front end that is built for it."""

from __future__ import annotations

from html import escape
from importlib.resources.abc import Traversable

from ..errors import InputError


def media_types(bundle: str) -> dict[str, str]:
    """Files of a front end that its page loads, and their media types."""
    return {
        f"{bundle}.js": "text/javascript; charset=utf-8",
        f"{bundle}.css": "text/css; charset=utf-8",
    }


def shell(bundle: str, title: str, body: str) -> bytes:
    """index.html around `body`: no script and no style in it, so that a strict content security
    policy holds."""
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
    """A file of a built front end.

    Raises:
        InputError: this copy of retinoscope was made without the front end.
    """
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"this copy of retinoscope lacks the page's {name}: install a release, or build it "
            "(`npm ci && npm run build` in frontend/)"
        ) from None
