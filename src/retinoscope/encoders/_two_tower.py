"""`TwoTower`: images, texts and single locations of an image in one space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel, PreTrainedModel, SiglipModel

from .. import arguments
from ..data import ImageSource, open_image
from ..data.scenes import article
from ..errors import CapabilityError, InputError
from ..models import (
    described,
    finite,
    in_turn,
    length_warning_held,
    not_finite,
    refuse_training,
    tokenizer_facts,
    watch_of,
)
from ..store import fingerprint_json
from ._features import Features
from ._places import patch_tokens
from ._tower import TowerEncoder

JOINT = "joint"
"""The only layer of `TwoTower.locations`."""


class TwoTower(ABC):
    """A frozen contrastive model. Made by `load_contrastive`.

    Attributes:
        name: what it was loaded from.
        encoder: its vision tower, layer by layer.
        locating: how a location's vector is computed, in one sentence.
    """

    name: str
    encoder: TowerEncoder
    locating: str

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights of either tower."""

    @abstractmethod
    def prompts(self, names: Sequence[str]) -> list[str]:
        """One text for each name of a thing, worded as in the model's training."""

    @abstractmethod
    def text(self, texts: Sequence[str]) -> Float[np.ndarray, "text d"]:
        """One vector of length 1 per text, float32.

        Raises:
            InputError: no texts, an empty one, or one that is longer than the model reads.
        """

    @abstractmethod
    def image(self, image: ImageSource) -> Float[np.ndarray, " d"]:
        """The image's vector, of length 1, float32."""

    @abstractmethod
    def locations(self, image: ImageSource) -> Features:
        """Each location in the same space, not normalised: one layer, "joint".

        How a location's vector is computed depends on the family; see `locating`.
        """


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Returns the texts as a list; raises `InputError` for none, or an empty one."""
    done = [arguments.text(text, "each text") for text in arguments.several(texts, "texts")]
    if not done or any(not text.strip() for text in done):
        raise InputError(f"expected texts that are not empty, at least one, got {done}")
    return done


class HuggingFaceTwoTower(TwoTower):
    """CLIP or SigLIP of transformers.

    A location's vector:

    - CLIP: the last block's output there, through the norm and the projection of the class token.
      CLIP was not trained for this; it is the baseline of Ranasinghe et al. 2022 (section 4,
      "CLIP+") and of Zhou et al. 2022 ("Extract Free Dense Labels from CLIP").
    - SigLIP: the output of its pooling head for that token alone. Attention over one token has
      weight 1, so this is the head's value path with its MLP: the vector of an image that consisted
      of that one location.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        tokenizer: Any,
        name: str,
        enlarge: int = 1,
    ) -> None:
        """Raises `CapabilityError` for another family."""
        if isinstance(model, CLIPModel):
            self.locating = "last block, final norm and projection at that location"
        elif isinstance(model, SiglipModel):
            if not getattr(model.vision_model, "use_head", True):
                raise CapabilityError(f"{name}: this SigLIP has no pooling head, so no joint space")
            self.locating = "the pooling head applied to that location alone"
        else:
            raise CapabilityError(
                f"{type(model).__name__}: expected CLIP or SigLIP, whose single locations can be "
                "put in the space of their texts: use one of these, or small:contrastive-max"
            )
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.encoder = TowerEncoder(model, processor, name, enlarge)
        # Kept, so that the digests of the weights outlive one call of `fingerprint`.
        self._watch = watch_of(model)

    @property
    def fingerprint(self) -> str:
        model, images = described(self.model.config), described(self.encoder.images)
        facts = ["tower", type(self.model).__name__, model, images]
        towers = fingerprint_json([facts, [self._watch.content()]])
        return fingerprint_json([towers, tokenizer_facts(self.tokenizer)])

    def prompts(self, names: Sequence[str]) -> list[str]:
        return [f"a photo of {article(name)} {name}" for name in names]

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def text(self, texts: Sequence[str]) -> Float[np.ndarray, "text d"]:
        refuse_training(self.model)
        # SigLIP was trained on texts padded to the full length.
        padding = "max_length" if isinstance(self.model, SiglipModel) else True
        config: Any = self.model.config
        most = int(config.text_config.max_position_embeddings)
        given = checked_texts(texts)
        full = {"max_length": most} if padding == "max_length" else {}
        with length_warning_held():
            done = self.tokenizer(given, padding=padding, return_tensors="pt", **full)
            if done["input_ids"].shape[1] > most:
                raise InputError(f"expected texts of at most {most} tokens, got a longer one")
        device = self.model.device
        known = {"input_ids": done["input_ids"].to(device)}
        if "attention_mask" in done and isinstance(self.model, CLIPModel):
            known["attention_mask"] = done["attention_mask"].to(device)
        embed: Any = self.model.get_text_features
        return self._unit("a text", lambda: _pooled(embed(**known)))

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def image(self, image: ImageSource) -> Float[np.ndarray, " d"]:
        refuse_training(self.model)
        pixels = self.encoder.pixels(open_image(image))

        def vector() -> Tensor:
            pooled = self.encoder.run(pixels).pooler_output
            model: Any = self.model
            return model.visual_projection(pooled) if isinstance(model, CLIPModel) else pooled

        return self._unit("an image", vector)[0]

    def _unit(self, of: str, vectors: Callable[[], Tensor]) -> np.ndarray:
        values = vectors()
        if not finite(values):
            raise not_finite(self.model, f"the vector of {of}", vectors)
        return F.normalize(values.float(), dim=-1).cpu().numpy()

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def locations(self, image: ImageSource) -> Features:
        refuse_training(self.model)
        opened: Image.Image = open_image(image)
        layout, seen, _ = self.encoder.passed(opened)
        assert layout.grid is not None
        tower: Any = self.encoder.tower
        normed = tower.post_layernorm(patch_tokens(seen[-1], layout.grid, JOINT))
        if isinstance(self.model, CLIPModel):
            joint = self.model.visual_projection(normed)
        else:
            joint = tower.head(normed[:, None])
        vectors = joint.float().cpu().numpy()
        return Features({JOINT: vectors}, layout.boxes, layout.grid, layout.size)


def _pooled(output: Any) -> Tensor:
    # Older versions of the library return the tensor itself.
    return output if isinstance(output, Tensor) else output.pooler_output
