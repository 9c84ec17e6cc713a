"""Opening images from any source as upright RGB, with one-line errors."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias, Union

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..arguments import listed
from ..errors import InputError

ImageSource: TypeAlias = Union[str, "os.PathLike[str]", bytes, np.ndarray, Image.Image]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""The Pillow decoders that a file may reach, whatever its source; the others start programs (EPS
starts Ghostscript) or are rarely tested."""

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
"""Endings of files that are read as images."""

UNREAD = frozenset(
    {".avif", ".bpg", ".cr2", ".dng", ".eps", ".exr", ".hdr", ".heic", ".heif", ".ico", ".j2k"}
    | {".jp2", ".jpx", ".jxl", ".nef", ".pbm", ".pdf", ".pgm", ".ppm", ".psd", ".svg", ".tga"}
)
"""Endings of images in unsupported formats, which are reported if a folder has some."""

MAX_PIXELS = 100_000_000
"""The most pixels to decode; such an image temporarily takes about 800 MB."""

MOST_PAGES = 10_000
"""The most pages of a TIFF. One with 100,000 empty pages, 11 MB, took 53 s to count."""

FRAMES = "frames"
"""Key in `Image.info` with the number of frames of an animation, of which the first is used."""

_ORIENTATION = 0x0112
_DEEP = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}


def open_image(
    source: ImageSource, *, max_pixels: int | None = None, formats: Sequence[str] = FORMATS
) -> Image.Image:
    """Opens an image as 8-bit RGB, turned as its EXIF orientation says.

    Palettes, CMYK and 1-bit images are converted, 16-bit ones scaled (not clipped), transparent
    ones laid on white. Of an animation or a file with several pages the first is used, and
    `info["frames"]` holds their number.

    Args:
        source: a file's path, its bytes, a PIL image, or an array: (H, W) or (H, W, 1, 3 or 4),
            uint8 (0 to 255), uint16 (0 to 65535), bool, or float (0 to 1).
        max_pixels: the most pixels to decode, `MAX_PIXELS` if None.
        formats: names of the Pillow decoders that may read a file.

    Raises:
        InputError: no such file, not an image, or one that is truncated, has no pixels, a single
            pixel, or more than `max_pixels` pixels.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(source, np.ndarray):
        name = f"an array {source.shape}"
        image = _from_array(source)
    elif isinstance(source, Image.Image):
        name = f"a PIL image {source.size}"
        image = source
    elif isinstance(source, bytes):
        name = f"{len(source)} bytes"
        image = _open(io.BytesIO(source), name, formats, max_pixels)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        name = str(path)
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no such file"
            raise InputError(f"{name}: expected an image file, got {what}: check the path")
        if path.stat().st_size == 0:
            raise InputError(f"{name}: expected an image, got an empty file: fetch it again")
        try:
            with path.open("rb") as file:
                image = _loaded(_open(file, name, formats, max_pixels), name, max_pixels)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error}): check its permissions") from error
    else:
        raise InputError(
            f"expected an image as a path, bytes, a PIL image or an array, got a "
            f"{type(source).__name__}"
        )
    return _upright_rgb(_loaded(image, name, max_pixels), name, max_pixels)


def several_images(images: Any, what: str = "images") -> Any:
    """Returns `images`, which must be a list of several with a length, not a single image.

    Raises:
        InputError: anything else, such as the array of one image, whose rows would be images.
    """
    if not hasattr(listed(images, what), "__len__"):
        images = tuple(images)
    if getattr(images, "ndim", 4) < 4:
        shape = tuple(images.shape)
        raise InputError(
            f"expected {what} in a list, got one array {shape}: put a single image in a list too"
        )
    return images


def open_sized(file: Path, size: tuple[int, int], annotations: str) -> Image.Image:
    """Opens an image upright, or as stored if only that has the size given by its annotations.

    Args:
        size: width and height according to the annotations.
        annotations: the name of their file, for the error.

    Raises:
        InputError: an image of another size, or what `open_image` raises.
    """
    image = open_image(file)
    if image.size == size:
        return image
    if image.size == size[::-1]:
        with opened(file, str(file)) as stored:
            if stored.size == size:
                # The annotations ignore EXIF and refer to the stored pixels.
                return open_image(np.asarray(stored.convert("RGB")))
    raise InputError(
        f"{file}: expected the size in {annotations}, {size[0]}x{size[1]} (width x height), got "
        f"{image.width}x{image.height}: use the images of these annotations"
    )


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    """Opens a file with its pixels as stored, for masks, label maps and maps.

    Args:
        source: the file, or its bytes.
        name: its name in errors.

    Raises:
        InputError: more than `MAX_PIXELS` pixels, or what `open_image` raises; a single pixel is
            allowed.
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            image = _open(file, name, FORMATS, MAX_PIXELS)
            yield _decoded(image, name, MAX_PIXELS)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error}): check the path") from error


