"""Colours and figure defaults. One drawing serves the page (light and dark) and the SVG file.

The series colours are Okabe and Ito's (2008, "Color Universal Design"), darkened or lightened to a
contrast of at least 3:1 with the page. Series also differ by marker or dash, never by colour alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

INK = "#1c2126"
MUTED = "#646b73"
RULE = "#dfe2e5"
PAPER = "#fdfdfb"
BLUE = "#0b62a4"
ORANGE = "#c25408"
GREEN = "#0b7a5b"
PURPLE = "#93488f"
BROWN = "#866a08"
SKY = "#2f8fc4"
GREY = "#7c848c"

VARIABLES: dict[str, tuple[str, str]] = {
    INK: ("ink", "#e8e8e4"),
    MUTED: ("muted", "#a3a9b0"),
    RULE: ("rule", "#363b41"),
    PAPER: ("paper", "#16191c"),
    BLUE: ("blue", "#74b9f0"),
    ORANGE: ("orange", "#f59b57"),
    GREEN: ("green", "#4fcaa2"),
    PURPLE: ("purple", "#d99dd5"),
    BROWN: ("brown", "#dcbe4e"),
    SKY: ("sky", "#8fd3f7"),
    GREY: ("grey", "#949ca4"),
}
"""Colour in a figure -> name of the page's CSS variable, and its value in dark mode."""

SERIES = (BLUE, ORANGE, GREEN, PURPLE, BROWN, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")

_RC = {
    "svg.fonttype": "none",
    # Names of models and classes may have dollar signs.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 2.0,
    "lines.markersize": 5.5,
}


@contextmanager
def figure_style(name: str) -> Iterator[None]:
    """Applies Matplotlib settings for one figure; the same input gives the same SVG bytes."""
    import matplotlib

    settings = cast("dict[Any, Any]", {**_RC, "svg.hashsalt": name})
    with matplotlib.rc_context(settings):
        yield


def svg_of(drawing: Drawing) -> str:
    """The figure as an SVG document without metadata (no date, no addresses)."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    drawing.savefig(buffer, format="svg", metadata=metadata, bbox_inches="tight", pad_inches=0.05)
    return buffer.getvalue()


def inline(svg: str, name: str) -> str:
    """Turns an SVG document into an element of the page.

    Colours become the page's CSS variables, identifiers get `name` as a prefix (several figures
    share one page), and the fixed size is dropped in favour of the view box.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    for colour, (variable, _) in VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    head, rest = body.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    # Replace Matplotlib's fonts by the page's, which exist on every machine.
    rest = re.sub(r"font: ([^;\"']*?)'[^;\"]*", r"font: \1var(--sans)", rest)
    return f'{head} aria-hidden="true" focusable="false">{rest}'


def css_variables() -> tuple[str, str]:
    """CSS declarations for the light and the dark mode."""
    light = "".join(f"--{variable}:{color};" for color, (variable, _) in VARIABLES.items())
    dark = "".join(f"--{variable}:{color};" for variable, color in VARIABLES.values())
    return light, dark
