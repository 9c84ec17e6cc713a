"""An interface as a Hugging Face model: what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_interface import interface

from retinoscope.errors import CapabilityError, InputError


def test_more_tokens_than_the_context_holds_are_refused() -> None:
    assert interface("projector", max_position_embeddings=50).interface.n_tokens == 49
    with pytest.raises(InputError, match="fewer than 49 visual tokens"):
        interface("projector", max_position_embeddings=49)


def test_tokens_that_are_not_there_are_refused_and_not_read() -> None:
    model = interface("qformer")
    pixels = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    tokens = model.get_image_features(pixels).pooler_output
    seeing = model.interface.encode

    def some(pixels: torch.Tensor):
        whole = seeing(pixels)
        return replace(whole, mask=torch.rand(tokens.shape[:2]) < 0.5)

    model.interface.encode = some
    with pytest.raises(CapabilityError, match="gives some images fewer visual tokens"):
        model.get_image_features(pixels)
