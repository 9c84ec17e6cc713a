"""The encoder in a vision-language model: its vision tower, its projector, its decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from ..data import ImageSource, open_image
from ..engine import VLM
from ..errors import CapabilityError
from ..models import Layout, in_turn
from ._blocks import find_blocks, watching
from ._encoder import Encoder, numbered
from ._features import Features
from ._places import confirm_places, patch_tokens, picture

PROMPT = "Describe this image."
"""The neutral prompt with which the decoder reads the image."""
_TRIED = (160, 128)


class VlmEncoder(Encoder):
    """A VLM's layers at the places of its visual tokens.

    Layers "vision.k" exist if the vision tower's tokens correspond to the visual tokens one to one;
    the others always exist. In the decoder a visual token may attend to earlier ones, and in
    families with a prefix also to the prompt, which `settings` records.
    """

    def __init__(self, vlm: VLM, prompt: str = PROMPT) -> None:
        """Raises `CapabilityError` for visual tokens without places."""
        self.vlm, self.name = vlm, vlm.name
        self.settings = {"prompt": prompt, "dtype": str(vlm.dtype).removeprefix("torch.")}
        self._no_vision = ""
        self._blocks: list[nn.Module] = []
        self._check_places()
        try:
            self._blocks = find_blocks(vlm.model, vlm.adapter.language_model)
            self._confirm_vision()
        except CapabilityError as error:
            self._no_vision, self._blocks = str(error), []
        vision = {"vision": numbered("vision", len(self._blocks) + 1)} if self._blocks else {}
        self.parts = vision | {
            "projector": ("projector",),
            "decoder": numbered("decoder", vlm.n_layers + 1),
        }

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.vlm.model,)

    def _facts(self) -> Any:
        return ["vlm", self.vlm.fingerprint, dict(self.settings)]

    @in_turn(lambda self: self.vlm.model)
    @torch.no_grad()
    def features(self, image: ImageSource, layers: Sequence[str] | None = None) -> Features:
        names = self.chosen(layers)
        opened = open_image(image)
        adapter = self.vlm.adapter
        pixels = adapter.preprocess(opened)
        layout = adapter.layout(opened.size, pixels)
        places = _places(layout)
        outputs: dict[str, Tensor] = {}
        if any(name.startswith(("vision.", "projector")) for name in names):
            with watching(self._blocks) as seen:
                (received,) = adapter.encode_images([pixels])
            outputs["projector"] = received[places]
            # A tower runs once per tile.
            for name, hidden in zip(self.parts.get("vision", ()), seen, strict=False):
                if name in names:
                    outputs[name] = self._patches(hidden, layout, name)
        decoder = {name: layer for layer, name in enumerate(self.parts["decoder"]) if name in names}
        if decoder:
            run = self.vlm.run(self.vlm.prompt(opened, self.settings["prompt"]))
            visual = np.array(run.inputs.image_positions[0])[places]
            for name, layer in decoder.items():
                outputs[name] = run.hidden(layer, visual.tolist())
        return Features(
            layers={name: outputs[name].float().cpu().numpy() for name in names},
            boxes=layout.boxes[places],
            grid=layout.grid,
            size=layout.size,
        )

    def _patches(self, hidden: Tensor, layout: Layout, name: str) -> Float[Tensor, "patch d"]:
        if layout.grid is None:
            raise CapabilityError(
                f"{self.name}: {name} sees this image as several tiles, and only the visual tokens "
                "have places: use 'projector' or 'decoder.k'"
            )
        try:
            return patch_tokens(hidden, layout.grid, name)
        except CapabilityError as error:
            raise CapabilityError(f"{self.name}: {error}: use 'projector' or 'decoder.k'") from None

    def _check_places(self) -> None:
        prompt = self.vlm.prompt(picture(_TRIED), self.settings["prompt"])
        if not prompt.inputs.image_positions:
            raise self.vlm.adapter.no_visual(prompt.inputs)
        layout = prompt.inputs.layouts[0]
        if layout.unplaced.all():
            why = layout.why or "they are learned queries"
            raise CapabilityError(
                f"{self.name}: its visual tokens have no places in the image ({why}), so its "
                "features cannot be located: load its vision tower as a model of its own"
            )

    @in_turn(lambda self: self.vlm.model)
    @torch.no_grad()
    def _confirm_vision(self) -> None:
        image = picture(_TRIED)
        adapter = self.vlm.adapter

        def embedded(image: Image.Image) -> Tensor:
            pixels = adapter.preprocess(image)
            with watching(self._blocks) as seen:
                adapter.encode_images([pixels])
            if len(seen) != len(self._blocks) + 1:
                raise CapabilityError("the vision tower's blocks do not run exactly once each")
            layout = adapter.layout(image.size, pixels)
            tokens = [self._patches(states, layout, f"vision.{k}") for k, states in enumerate(seen)]
            return tokens[0]

        layout = adapter.layout(image.size, adapter.preprocess(image))
        confirm_places(embedded, image, layout.boxes[_places(layout)])

    def _unknown(self, layer: str) -> Exception:
        if layer.startswith("vision.") and self._no_vision:
            return CapabilityError(
                f"{self.name}: no layer {layer!r}: {self._no_vision}; its layers are "
                f"{', '.join(self.layers)}"
            )
        return super()._unknown(layer)


def _places(layout: Layout) -> np.ndarray:
    """The visual tokens that have a place, row by row if they form a grid."""
    if layout.grid is None:
        return np.flatnonzero(~layout.unplaced)
    inside = np.flatnonzero(layout.rows >= 0)
    return inside[np.lexsort((layout.columns[inside], layout.rows[inside]))]
