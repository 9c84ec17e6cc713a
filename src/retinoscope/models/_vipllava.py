"""VIP-LLaVA: features of several layers of the vision tower, concatenated."""

from __future__ import annotations

from typing import ClassVar

from ._llava import LlavaAdapter

_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions."
)


class VipLlavaAdapter(LlavaAdapter):
    """`VipLlavaForConditionalGeneration`.

    A visual token is one patch, as in LLaVA-1.5; the projector reads it at several layers of the
    vision tower, always without the class token. Marks that a user draws on the image ("visual
    prompts") are part of its pixels.

    Source: Cai et al. 2024, "ViP-LLaVA: Making Large Multimodal Models Understand Arbitrary Visual
    Prompts", section 3.
    """

    family: ClassVar[str] = "VIP-LLaVA"
    model_types: ClassVar[tuple[str, ...]] = ("vipllava",)

    @property
    def _drops_first(self) -> bool:
        # The model's code always does so, and its configuration has no field for it.
        return True

    def _conversation(self, text: str, n_images: int) -> str:
        return f"{_SYSTEM}###Human: " + f"{self._placeholder}\n" * n_images + f"{text}###Assistant:"
