"""Labels and groups of locations as colours over their image, with the truth."""

from __future__ import annotations

import base64
import binascii
import colorsys
import io
from collections.abc import Mapping, Sequence
from typing import cast
from xml.sax.saxutils import escape

from ...errors import InputError
from ...report.blocks import Figure, file_name, listing
from ...report.scene_picture import WIDTH, Scene
from ...report.style import INK, PAPER

_GOLDEN = 0.618033988749895
_OPACITY = 0.62


def group_figures(scene: Scene, name: str) -> tuple[Figure, ...]:
    """Draws the image's truth, one figure per way of labelling, one per way of grouping.

    `scene.facts` are the study's: "classes", "truth", "labels", "groups" and "shown".
    """
    shown = cast("Sequence[str]", scene.facts.get("shown") or ())
    classes = [str(name) for name in cast("Sequence[str]", scene.facts.get("classes") or ())]
    labels = cast("Mapping[str, list[int]]", scene.facts.get("labels") or {})
    groups = cast("Mapping[str, list[int]]", scene.facts.get("groups") or {})
    present = sorted({label for label in labels.get("majority", ()) if label})
    figures = [_truth(scene, classes, present, name)]
    for method, by_location in labels.items():
        if method in shown:
            truth = labels.get("majority", [])
            figures.append(_labels(scene, classes, method, by_location, truth, name))
    figures += [
        _groups(scene, method, groups[method], name) for method in groups if method in shown
    ]
    return tuple(figures)


def color_of(number: int) -> str:
    """Returns a colour for a label or group; consecutive numbers have distant hues."""
    hue = (number * _GOLDEN) % 1.0
    light = (0.48, 0.62, 0.38)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.72)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _truth(scene: Scene, classes: Sequence[str], present: Sequence[int], name: str) -> Figure:
    body = _label_map(str(scene.facts.get("truth") or ""), scene)
    names = [classes[label - 1] for label in present]
    body += _legend(scene, [(color_of(label), classes[label - 1]) for label in present])
    return Figure(
        name=file_name(name, "truth"),
        svg=scene.document(body),
        alt=f"Image {scene.sample} with its objects: {listing(names)}.",
        caption=f"The truth: {listing(names)}.",
        wide=False,
    )


def _label_map(text: str, scene: Scene) -> str:
    """Renders the map of labels as a coloured picture; the background shows the image."""
    from PIL import Image

    try:
        content = io.BytesIO(base64.b64decode(text, validate=True))
        labels = Image.open(content, formats=["PNG"])
        values = labels.convert("L")
    except (OSError, ValueError, binascii.Error) as error:
        raise InputError(
            f"{scene.sample}: expected its label map in examples.json, got something else: run the "
            "study again in an empty folder"
        ) from error
    palette = [(0, 0, 0, 0)] + [(*_rgb(color_of(k)), round(255 * _OPACITY)) for k in range(1, 255)]
    palette.append((128, 128, 128, 150))
    bands = [values.point([entry[band] for entry in palette]) for band in range(4)]
    buffer = io.BytesIO()
    Image.merge("RGBA", bands).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    height = scene.height * scene.scale
    return (
        f'<image href="data:image/png;base64,{data}" x="0" y="0" width="{WIDTH:g}" '
        f'height="{height:.2f}" preserveAspectRatio="none" style="image-rendering:pixelated"/>'
    )


def _labels(
    scene: Scene,
    classes: Sequence[str],
    method: str,
    predicted: Sequence[int],
    truth: Sequence[int],
    name: str,
) -> Figure:
    labelled = [k for k, label in enumerate(truth) if label]
    right = sum(predicted[k] == truth[k] for k in labelled if k < len(predicted))
    count = {label: predicted.count(label) for label in set(predicted) if label}
    most = sorted(count, key=lambda label: (-count[label], label))[:6]
    body = _colored(scene, predicted, zero=False)
    body += _legend(scene, [(color_of(label), classes[label - 1]) for label in most])
    return Figure(
        name=file_name(name, method),
        svg=scene.document(body),
        alt=f"Image {scene.sample} with the labels by {method}: {right} of {len(labelled)} "
        "locations on objects are right.",
        caption=f"{method}: {right} of {len(labelled)} locations on objects are right.",
        wide=False,
    )


def _groups(scene: Scene, method: str, groups: Sequence[int], name: str) -> Figure:
    return Figure(
        name=file_name(name, method),
        svg=scene.document(_colored(scene, groups, zero=True)),
        alt=f"Image {scene.sample} in {len(set(groups))} groups by {method}.",
        caption=f"Groups by {method}: {len(set(groups))}.",
        wide=False,
    )


def _colored(scene: Scene, numbers: Sequence[int], zero: bool) -> str:
    """Paints locations in the colour of their number; 0 is left out unless it is a group."""
    parts = []
    for number in sorted(set(numbers)):
        if number or zero:
            tokens = [k for k, other in enumerate(numbers) if other == number]
            color = color_of(number)
            style = f"fill:{color};fill-opacity:{_OPACITY};stroke:{color};stroke-width:.4"
            parts.append(scene.rects(tokens, style))
    return "".join(parts)


def _legend(scene: Scene, entries: Sequence[tuple[str, str]]) -> str:
    parts = []
    at = scene.height * scene.scale - 14
    for color, text in reversed(list(entries)):
        width = 30 + 8.2 * len(text)
        parts.append(
            f'<rect x="8" y="{at - 15:.1f}" width="{width:.1f}" height="20" '
            f'style="fill:{PAPER};fill-opacity:.86"/>'
            f'<rect x="12" y="{at - 11:.1f}" width="12" height="12" style="fill:{color}"/>'
            f'<text x="29" y="{at:.1f}" style="font-size:14px;font-family:sans-serif;fill:{INK}">'
            f"{escape(text)}</text>"
        )
        at -= 21
    return "".join(parts)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
