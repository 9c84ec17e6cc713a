"""Images that are long and narrow: refused before a processor makes them huge, or bounded."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import pytest
from PIL import Image
from row import over
from table import ROWS

from retinoscope.errors import InputError
from retinoscope.models import ADAPTERS, Adapter, adapter_for, refuse_large
from retinoscope.models._generic import GenericAdapter
from retinoscope.models._lfm2_vl import Lfm2VLAdapter
from retinoscope.models._resized import MOST_RESIZED, resized

MOST = 400_000_000
"""Bytes that a tiny model's processor may take at once."""


def test_every_family_is_bounded():
    for kind in (*ADAPTERS, GenericAdapter):
        assert kind.preprocess is Adapter.preprocess


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)], ids=["tall", "wide"])
@over(ROWS)
def test_a_line_of_pixels_is_refused_or_bounded(row, size):
    adapter = adapter_for(row.model(), row.processor())
    image = Image.new("RGB", size)
    tracemalloc.start()
    try:
        adapter.preprocess(image)
        told = ""
    except InputError as error:
        told = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert not told or f"{size[0]}x{size[1]}" in told
    assert peak < MOST


def clip(shortest: int, **more: object) -> SimpleNamespace:
    return SimpleNamespace(do_resize=True, size={"shortest_edge": shortest}, **more)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (1, 16_000_000), (2, 90_000)])
def test_what_would_become_huge_is_refused_with_the_limit(size):
    with pytest.raises(InputError, match=f"{MOST_RESIZED:,}.*{size[0]}x{size[1]}"):
        refuse_large(size, clip(224))


@pytest.mark.parametrize("side", [224, 336, 448])
def test_strips_in_use_pass(side):
    for size in ((3_000, 40), (40, 3_000), (10_000, 10_000), (1, 1)):
        refuse_large(size, clip(side))


def test_sides_are_those_of_the_processor():
    assert resized((40, 3_000), clip(336)) == (336, 25_200)
    assert resized((3_000, 40), clip(336)) == (25_200, 336)
    # Bounded otherwise: by the longer side, by a fixed size, by a grid of tiles.
    for size in ({"shortest_edge": 336, "longest_edge": 900}, {"height": 9, "width": 9}):
        refuse_large((1, 10**7), SimpleNamespace(do_resize=True, size=size))
    refuse_large((1, 10**7), clip(336, image_grid_pinpoints=[[336, 672]]))


def test_padding_to_a_square_is_bounded():
    padding = clip(336, do_pad=True, pad_to_square=None)
    refuse_large((9_000, 40), padding)
    with pytest.raises(InputError, match="20000x20000"):
        refuse_large((20_000, 1), padding)


def test_a_side_that_cannot_become_shorter_than_a_token_is_bounded():
    """LFM2-VL's rule, from the library: 1 x 16,000,000 becomes 32 x 31,250 x 32."""
    kind = SimpleNamespace(
        downsample_factor=2,
        min_image_tokens=64,
        max_image_tokens=256,
        encoder_patch_size=16,
        smart_resize=lambda **_: (32, 1_000_000),
    )
    adapter = object.__new__(Lfm2VLAdapter)
    adapter.processor = SimpleNamespace(image_processor=kind)
    with pytest.raises(InputError, match="32x1000000"):
        adapter.refuse_large((1, 16_000_000))
