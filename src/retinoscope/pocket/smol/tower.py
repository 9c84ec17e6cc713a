"""EfficientNet-Lite0 as a vision tower: one vector for each place of the image.

A convolutional network yields maps (channel, row, column), but LLaVA expects hidden states (batch,
location, channel). This tower therefore puts the maps of a few stages on one grid, concatenated,
each channel standardised by constants, and adds the location. Nothing here is trained.

Source: Tan & Le 2019 (EfficientNet); its Lite variant drops squeeze-and-excitation and bounds the
activations (ReLU6). Convolutions pad like TensorFlow's "SAME", where the weights come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

MODEL_TYPE = "efficientnet_lite0_locations"

_STAGES = (
    # expansion, kernel, stride, channels out, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM, _HEAD = 32, 1280
_EPS = 1e-3

CHANNELS = {f"stage{n}": out for n, (_, _, _, out, _) in enumerate(_STAGES, start=1)} | {
    "head": _HEAD
}
"""Channels of each stage's map; "head" is the last convolution, before pooling."""
STRIDES = {"stage1": 2, "stage2": 4, "stage3": 8, "stage4": 16, "stage5": 16} | dict.fromkeys(
    ("stage6", "stage7", "head"), 32
)
"""Pixels of the image along each side of one cell of a stage's map."""
PLACE_CHANNELS = 10
"""Channels for a location: x, y, and sine and cosine of one and two half turns of each."""


class LiteConfig(PreTrainedConfig):
    """The features that `LiteTower` gives.

    Args:
        image_size: side of the square image in pixels; a multiple of `patch_size`.
        patch_size: side of a location in pixels.
        stages: maps to concatenate, by names from `CHANNELS`. A map finer than the grid is folded
            (2 x 2 cells become four times the channels); a coarser one is refused.
        place: whether `PLACE_CHANNELS` are added.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        image_size: int = 384,
        patch_size: int = 32,
        stages: Iterable[str] = ("stage7",),
        place: bool = True,
        **more: Any,
    ) -> None:
        self.image_size = image_size
        self.patch_size = patch_size
        self.stages = list(stages)
        self.place = place
        folded = (CHANNELS[s] * (patch_size // STRIDES[s]) ** 2 for s in self.stages)
        self.hidden_size = sum(folded) + (PLACE_CHANNELS if place else 0)
        self.num_hidden_layers = 1
        more.pop("hidden_size", None)
        more.pop("num_hidden_layers", None)
        super().__init__(**more)


class _Conv(nn.Module):
    """Convolution with TensorFlow's padding, batch norm with its constants, optional ReLU6."""

    def __init__(
        self, inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inp, out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=_EPS)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        height, width = x.shape[-2:]
        rows = max((math.ceil(height / stride) - 1) * stride + kernel - height, 0)
        columns = max((math.ceil(width / stride) - 1) * stride + kernel - width, 0)
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        x = self.norm(self.conv(x))
        return F.relu6(x) if self.act else x