@contextmanager
def _reading(name: str, max_pixels: int) -> Iterator[None]:
    """Turns Pillow's errors for a damaged file into one line: its decoders raise TypeError,
    IndexError, AssertionError and struct.error in addition to the documented ones."""
    try:
        yield
    except (InputError, MemoryError, UnidentifiedImageError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name, max_pixels) from error
    except Exception as error:
        raise _damaged(name, error) from error


def _open(file: IO[bytes], name: str, formats: Sequence[str], max_pixels: int) -> Image.Image:
    try:
        with _reading(name, max_pixels):
            return Image.open(file, formats=tuple(formats))
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name}: expected an image ({', '.join(formats)}), got something else or a damaged "
            "file: open it in a viewer and save it in one of these formats, or fetch it again"
        ) from error


def _frames(image: Image.Image, name: str) -> int:
    """The number of frames or pages; 1 for a plain image."""
    # A camera's JPEG may hold a preview of itself (MPO), which is not a second page.
    if image.format not in ("GIF", "PNG", "TIFF", "WEBP"):
        return 1
    try:
        count = _pages(image) if image.format == "TIFF" else int(getattr(image, "n_frames", 1))
    except Exception:
        return 1
    if count > MOST_PAGES and image.format == "TIFF":
        raise InputError(
            f"{name}: expected at most {MOST_PAGES:,} pages, got more: save the one to look at"
        )
    return count


def _pages(image: Image.Image) -> int:
    """Counts the pages of a TIFF up to the limit, since the time grows with their square."""
    count = 1
    try:
        while count <= MOST_PAGES:
            image.seek(count)
            count += 1
    except EOFError:
        pass
    finally:
        image.seek(0)
    return count


def _loaded(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = image.size
    if width * height == 1:
        raise InputError(f"{name}: expected an image, got a single pixel")
    return _decoded(image, name, max_pixels)


def _decoded(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = image.size
    if width * height > max_pixels:
        raise _too_large(name, max_pixels, image.size)
    if width < 1 or height < 1:
        raise InputError(f"{name}: expected an image, got one without pixels ({width}x{height})")
    with _reading(name, max_pixels):
        frames = _frames(image, name)
        image.load()
    if frames > 1:
        image.info[FRAMES] = frames
    return image


def _upright_rgb(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    frames = image.info.get(FRAMES)
    with _reading(name, max_pixels):
        # Each step copies all pixels, so only necessary ones are taken.
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        if image.mode in _DEEP:
            image = _to_8_bit(image, name)
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, layer)
        # Always copies, so that nobody else holds the result.
        image = image.convert("RGB")
    if frames is not None:
        image.info[FRAMES] = frames
    return image


def _to_8_bit(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise InputError(f"{name}: expected pixels, got values that are not finite")
    top = float(values.max())
    low = float(values.min())
    if low < 0:
        raise InputError(f"{name}: expected pixels from 0 up, got {low:g}: scale it to 0 to 65535")
    # Modes I and F have no declared range: assume 16 bits above 255, and for floats 1 or 255.
    if image.mode.startswith("I;16") or top > 255:
        full = 65535.0
    else:
        full = 1.0 if image.mode == "F" and top <= 1 else 255.0
    if top > full:
        raise InputError(f"{name}: expected at most 16 bits a pixel, got values up to {top:g}")
    return Image.fromarray(np.round(values.astype(np.float64) * (255 / full)).astype(np.uint8))


def _from_array(array: np.ndarray) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise InputError(
            f"expected an array (height, width) or (height, width, 1, 3 or 4), got {array.shape}"
        )
    if array.size == 0:
        raise InputError(f"expected an image, got an array without pixels {array.shape}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = np.round(array / 257.0).astype(np.uint8)
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise InputError("expected float pixels from 0 to 1, got others: divide by their range")
        array = np.round(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise InputError(
            f"expected pixels as uint8, uint16, bool or float (0 to 1), got {array.dtype}"
        )
    if array.ndim == 3 and channels == 1:
        array = array[..., 0]
    return Image.fromarray(np.ascontiguousarray(array))


def _damaged(name: str, error: Exception) -> InputError:
    what = str(error) or type(error).__name__
    return InputError(f"{name}: expected an image, got a damaged one ({what}): fetch it again")


def _too_large(name: str, max_pixels: int, size: tuple[int, int] | None = None) -> InputError:
    got = "more" if size is None else f"{size[0]}x{size[1]}"
    return InputError(
        f"{name}: expected at most {max_pixels:,} pixels, got {got}: make the image smaller first"
    )
