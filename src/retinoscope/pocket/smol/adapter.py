"""The trained adapter: a few megabytes, with the hashes of the parts that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...errors import InputError
from .low_rank import merge
from .tower import LiteConfig

FILE = "adapter.safetensors"


@dataclass(frozen=True)
class AdapterWeights:
    """The projector, the constants of the features, and low-rank updates, if any.

    `vision` is the tower's configuration, `parts` the SHA-256 of each frozen part's file, `scale`
    the factor of the updates.
    """

    projector: Mapping[str, Tensor]
    mean: Tensor
    std: Tensor
    vision: Mapping[str, Any]
    parts: Mapping[str, str]
    low_rank: Mapping[str, Tensor]
    scale: float = 0.0

    def config(self) -> LiteConfig:
        """The tower's configuration."""
        return LiteConfig(**self.vision)

    @torch.no_grad()
    def put_into(self, model: Any) -> None:
        """Writes the adapter into an assembled model, with updates merged.

        Raises:
            InputError: it was trained for other sizes.
        """
        core = model.model
        try:
            core.multi_modal_projector.load_state_dict(
                {key: value.float() for key, value in self.projector.items()}
            )
            core.vision_tower.mean.copy_(self.mean)
            core.vision_tower.std.copy_(self.std)
        except RuntimeError as error:
            raise InputError(
                "expected an adapter for these parts, got one of other sizes: train it again"
            ) from error
        merge(core.language_model, self.low_rank, self.scale)

    def save(self, folder: Path) -> Path:
        """Writes `FILE` in float16 (the constants in float32) and returns it."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"projector.{key}": _half(value) for key, value in self.projector.items()}
        tensors |= {f"low_rank.{key}": _half(value) for key, value in self.low_rank.items()}
        tensors["mean"], tensors["std"] = (
            value.detach().float().cpu().contiguous() for value in (self.mean, self.std)
        )
        facts = {
            "vision": json.dumps(dict(self.vision)),
            "parts": json.dumps(dict(self.parts)),
            "scale": str(self.scale),
        }
        file = folder / FILE
        unfinished = file.with_suffix(".tmp")
        save_file(tensors, unfinished, metadata=facts)
        unfinished.replace(file)
        file.chmod(0o644)
        return file


def _half(value: Tensor) -> Tensor:
    return value.detach().to("cpu", torch.float16).contiguous()


def read_adapter(folder: Path) -> AdapterWeights:
    """Reads the adapter in `folder`.

    Raises:
        InputError: there is none, or it is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        raise InputError(
            f"expected {FILE} in {folder}, got none: train it with `retinoscope train smol`"
        )
    try:
        with safe_open(file, "pt") as opened:
            facts = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        return AdapterWeights(
            projector=_under(tensors, "projector."),
            mean=tensors["mean"],
            std=tensors["std"],
            vision=json.loads(facts["vision"]),
            parts=json.loads(facts["parts"]),
            low_rank=_under(tensors, "low_rank."),
            scale=float(facts["scale"]),
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"expected a smol adapter in {file}, got a file that cannot be read: copy it again"
        ) from error


def _under(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}
