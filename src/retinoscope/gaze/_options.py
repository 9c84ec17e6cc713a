"""How gaze data is read: from arguments, or from `gaze.json` in the data's folder."""

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
    "expected the image's place on the screen, got nothing: write "
    '"viewport" into gaze.json, as {"x0": .., "y0": .., "scale_x": .., "scale_y": ..}, as '
    '{"screen": [width, height]} for an image scaled to fit and centred, or as "image" where '
    "positions are in pixels of the image already"
)


@dataclass(frozen=True)
class GazeOptions:
    """How gaze data is read.

    Attributes:
        viewport: the images' place on the screen; (width, height) of the screen for images scaled
            to fit and centred; "image" where positions are pixels of the image.
        viewports: the same for single images, by the image's name without its ending.
        lead, lag: seconds added to a segment's time before and after: speakers mostly look before
            they name.
        bandwidth: of the kernel, as a share of the image's diagonal; None for `BANDWIDTH`, or for
            the value in the data itself (the window's radius in collected sessions).
        pixels_per_degree: pixels of the image per degree of visual angle; sets the bandwidth to 1
            degree.
        granularities: of the segments taken from timed texts.
        subset: names of images, without their endings; None for all.
        resize: how to resize maps whose size differs from their image's, "bilinear" or "area";
            None to refuse them.
        images, maps, fixations: folders, relative to the data's; None to look for them.
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
        wrong = [name for name in self.granularities if name not in GRANULARITIES]
        if wrong or not self.granularities:
            got = repr(wrong[0]) if wrong else "none"
            raise InputError(f"expected granularities among {', '.join(GRANULARITIES)}, got {got}")
        if self.resize not in (None, "bilinear", "area"):
            raise InputError(f"expected resize as 'bilinear' or 'area', got {self.resize!r}")
        for viewport in (self.viewport, *self.viewports.values()):
            if viewport is not None and not _is_viewport(viewport):
                raise InputError(f"expected a viewport, a screen or 'image', got {viewport!r}")
        for name in ("images", "maps", "fixations"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise InputError(f"expected {name} as the name of a folder, got {value!r}")

    def viewport_of(self, name: str, size: tuple[int, int]) -> Viewport:
        """The place of one image on the screen.

        Raises:
            InputError: no viewport is given.
        """
        viewport = self.viewports.get(name, self.viewport)
        if viewport is None:
            raise InputError(_NO_VIEWPORT)
        if isinstance(viewport, Viewport):
            return viewport
        return Viewport() if isinstance(viewport, str) else Viewport.contain(viewport, size)

    def kernel(self, size: tuple[int, int]) -> float:
        """The kernel's standard deviation, in pixels of an image of this size."""
        if self.pixels_per_degree is not None:
            return self.pixels_per_degree
        share = BANDWIDTH if self.bandwidth is None else self.bandwidth
        return share * math.hypot(*size)

    @property
    def described(self) -> object:
        """The options as JSON, for a fingerprint."""
        return asdict(self)


def read_options(folder: Path) -> GazeOptions:
    """Reads `gaze.json` in a folder; the defaults where there is none.

    Raises:
        InputError: an unknown key, or a value of the wrong form.
    """
    file = folder / SETTINGS
    if not file.is_file():
        return GazeOptions()
    settings = read_json(file)
    known = [field.name for field in fields(GazeOptions)]
    if not isinstance(settings, dict):
        raise InputError(f"{file}: expected an object of settings, got a {type(settings).__name__}")
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(f"{file}: expected settings among {', '.join(known)}, got {unknown[0]!r}")
    try:
        return GazeOptions(
            **{name: _value(name, value, folder) for name, value in settings.items()}
        )
    except (InputError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{file}: {error}") from error


def _value(name: str, value: Any, folder: Path) -> Any:
    if name == "viewport":
        return _viewport(value)
    if name == "viewports":
        return {str(key): _viewport(item) for key, item in value.items()}
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
