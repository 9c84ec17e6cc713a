"""Tiles: where they lie beside the whole image, and what stands between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checks import QUESTION, close, picture, pictures, run_of
from row import SIZES, loaded, over
from table import FAMILY

LARGE, LONG, SQUARE = picture((60, 40)), picture((20, 70), seed=1), picture((10, 10), seed=2)
NEXT, ONEVISION, OVIS = FAMILY["LLaVA-NeXT"], FAMILY["LLaVA-OneVision"], FAMILY["Ovis2"]


def layout_of(row, image):
    (layout,) = loaded(row).prompt([image], QUESTION).inputs.layouts
    return layout


def area(layout, chosen):
    boxes = layout.boxes[chosen & ~layout.unplaced]
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum()


# Where the whole image stands: before its tiles, or behind them as a thumbnail.
FIRST, LAST = ("Ovis2",), ("Idefics3", "SmolVLM", "InternVL", "LFM2-VL")


@over(
    [FAMILY[name] for name in (*FIRST, *LAST)],
    size=lambda row: {f"{width}x{height}": (width, height) for width, height in row.sizes},
)
def test_the_tiles_cover_the_image_and_so_does_the_whole(row, size):
    layout = layout_of(row, picture(size))
    whole = 0 if row.family in FIRST else layout.tiles.max()
    assert np.isclose(area(layout, layout.tiles == whole), size[0] * size[1])
    tiles = (layout.tiles != whole) & (layout.tiles >= 0)
    assert (layout.grid is None) == tiles.any()
    if tiles.any():
        assert np.isclose(area(layout, tiles), size[0] * size[1])


@over(
    [FAMILY[name] for name in ("Idefics3", "InternVL")],
    case=lambda row: {
        "Idefics3": {"large": (LARGE, 2, 3)},
        "InternVL": {"large": (LARGE, 2, 3), "long": (LONG, 4, 1), "square": (SQUARE, 1, 1)},
    }[row.family],
)
def test_tiles_lie_row_by_row(row, case):
    image, rows, columns = case
    layout = layout_of(row, image)
    n_tiles = rows * columns
    assert layout.tiles.max() == (n_tiles if n_tiles > 1 else 0)
    width, height = image.size
    for number in range(n_tiles):
        tile_row, tile_column = divmod(number, columns)
        boxes = layout.boxes[layout.tiles == number]
        corner = [tile_column * width / columns, tile_row * height / rows]
        assert np.allclose(boxes.min(0)[:2], corner)
        assert np.allclose(boxes.max(0)[2:], np.add(corner, [width / columns, height / rows]))


@over([FAMILY["LFM2-VL"]], size=lambda _: {"large": ((60, 40), True), "small": ((5, 4), False)})
def test_a_small_image_stays_whole(row, size):
    assert (layout_of(row, picture(size[0])).tiles.max() > 0) == size[1]


def test_encoding_together_is_encoding_alone():
    vlm = loaded(FAMILY["InternVL"])
    for image, found in zip([LARGE, SQUARE], vlm.encode([LARGE, SQUARE]), strict=True):
        (alone,) = vlm.encode([image])
        assert found.shape == alone.shape
        assert close(found, alone, 1e-4)


# LLaVA-NeXT cuts off what fills no whole column or row of features: 2 of 18 columns of pixels, and
# all 3 rows of the very long image.
SHARES = dict(zip(SIZES, (1, 1, 16 / 18, 1, 0), strict=True))


@pytest.mark.parametrize("size", SIZES)
def test_what_llava_next_cuts_off(size):
    layout = layout_of(NEXT, picture(size))
    assert layout.grid is None
    for tile, share in ((0, 1), (1, SHARES[size])):
        assert np.isclose(area(layout, layout.tiles == tile), share * size[0] * size[1])
    assert (layout.unplaced.any()) == (SHARES[size] > 0)
    np.testing.assert_array_equal(layout.unplaced, layout.rows < 0)


@over([NEXT, ONEVISION], size=lambda row: {str(size): size for size in (*SIZES, (80, 60))})
def test_ends_of_rows_are_the_model_s(row, size):
    """The vectors that the model adds are where the layout says, and nowhere else."""
    vlm = loaded(row)
    inputs = vlm.prompt([picture(size)], QUESTION).inputs
    (features,) = vlm.adapter.encode_images(inputs.pixels)
    newline = (features == vlm.model.model.image_newline).all(-1).numpy()
    np.testing.assert_array_equal(newline, inputs.layouts[0].unplaced)


def test_a_set_grows_across_tiles_but_not_into_the_whole_image():
    run = run_of(loaded(NEXT), [picture((32, 32))])
    layout = run.image.layout
    middle = np.flatnonzero((layout.tiles == 1) & (layout.rows == 3) & (layout.columns == 3))
    grown = run.image.at(middle).grow(1)
    chosen = [run.image.positions.index(position) for position in grown]
    assert len(chosen) == 9
    assert set(layout.tiles[chosen]) == {1}
    boxes = layout.boxes[chosen]
    assert [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)] == [8, 8, 20, 20]


def test_features_are_resized_where_there_are_too_many():
    """48 x 48 pixels are 3 x 3 tiles, 12 x 12 features, made 8 x 8."""
    layout = layout_of(ONEVISION, picture((48, 48)))
    assert layout.rows[layout.tiles == 1].max() == layout.columns[layout.tiles == 1].max() == 7
    boxes = layout.boxes[(layout.tiles == 1) & ~layout.unplaced].reshape(8, 8, 4)
    # A cell is one and a half patches of 4 pixels; tiles begin every 18 pixels of 54.
    edges = [(0, 6), (6, 12), (12, 20), (20, 26), (26, 32)]
    found = [(float(x0), float(x1)) for x0, x1 in boxes[0, :5, [0, 2]].T]
    assert np.allclose(np.array(found) * 54 / 48, edges), found


def test_features_that_fit_are_left_as_they_are():
    layout = layout_of(ONEVISION, picture((36, 36)))
    placed = (layout.tiles == 1) & ~layout.unplaced
    assert placed.sum() == 64
    # The last 2 pixels of each tile are in no patch.
    first = layout.boxes[placed][:8]
    assert first[:, 0].tolist() == [0, 4, 8, 12, 18, 22, 26, 30]
    assert first[:, 2].tolist() == [4, 8, 12, 16, 22, 26, 30, 34]


def test_markers_between_tiles_are_text():
    run = run_of(loaded(FAMILY["Idefics3"]), [LARGE])
    tokens = [run.tokens[place] for place in run.positions["text"].positions]
    assert "<row_2_col_3>" in tokens
    assert "<global-img>" in tokens
    assert "<image>" not in tokens
    assert len(run.positions["image"]) == 7 * 4


def test_indicators_are_visual_tokens_without_a_place():
    vlm = loaded(OVIS)
    run = run_of(vlm, pictures([(70, 40)]))
    layout = run.image.layout
    marks = [
        place for place, tile in zip(run.image.positions, layout.tiles, strict=True) if tile < 0
    ]
    words = [run.tokens[place] for place in marks]
    assert words[:2] == ["<IMG_START>", "<IMG_GRID>"]
    assert words[-1] == "<IMG_END>"
    assert set(words[2:-1]) <= {"<IMG_COL>", "<IMG_ROW>"}
    assert len(words) == 3 + layout.tiles.max() - 1
    assert layout.unplaced.sum() == len(marks)
    # They are vectors of the visual vocabulary, not of the decoder's.
    table = vlm.model.model.visual_embeddings_table.weight
    assert torch.equal(run.hidden(0)[marks[0]], table[-5])
    assert torch.equal(run.hidden(0)[marks[-1]], table[-1])


def test_row_ends_are_text():
    run = run_of(loaded(FAMILY["Pixtral"]), pictures([(40, 24)]))
    (layout,) = run.inputs.layouts
    assert layout.grid == (6, 10)
    assert not layout.unplaced.any()
    places = run.inputs.image_positions[0]
    ends = [place for place in range(places[0], places[-1] + 2) if place not in places]
    assert [run.tokens[place] for place in ends] == ["[IMG_BREAK]"] * 5 + ["[IMG_END]"]
    assert all(place in run.positions["text"].positions for place in ends)
    # Each row's end stands directly behind its last visual token.
    assert [places.index(place - 1) for place in ends] == [9, 19, 29, 39, 49, 59]
