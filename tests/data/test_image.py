"""Every kind of image file, good and bad."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.data import images as _image
from retinoscope.data import open_image
from retinoscope.data.images import FORMATS

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def _saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_the_same_image_from_everywhere(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / "a.png")
    for source in (image, PIXELS, tmp_path / "a.png", str(tmp_path / "a.png"), _saved(image)):
        found = open_image(source)
        assert found.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(found), PIXELS)


def test_arrays() -> None:
    grey = PIXELS[..., 0]
    for array in (grey, grey[..., None], grey / 255.0, grey.astype(np.uint16) * 257):
        np.testing.assert_array_equal(np.asarray(open_image(array))[..., 1], grey)
    mask = grey > 127
    np.testing.assert_array_equal(np.asarray(open_image(mask))[..., 2], mask * 255)
    for wrong in (np.zeros((3, 4, 5)), np.zeros((0, 4, 3), np.uint8), np.full((2, 2), 7.0)):
        with pytest.raises(rs.InputError, match="expected"):
            open_image(wrong)
    with pytest.raises(rs.InputError, match="int64"):
        open_image(np.zeros((2, 2), np.int64))


def test_palette_and_cmyk() -> None:
    palette = Image.fromarray(PIXELS).quantize(16)
    np.testing.assert_array_equal(
        np.asarray(open_image(_saved(palette))), np.asarray(palette.convert("RGB"))
    )
    red = Image.new("RGB", (4, 4), (255, 0, 0)).convert("CMYK")
    assert open_image(_saved(red, "TIFF")).getpixel((1, 1)) == (255, 0, 0)


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    found = open_image(_saved(image))
    assert found.getpixel((1, 1)) == (255, 255, 255)
    assert found.getpixel((0, 0)) == (255, 0, 0)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([9, 9, 9, 0, 0, 255])
    assert open_image(_saved(palette, transparency=0)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled(kind: str) -> None:
    values = np.linspace(0, 65535, 24).round().astype(np.uint16).reshape(4, 6)
    found = np.asarray(open_image(_saved(Image.fromarray(values), kind)))
    np.testing.assert_array_equal(found[..., 0], np.round(values / 257.0))
    assert len(np.unique(found)) == 24
    dark = open_image(_saved(Image.fromarray(values // 300), kind))
    assert np.asarray(dark).max() == 1


def test_exif_rotation_is_applied() -> None:
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = 6
    found = open_image(_saved(image, "TIFF", exif=exif))
    assert found.size == (6, 9)
    np.testing.assert_array_equal(np.asarray(found), np.rot90(PIXELS, -1))


def test_bad_files(tmp_path: Path) -> None:
    whole = _saved(Image.fromarray(np.kron(PIXELS, np.ones((20, 20, 1), np.uint8))))
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.jpg").write_bytes(_saved(Image.fromarray(PIXELS), "JPEG")[:200])
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    cases = {
        "empty.png": "empty file",
        "text.png": "got something else",
        "cut.png": "damaged",
        "cut.jpg": "damaged",
        "one.png": "single pixel",
        "missing.png": "no such file",
        ".": "a folder",
    }
    for name, match in cases.items():
        with pytest.raises(rs.InputError, match=match) as error:
            open_image(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(rs.InputError, match="got a int"):
        open_image(3)  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="without pixels"):
        open_image(Image.new("RGB", (0, 5)))


def test_bombs_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_image, "MAX_PIXELS", 50)
    with pytest.raises(rs.InputError, match="at most 50 pixels"):
        open_image(_saved(Image.fromarray(PIXELS)))


def test_limits_of_a_source_that_is_not_trusted() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "PNG")
    assert open_image(buffer.getvalue(), max_pixels=200, formats=["PNG"]).size == (20, 10)
    with pytest.raises(rs.InputError, match="at most 199 pixels"):
        open_image(buffer.getvalue(), max_pixels=199)
    with pytest.raises(rs.InputError, match="or a damaged"):
        open_image(buffer.getvalue(), formats=["JPEG"])


def test_files_reach_no_other_decoders(tmp_path: Path) -> None:
    """An EPS starts Ghostscript; whatever a file is called, it is not handed to such a decoder."""
    for kind in ("EPS", "PPM", "TGA", "ICO", "PDF"):
        image = Image.new("RGB", (16, 16), "red")
        image.save(tmp_path / f"{kind}.png", kind)
        with pytest.raises(rs.InputError, match=r"expected an image .*PNG"):
            open_image(tmp_path / f"{kind}.png")


def test_masks_and_label_maps_have_the_same_decoders_and_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retinoscope.data._mask import mask_object, read_labels
    from retinoscope.gaze._pictures import read_map

    def readers(file: Path) -> list:
        return [
            lambda: mask_object("cup", file, str(file), (16, 16)),
            lambda: read_labels(file, (16, 16)),
            lambda: read_map(file, (16, 16), None),
        ]

    Image.new("L", (16, 16), 1).save(tmp_path / "a.png", "PPM")
    for read in readers(tmp_path / "a.png"):
        with pytest.raises(rs.InputError, match=r"expected an image .*PNG"):
            read()
    Image.new("L", (16, 16), 1).save(tmp_path / "a.png")
    monkeypatch.setattr(_image, "MAX_PIXELS", 255)
    for read in readers(tmp_path / "a.png"):
        with pytest.raises(rs.InputError, match=r"a\.png: expected at most 255 pixels, got 16x16"):
            read()


def test_the_limit_that_is_told_is_the_one_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(rs.InputError, match="at most 10 pixels"):
        open_image(_saved(Image.fromarray(PIXELS)), max_pixels=10)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_an_animation_the_first_frame_is_taken_and_the_number_told(kind: str) -> None:
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    stored = _saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    found = open_image(stored)
    assert found.getpixel((2, 2)) == (255, 0, 0)
    assert found.info["frames"] == 3
    assert "frames" not in open_image(_saved(frames[0], kind)).info


def test_an_opened_image_shares_no_pixels_with_what_was_given() -> None:
    given = Image.new("RGB", (4, 4), "red")
    open_image(given).putpixel((0, 0), (0, 0, 255))
    assert given.getpixel((0, 0)) == (255, 0, 0)


def _png_claiming(mode: int) -> bytes:
    """A PNG of 9 x 9 pixels of a bit each, without a palette."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 1, mode, 0, 0, 0))
    pixels = chunk(b"IDAT", compress(b"\x00" * 27))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


