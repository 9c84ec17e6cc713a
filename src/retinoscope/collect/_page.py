"""The page that participants see."""

from __future__ import annotations

from importlib.resources import files

from ..viewer.bundle import media_types, read_asset, shell

ASSETS = media_types("collect")
STATIC = files("retinoscope.collect") / "static"


def page(title: str) -> bytes:
    """index.html."""
    body = (
        '<body>\n<main id="app"></main>\n<noscript>This page needs JavaScript.</noscript>\n</body>'
    )
    return shell("collect", title, body)


def asset(name: str) -> bytes:
    """Returns a file of the built front end; raises what `read_asset` raises."""
    return read_asset(STATIC, name)
