"""What each visual token is made of: the output of a tower's patch embedding -> (n, numbers).

Each function gets the loaded model, the image and that output. What is no patch, such as the end of
a row, is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

import torch
from PIL import Image
from torch import Tensor

import retinoscope as rs


def squares(side: int) -> Callable[[rs.VLM, Image.Image, Tensor], Tensor]:
    """Squares of `side` x `side` patches, tile by tile, row by row."""

    def folded(_: rs.VLM, __: Image.Image, output: Tensor) -> Tensor:
        found = output.unfold(2, side, side).unfold(3, side, side)
        return found.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)

    return folded


alone = squares(1)


def of_the_first(vlm: rs.VLM, image: Image.Image, output: Tensor) -> Tensor:
    """Mistral 3's: a single visual token is encoded beside another image."""
    return squares(2)(vlm, image, output[:1])


def unfolded(vlm: rs.VLM, image: Image.Image, output: Tensor) -> Tensor:
    """Llama 4's: the patches of a square image, one behind the other."""
    side = isqrt(output.shape[1])
    return squares(2)(vlm, image, output.transpose(1, 2).unflatten(2, (side, side)))


def in_fours(_: rs.VLM, __: Image.Image, output: Tensor) -> Tensor:
    """Qwen's: the four patches of a token stand one behind the other."""
    return output.view(-1, 4 * output.shape[-1])


def packed(vlm: rs.VLM, image: Image.Image, output: Tensor) -> Tensor:
    """The model's own way from the features of tiles to visual tokens."""
    ratio = getattr(vlm.model.config, "vision_aspect_ratio", None)
    how = {"vision_aspect_ratio": ratio} if ratio else {"vision_feature_select_strategy": "default"}
    (done,), _ = vlm.model.model.pack_image_features(
        [output.flatten(2).transpose(1, 2)],
        torch.tensor([image.size[::-1]]),
        image_newline=torch.zeros(output.shape[1]),
        **how,
    )
    return done


def with_indicators(vlm: rs.VLM, image: Image.Image, output: Tensor) -> Tensor:
    """Ovis2's tiles with indicators between them."""
    (layout,) = vlm.prompt([image], "a").inputs.layouts
    found = squares(2)(vlm, image, output)
    whole = found.new_zeros(len(layout), found.shape[1])
    whole[torch.from_numpy(layout.tiles >= 0)] = found
    return whole


def by_spatial_shapes(vlm: rs.VLM, image: Image.Image, output: Tensor) -> Tensor:
    """LFM2-VL's tiles, each with its padding behind it."""
    shapes = vlm.adapter.preprocess(image)["spatial_shapes"].tolist()
    found = []
    for tile, (rows, columns) in zip(output, shapes, strict=True):
        grid = tile[: rows * columns].view(rows // 2, 2, columns // 2, 2, -1)
        found.append(grid.permute(0, 2, 1, 3, 4).flatten(2).flatten(0, 1))
    return torch.cat(found)


def behind_class_tokens(_: rs.VLM, __: Image.Image, output: Tensor) -> Tensor:
    """Llama 3.2's tiles, each behind a class token."""
    patches = output.flatten(2).transpose(1, 2)
    return torch.nn.functional.pad(patches, (0, 0, 1, 0)).flatten(0, 1)
