"""The trained towers on disk: half-precision weights and a JSON file that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from transformers import Blip2VisionModel

from ..errors import InputError
from ..pocket.vocabulary import build_tokenizer
from ..store import write_bytes
from ._mae_decoder import MaeDecoder
from ._text_tower import TextTower
from ._tower import TowerShape, build_tower

_WEIGHTS, _INDEX = "towers.safetensors", "towers.json"
_AGAIN = "train them again, or give another folder"


@dataclass(frozen=True)
class TowersShape(TowerShape):
    """Architecture of both vision towers, and of the text tower and the MAE decoder beside them.

    Attributes:
        text_layers, text_ff: of the text tower and of the MAE decoder.
        text_tokens: the longest text, with start and end tokens.
    """

    text_layers: int = 2
    text_ff: int = 256
    text_tokens: int = 40


@dataclass(frozen=True)
class Towers:
    """Two vision towers of one architecture, and what was trained beside them.

    `open_towers` freezes them: eval mode, no gradients.

    Attributes:
        shape: the architecture.
        contrastive: vision tower trained on captions.
        text: the text tower trained beside it, over the words of the pocket vocabulary.
        mae: vision tower trained to paint hidden patches.
        mae_decoder: the decoder trained beside it.
        facts: recipe and gate figures.
    """

    shape: TowersShape
    contrastive: Blip2VisionModel
    text: TextTower
    mae: Blip2VisionModel
    mae_decoder: MaeDecoder
    facts: Mapping[str, Any]

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The modules by the names under which their weights are stored."""
        return {
            "contrastive": self.contrastive,
            "text": self.text,
            "mae": self.mae,
            "mae_decoder": self.mae_decoder,
        }


def untrained_towers(shape: TowersShape, seed: int = 0) -> Towers:
    """Builds towers with random weights; both vision towers start from the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text, decoder = TextTower(shape, len(build_tokenizer())), MaeDecoder(shape)
    vision = [build_tower(shape, seed) for _ in range(2)]
    return Towers(shape, vision[0], text, vision[1], decoder, {})


def write_towers(folder: Path, towers: Towers) -> None:
    """Writes the towers' weights in float16, and the index last."""
    weights = {
        f"{part}/{name}": tensor.detach().cpu().half().contiguous()
        for part, module in towers.modules.items()
        for name, tensor in module.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / _WEIGHTS, save(dict(sorted(weights.items()))))
    index = {"shape": asdict(towers.shape), **towers.facts}
    write_bytes(folder / _INDEX, (json.dumps(index, indent=2, sort_keys=True) + "\n").encode())


def open_towers(folder: Path) -> Towers:
    """Opens a folder that `write_towers` has written; weights are converted to float32.

    Raises:
        InputError: a file is missing or damaged, or the weights are of another architecture.
    """
    shape, facts = _read_index(folder / _INDEX)
    path = folder / _WEIGHTS
    try:
        weights = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: expected weights of towers, got {reason}: {_AGAIN}") from error
    towers = untrained_towers(shape)
    for part, module in towers.modules.items():
        start = f"{part}/"
        own = {k.removeprefix(start): v.float() for k, v in weights.items() if k.startswith(start)}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise InputError(
                f"{path}: expected {part} weights of {shape}, got another architecture's: {_AGAIN}"
            ) from error
        module.eval().requires_grad_(False)
    return Towers(shape, towers.contrastive, towers.text, towers.mae, towers.mae_decoder, facts)


def _read_index(path: Path) -> tuple[TowersShape, dict[str, Any]]:
    try:
        facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return TowersShape(**facts.pop("shape")), facts
    except OSError as error:
        raise InputError(
            f"{path.parent}: expected a folder of trained towers, got one without a readable "
            f"{path.name} ({error.strerror}): {_AGAIN}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected the index of towers, got {error}: {_AGAIN}") from error