class _Block(nn.Module):
    """Inverted bottleneck without squeeze-and-excitation."""

    def __init__(self, inp: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inp * expansion
        self.expand = _Conv(inp, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _Conv(wide, wide, kernel, stride, groups=wide)
        self.project = _Conv(wide, out, 1, act=False)
        self.residual = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class Backbone(nn.Module):
    """EfficientNet-Lite0 up to its last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, _STEM, 3, 2)
        stages, width = [], _STEM
        for expansion, kernel, stride, out, blocks in _STAGES:
            stages.append(
                nn.Sequential(
                    *(
                        _Block(out if n else width, out, expansion, kernel, 1 if n else stride)
                        for n in range(blocks)
                    )
                )
            )
            width = out
        self.stages = nn.ModuleList(stages)
        self.head = _Conv(width, _HEAD, 1)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """Each stage's map (batch, channel, row, column), by name."""
        maps: dict[str, Tensor] = {}
        # Depthwise convolutions on a CPU are faster in this memory order.
        x = self.stem(pixels.contiguous(memory_format=torch.channels_last))
        for number, stage in enumerate(self.stages, start=1):
            x = maps[f"stage{number}"] = stage(x)
        maps["head"] = self.head(x)
        return maps


class LiteTower(PreTrainedModel):
    """`Backbone` maps as standardised locations (batch, row * column, channel).

    `mean` and `std` hold one constant per channel; they belong to the adapter that was trained on
    the features, and are saved with the model.
    """

    config_class = LiteConfig
    base_model_prefix = "tower"
    main_input_name = "pixel_values"
    input_modalities = "image"
    mean: Tensor
    std: Tensor

    def __init__(self, config: LiteConfig) -> None:
        super().__init__(config)
        self.backbone = Backbone()
        self.register_buffer("mean", torch.zeros(config.hidden_size))
        self.register_buffer("std", torch.ones(config.hidden_size))
        self.post_init()

    def raw(
        self, pixel_values: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch location channel"]:
        """The features before standardisation."""
        config: Any = self.config
        maps = self.backbone(pixel_values)
        parts = [
            F.pixel_unshuffle(maps[name], config.patch_size // STRIDES[name])
            for name in config.stages
        ]
        if config.place:
            parts.append(_place(parts[0]))
        return torch.cat(parts, dim=1).flatten(2).transpose(1, 2)

    def forward(
        self,
        pixel_values: Float[Tensor, "batch 3 height width"],
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> BaseModelOutput:
        """The features, also as `hidden_states[-1]`, where LLaVA reads them."""
        features = (self.raw(pixel_values) - self.mean) / self.std
        return BaseModelOutput(last_hidden_state=features, hidden_states=(features,))

    def _init_weights(self, module: nn.Module) -> None:
        """Does nothing: weights are loaded, or the modules' defaults."""


def _place(like: Tensor) -> Tensor:
    batch, _, rows, columns = like.shape
    y = torch.linspace(-1, 1, rows, device=like.device, dtype=like.dtype)
    x = torch.linspace(-1, 1, columns, device=like.device, dtype=like.dtype)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    waves = [grid, *(f(math.pi * k / 2 * grid) for k in (1, 2) for f in (torch.sin, torch.cos))]
    return torch.cat(waves).expand(batch, -1, -1, -1)


def converted(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published file's tensors under the names of `Backbone`, without its classifier."""
    depths = [blocks for *_, blocks in _STAGES]
    places = [(stage, block) for stage, n in enumerate(depths) for block in range(n)]
    renamed = {
        "_conv_stem.": "stem.conv.", "_bn0.": "stem.norm.",
        "_conv_head.": "head.conv.", "_bn1.": "head.norm.",
    }  # fmt: skip
    within = {
        "_expand_conv.": "expand.conv.", "_bn0.": "expand.norm.",
        "_depthwise_conv.": "depthwise.conv.", "_bn1.": "depthwise.norm.",
        "_project_conv.": "project.conv.", "_bn2.": "project.norm.",
    }  # fmt: skip
    out: dict[str, Tensor] = {}
    for key, value in published.items():
        if key.startswith("_fc."):
            continue
        if key.startswith("_blocks."):
            _, number, rest = key.split(".", 2)
            stage, block = places[int(number)]
            start = next(old for old in within if rest.startswith(old))
            out[f"stages.{stage}.{block}.{within[start]}{rest[len(start) :]}"] = value
        else:
            start = next(old for old in renamed if key.startswith(old))
            out[f"{renamed[start]}{key[len(start) :]}"] = value
    return out


def register() -> None:
    """Registers the tower with `transformers`, which can then open folders that contain one."""
    AutoConfig.register(MODEL_TYPE, LiteConfig, exist_ok=True)
    AutoModel.register(LiteConfig, LiteTower, exist_ok=True)