def _pages(n: int) -> bytes:
    pages = [Image.new("L", (4, 4), number) for number in range(n)]
    return _saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def test_a_palette_image_without_a_palette_is_one_line() -> None:
    with pytest.raises(rs.InputError, match="damaged"):
        open_image(_png_claiming(3))


def test_a_damaged_second_page_leaves_the_first() -> None:
    head, width, tail = _pages(2).rpartition(b"\x00\x01\x04\x00")
    assert open_image(head + b"\x7f" + width[1:] + tail).size == (4, 4)


@pytest.mark.filterwarnings("ignore")
def test_no_damage_is_an_error_of_python() -> None:
    """Of 178,000 damaged files 592 raised TypeError, IndexError or struct.error."""
    rng = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 30, 3), np.uint8))
    wholes = [_saved(noise.convert(mode), kind) for kind in FORMATS for mode in ("RGB", "L")]
    wholes += [_saved(noise.convert(mode), "TIFF") for mode in ("F", "I", "1", "LAB")]
    refused = 0
    for _ in range(4_000):
        content = bytearray(rng.choice(wholes))
        for _ in range(rng.choice((1, 2, 4))):
            place = rng.randrange(min(len(content), rng.choice((40, 200, len(content)))))
            content[place] ^= 1 << rng.randrange(8)
        try:
            open_image(bytes(content), max_pixels=1_000_000)
        except rs.InputError:
            refused += 1
    assert refused > 400


def test_pages_are_counted_within_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_image, "MOST_PAGES", 3)
    assert open_image(_pages(3)).info["frames"] == 3
    with pytest.raises(rs.InputError, match="at most 3 pages"):
        open_image(_pages(4))
