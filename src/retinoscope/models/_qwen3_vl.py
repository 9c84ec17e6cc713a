"""Qwen3-VL: as Qwen2-VL, and features of the vision tower are added inside the decoder."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError
from ._adapter import Inputs
from ._capabilities import Capabilities
from ._entering import hooked
from ._qwen_vl import QwenVLAdapter

_KEPT_IMAGES = 64
_NOT_INCREMENTAL = (
    "features of the vision tower are added behind the first blocks (DeepStack), which a block "
    "called by itself does not do: the reference path is used"
)
_NO_GRADIENTS = (
    "an edited visual token loses the features that are added behind the first blocks (DeepStack), "
    "so the logit jumps on the way from a baseline: choose tokens in another way"
)


@dataclass(frozen=True, eq=False)
class _Seen:
    """One image: what the decoder receives, and what is added behind its first blocks."""

    embeddings: Float[Tensor, "token d_model"]
    added: tuple[Float[Tensor, "token d_model"], ...]


@dataclass(frozen=True, eq=False)
class DeepStack:
    """The visual tokens of one call of the decoder.

    Attributes:
        places: counted from the first position of the call.
        embeddings: (v, d_model) of the unedited visual tokens.
        added: for each of the first blocks what is added to the visual tokens behind it.
    """

    places: Int[Tensor, " token"]
    embeddings: Float[Tensor, "token d_model"]
    added: tuple[Float[Tensor, "token d_model"], ...]


class Qwen3VLAdapter(QwenVLAdapter):
    """`Qwen3VLForConditionalGeneration`.

    What DeepStack adds belongs to a visual token as its embedding does: `decode` adds it only where
    the embedding is the image's own, so that an ablated token leaves nothing behind. It is added
    before anything else sees a block's output: `hidden(layer)` has it, and a patched state is what
    the next block reads. A patch replaces a state and nothing else: what later blocks add to that
    position stays.

    Source: Bai et al. 2025, "Qwen3-VL Technical Report"; Meng et al. 2024, "DeepStack".
    """

    family: ClassVar[str] = "Qwen3-VL"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        self._kept: OrderedDict[bytes, _Seen] = OrderedDict()

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        done = self._seen(pixels)
        counts = [self.visual_count(one) for one in pixels]
        # Older versions of the library leave these features of all images in one piece.
        added = [
            part.split(counts) if isinstance(part, Tensor) else part
            for part in done.deepstack_features
        ]
        parts = [done.pooler_output, *added]
        images = zip(*parts, strict=True)
        found: list[Tensor] = []
        for one, features in zip(pixels, images, strict=True):
            own = [part.to(device=self.device, dtype=self.dtype) for part in features]
            self._kept[_digest(one)] = _Seen(own[0], tuple(own[1:]))
            found.append(own[0])
        while len(self._kept) > max(_KEPT_IMAGES, len(pixels)):
            self._kept.popitem(last=False)
        return found

    def _of(self, pixels: Mapping[str, Tensor]) -> _Seen:
        key = _digest(pixels)
        if key not in self._kept:
            self.encode_images([pixels])
        self._kept.move_to_end(key)
        return self._kept[key]

    # The decoder

    def arguments(self, inputs: Inputs, start: int, stop: int) -> dict[str, Any]:
        given = super().arguments(inputs, start, stop)
        visual = [place for places in inputs.image_positions for place in places]
        inside = [i for i, place in enumerate(visual) if start <= place < stop]
        if inside:
            images = [self._of(pixels) for pixels in inputs.pixels]
            given["deepstack"] = DeepStack(
                torch.tensor([visual[i] - start for i in inside], device=self.device),
                torch.cat([image.embeddings for image in images])[inside],
                tuple(
                    torch.cat(parts)[inside]
                    for parts in zip(*(image.added for image in images), strict=True)
                ),
            )
        return given

    def added(self, inputs: Inputs, layer: int) -> Float[Tensor, "token d_model"] | None:
        n = len(inputs.input_ids)
        deepstack = self.arguments(inputs, 0, n).get("deepstack")
        if deepstack is None or layer >= len(deepstack.added):
            return None
        table = deepstack.embeddings.new_zeros(n, self.d_model)
        table[deepstack.places] = deepstack.added[layer]
        return table

    def decode(
        self,
        embeds: Float[Tensor, "batch token d_model"],
        cache: Cache | None = None,
        *,
        deepstack: DeepStack | None = None,
        **extra: Any,
    ) -> Float[Tensor, "batch token d_model"]:
        """As `Adapter.decode`; visual tokens that are not the image's own get nothing added.

        Raises:
            CapabilityError: gradients with respect to the visual tokens are asked for.
        """
        if deepstack is None:
            return super().decode(embeds, cache, **extra)
        if embeds.requires_grad:
            raise CapabilityError(f"{type(self.model).__name__}: {_NO_GRADIENTS}")
        own = (embeds[:, deepstack.places] == deepstack.embeddings).all(-1)
        with ExitStack() as stack:
            blocks = self.decoder.layers[: len(deepstack.added)]
            for block, added in zip(blocks, deepstack.added, strict=True):
                values = torch.where(own[..., None], added, 0)
                stack.enter_context(_adding(block, deepstack.places, values))
            return super().decode(embeds, cache, **extra)

    def capabilities(self) -> Capabilities:
        return super().capabilities().refusing("gradients", _NO_GRADIENTS)


@contextmanager
def _adding(
    block: nn.Module,
    places: Int[Tensor, " token"],
    values: Float[Tensor, "batch token d_model"],
) -> Iterator[None]:
    """Inside, `values` are added to what `block` hands on at `places`, before all other hooks."""

    def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        several = isinstance(output, tuple)
        hidden = (output[0] if several else output).clone()
        hidden[:, places.to(hidden.device)] += values.to(hidden)
        return (hidden, *output[1:]) if several else hidden

    with hooked([block], after=hook, prepend=True):
        yield


def _digest(pixels: Mapping[str, Tensor]) -> bytes:
    digest = hashlib.sha256()
    for name, value in sorted(pixels.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.digest()
