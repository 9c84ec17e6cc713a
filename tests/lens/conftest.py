"""A head and a final norm alone, behind the adapter's own readout."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from retinoscope.models import Adapter


class Head:
    """What the lens uses of an `Adapter`; `read_out` is the adapter's, the reference here."""

    unembed = Adapter.unembed
    read_out = Adapter.read_out

    def __init__(
        self,
        vocabulary: int,
        width: int = 24,
        bias: bool = False,
        cap: float | None = None,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(vocabulary)
            head = nn.Linear(width, vocabulary, bias=bias)
            # Spread as in a trained model: the best token well before the others.
            nn.init.normal_(head.weight, std=width**-0.5 * 3)
            norm = nn.RMSNorm(width, eps=1e-6)
            nn.init.normal_(norm.weight, mean=1.0, std=0.1)
        self.unembedding = self.model = head.to(device, dtype)
        self.decoder = SimpleNamespace(final_norm=norm.to(device, dtype))
        self.soft_cap = cap
        self.vocab_size = vocabulary
        names = SimpleNamespace(asked=0)

        def texts(ids: list[int]) -> list[str]:
            names.asked += len(ids)
            return [f"t{index}" for index in ids]

        self.vocabulary = SimpleNamespace(texts=texts, names=names)

    def states(self, *shape: int, seed: int = 0) -> torch.Tensor:
        """Random states of a shape, the width behind it."""
        weight = self.unembedding.weight
        numbers = torch.Generator().manual_seed(seed)
        found = torch.randn(*shape, weight.shape[1], generator=numbers)
        return found.to(weight.device, weight.dtype)


@pytest.fixture(scope="session")
def make_head() -> Callable[..., Head]:
    return Head
