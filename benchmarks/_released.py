"""The released code's way, written with `transformers` alone: one full pass for each condition.

Each pass starts from the pixels. It differs from the released code where that only makes it faster:
edges are blocked by one mask instead of a write for each edge, the unembedding is applied to the
last position only, no cache is kept where none is read, and image and text are processed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ._conditions import Hide, Remove
from ._models import Setup


class Released:
    """Full passes over one prompt."""

    def __init__(self, setup: Setup, question: str) -> None:
        self.model = setup.model
        text = f"USER: <image>\n{question} ASSISTANT:"
        processor: Any = setup.processor
        given = processor(images=setup.image, text=text, return_tensors="pt")
        device = setup.model.device
        self.input_ids: Tensor = given["input_ids"].to(device)
        self.pixels: Tensor = given["pixel_values"].to(device, setup.model.dtype)

    @property
    def n(self) -> int:
        return self.input_ids.shape[1]

    @torch.no_grad()
    def logits(
        self, condition: Hide | Remove | None = None, *, all_positions: bool = False
    ) -> Tensor:
        """(vocab,) float32 logits of the last position, or (n, vocab) of all."""
        with self._edited(condition):
            found = self.model(
                input_ids=self.input_ids,
                pixel_values=self.pixels,
                use_cache=False,
                logits_to_keep=0 if all_positions else 1,
            ).logits[0]
        return found if all_positions else found[-1].float()

    @torch.no_grad()
    def generate(self, condition: Remove | None, count: int) -> list[int]:
        """The ids of `count` tokens, chosen greedily."""
        with self._edited(condition):
            generate: Any = self.model.generate  # type: ignore[reportAttributeAccessIssue]
            found = generate(
                input_ids=self.input_ids,
                attention_mask=torch.ones_like(self.input_ids),
                pixel_values=self.pixels,
                max_new_tokens=count,
                do_sample=False,
            )
        return found[0, self.n :].tolist()

    @contextmanager
    def _edited(self, condition: Hide | Remove | None) -> Iterator[None]:
        handles: list[Any] = []
        if isinstance(condition, Remove):
            handles = [_replacing(self.model.model.language_model, condition.positions)]
        elif isinstance(condition, Hide):
            mask = causal_mask(self.n, condition, self.model.device)
            layers = self.model.model.language_model.layers
            handles = [_masking(layers[layer].self_attn, mask) for layer in condition.layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def causal_mask(n: int, condition: Hide, device: torch.device) -> Tensor:
    """(1, 1, n, n) bool, True where a query may read a key."""
    allowed = torch.ones(n, n, dtype=torch.bool).tril()
    rows, columns = torch.tensor(condition.target)[:, None], torch.tensor(condition.source)
    allowed[rows, columns] = False
    return allowed[None, None].to(device)


def _masking(attention: nn.Module, mask: Tensor) -> Any:
    def hook(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        return given, {**named, "attention_mask": mask}

    return attention.register_forward_pre_hook(hook, with_kwargs=True)


def _replacing(decoder: nn.Module, positions: Sequence[int]) -> Any:
    def hook(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        embeds = named["inputs_embeds"]
        # While generating, later passes hold the new token alone.
        if embeds.shape[1] > 1:
            embeds = embeds.clone()
            embeds[:, list(positions)] = 0
        return given, {**named, "inputs_embeds": embeds}

    return decoder.register_forward_pre_hook(hook, with_kwargs=True)
