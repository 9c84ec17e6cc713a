"""How gaze data is read; from arguments, or from `gaze.json` in the data's folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..data import GRANULARITIES
from ..data.schema import inside, read_json, read_lines
from ..errors import InputError
from ._density import BANDWIDTH
from ._viewport import Viewport

SETTINGS = "gaze.json"
_NO_VIEWPORT = (
    "expected to be told where the image was on the screen, got nothing: write "
    '"viewport" into gaze.json, as {"x0": .., "y0": .., "scale_x": .., "scale_y": ..}, as '
    '{"screen": [width, height]} for an image scaled to fit and centred, or as "image" where '
    "positions are in pixels of the image already"
)


@dataclass(frozen=True)
class GazeOptions:
    """How gaze data is read.

    Attributes:
        viewport: where images were on the screen; (width, height) of a screen for images that were
            scaled to fit and centred; "image" where positions are pixels of the image.
        viewports: of single images, by the name of the image without its ending.
        lead, lag: seconds by which a segment's time is widened before and after: speakers mostly
            look before they name.
        bandwidth: of the kernel, as a share of the image's diagonal; None for `BANDWIDTH`, or for
            what the data itself says (the window's radius, of collected sessions).
        pixels_per_degree: of visual angle, in pixels of the image; the bandwidth is then 1 degree.
        granularities: of segments that are taken from timed texts.
        subset: names of images, without their endings; None for all.
        resize: how maps of another size than their image are taken to it, "bilinear" or "area";
            None to refuse them.
        images, maps, fixations: folders, relative to the data's; found by themselves if None.
    """

    viewport: Viewport | tuple[float, float] | str | None = None
    viewports: Mapping[str, Viewport] = field(default_factory=dict)
    lead: float = 0.0
    lag: float = 0.0
    bandwidth: float | None = None
    pixels_per_degree: float | None = None
    granularities: tuple[str, ...] = GRANULARITIES
    subset: tuple[str, ...] | None = None
    resize: str | None = None
    images: str | None = None
    maps: str | None = None
    fixations: str | None = None

    def __post_init__(self) -> None:
        for name in ("lead", "lag"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"expected {name} in seconds, got {getattr(self, name)}")
        for name in ("bandwidth", "pixels_per_degree"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"expected {name} above 0, got {value}")
        wrong = [one for one in self.granularities if one not in GRANULARITIES]
        if wrong or not self.granularities:
            got = repr(wrong[0]) if wrong else "none"
            raise InputError(f"expected granularities among {', '.join(GRANULARITIES)}, got {got}")
        if self.resize not in (None, "bilinear", "area"):
            raise InputError(f"expected resize as 'bilinear' or 'area', got {self.resize!r}")
        for one in (self.viewport, *self.viewports.values()):
            if one is not None and not _is_viewport(one):
                raise InputError(f"expected a viewport, a screen or 'image', got {one!r}")
        for name in ("images", "maps", "fixations"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise InputError(f"expected {name} as the name of a folder, got {value!r}")

    def viewport_of(self, name: str, size: tuple[int, int]) -> Viewport:
        """Where one image was on the screen.

        Raises:
            InputError: nobody said.
        """
        found = self.viewports.get(name, self.viewport)
        if found is None:
            raise InputError(_NO_VIEWPORT)
        if isinstance(found, Viewport):
            return found
        return Viewport() if isinstance(found, str) else Viewport.contain(found, size)

    def kernel(self, size: tuple[int, int]) -> float:
        """The bandwidth in pixels of an image."""
        if self.pixels_per_degree is not None:
            return self.pixels_per_degree
        share = BANDWIDTH if self.bandwidth is None else self.bandwidth
        return share * math.hypot(*size)

    @property
    def described(self) -> object:
        """As JSON, for a fingerprint."""
        return asdict(self)


def read_options(folder: Path) -> GazeOptions:
    """What `gaze.json` in a folder says; the defaults where there is none.

    Raises:
        InputError: a key that is not known, or a value of another form.
    """
    file = folder / SETTINGS
    if not file.is_file():
        return GazeOptions()
    told = read_json(file)
    known = [one.name for one in fields(GazeOptions)]
    if not isinstance(told, dict):
        raise InputError(f"{file}: expected an object of settings, got a {type(told).__name__}")
    unknown = sorted(set(told) - set(known))
    if unknown:
        raise InputError(f"{file}: expected settings among {', '.join(known)}, got {unknown[0]!r}")
    try:
        return GazeOptions(**{name: _value(name, value, folder) for name, value in told.items()})
    except (InputError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{file}: {error}") from error


def _value(name: str, value: Any, folder: Path) -> Any:
    if name == "viewport":
        return _viewport(value)
    if name == "viewports":
        return {str(key): _viewport(one) for key, one in value.items()}
    if name == "granularities":
        return tuple(value)
    if name == "subset" and value is not None:
        if not isinstance(value, str):
            return tuple(map(str, value))
        file = folder / inside(value, "subset")
        return tuple(Path(line.strip()).stem for line in read_lines(file, "names of images"))
    if name in ("lead", "lag", "bandwidth", "pixels_per_degree") and value is not None:
        return float(value)
    return value


def _viewport(value: Any) -> Viewport | tuple[float, float] | str | None:
    if not isinstance(value, dict):
        return value
    if set(value) == {"screen"}:
        width, height = value["screen"]
        return float(width), float(height)
    if set(value) != {"x0", "y0", "scale_x", "scale_y"}:
        raise InputError(f"expected x0, y0, scale_x and scale_y, or screen, got {sorted(value)}")
    return Viewport(**{key: float(number) for key, number in value.items()})


def _is_viewport(value: object) -> bool:
    if isinstance(value, tuple):
        return len(value) == 2 and all(isinstance(side, int | float) for side in value)
    return isinstance(value, Viewport) or value == "image"
