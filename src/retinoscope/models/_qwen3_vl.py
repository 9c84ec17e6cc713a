"""Qwen3-VL: like Qwen2-VL, with features of the vision tower added inside the decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import Cache

from ..errors import CapabilityError
from ._adapter import Inputs
from ._capabilities import Capabilities
from ._encoded import DeepStack, EncodedImage
from ._entering import hooked
from ._qwen_vl import QwenVLAdapter

_NO_GRADIENTS = (
    "an edited visual token loses the features that are added after the first blocks (DeepStack), "
    "so the logit jumps on the path from a baseline: choose tokens in another way"
)


class Qwen3VLAdapter(QwenVLAdapter):
    """`Qwen3VLForConditionalGeneration`.

    The features that DeepStack adds are part of the image (`EncodedImage.added`) and go where its
    embeddings go: with a donor's embeddings come the donor's features, with a fill without an image
    none, so that an ablated token leaves nothing behind. They are added between two blocks, after
    the hooks on the first and before those on the second: unlike the library's
    `output_hidden_states`, `hidden(layer)` includes them, and a patched state is what the next
    block reads. A patch replaces only a state: what later blocks add there stays the run's own.

    Source: Bai et al. 2025, "Qwen3-VL Technical Report"; Meng et al. 2024, "DeepStack".
    """

    family: ClassVar[str] = "Qwen3-VL"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        return [image.embeddings for image in self.encode(pixels)]

    def encode(self, pixels: Sequence[Mapping[str, Tensor]]) -> list[EncodedImage]:
        output = self._seen(pixels)
        counts = [self.visual_count(image) for image in pixels]
        # Older versions of the library return these features of all images in one piece.
        added = [
            part.split(counts) if isinstance(part, Tensor) else part
            for part in output.deepstack_features
        ]
        images: list[EncodedImage] = []
        for features in zip(output.pooler_output, *added, strict=True):
            parts = [part.to(device=self.device, dtype=self.dtype) for part in features]
            images.append(EncodedImage(parts[0], tuple(parts[1:])))
        return images

    # The decoder

    def arguments(self, inputs: Inputs, start: int, stop: int) -> dict[str, Any]:
        given = super().arguments(inputs, start, stop)
        n = len(inputs.input_ids)
        if any(start <= places[-1] for places in inputs.image_positions):
            tables = [table[start:stop] for table in inputs.added()]
            assert tables, "expected the inputs of a run, whose images are encoded"
            # Nothing is added after the prompt.
            rows = max(stop - n, 0)
            padded = (pad(table, (0, 0, 0, rows))[None] for table in tables)
            given["deepstack"] = DeepStack(tuple(padded))
        return given

    def decode(
        self,
        embeds: Float[Tensor, "batch token d_model"],
        cache: Cache | None = None,
        *,
        deepstack: DeepStack | None = None,
        **extra: Any,
    ) -> Float[Tensor, "batch token d_model"]:
        """Like `Adapter.decode`, with the features of `embeds` added after the blocks.

        Raises:
            CapabilityError: gradients with respect to the visual tokens are requested.
        """
        if deepstack is None:
            return super().decode(embeds, cache, **extra)
        if embeds.requires_grad:
            raise CapabilityError(f"{type(self.model).__name__}: {_NO_GRADIENTS}")
        with ExitStack() as stack:
            layers = self.decoder.layers
            for number, values in enumerate(deepstack.tables, start=1):
                following = layers[number] if number < len(layers) else None
                stack.enter_context(_adding(layers[number - 1], following, values))
            return super().decode(embeds, cache, **extra)

    def capabilities(self) -> Capabilities:
        return super().capabilities().refusing("gradients", _NO_GRADIENTS)


@contextmanager
def _adding(
    block: nn.Module, following: nn.Module | None, values: Float[Tensor, "batch token d_model"]
) -> Iterator[None]:
    """Adds `values` between two blocks, as the library does.

    This is after all hooks on the output of `block`, and before those on the next one's input.
    """

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (args[0] + values.to(args[0]), *args[1:]), kwargs
        hidden = kwargs["hidden_states"]
        return args, {**kwargs, "hidden_states": hidden + values.to(hidden)}

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, tuple):
            return (output[0] + values.to(output[0]), *output[1:])
        return output + values.to(output)

    if following is not None:
        with hooked([following], before=before, prepend=True):
            yield
    else:
        with hooked([block], after=after, prepend=True):
            yield
