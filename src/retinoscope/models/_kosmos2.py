"""Kosmos-2: a resampler's latent queries between markers, before the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from transformers import Cache

from ..errors import CapabilityError
from ..interfaces import attention_weights
from ._adapter import Formatted, Inputs
from ._blip2 import QueryAdapter
from ._decoder import Decoder


class Kosmos2Adapter(QueryAdapter):
    """`Kosmos2ForConditionalGeneration`.

    Latent queries read the vision tower's patches, and each other, in one cross-attention. The
    image follows the beginning-of-text token, between <image> and </image>; the ids at its
    positions are not used. Positions are sinusoidal, embeddings are scaled by the square root of
    the width. The prompt is "Question: ... Answer:".

    Source: Peng et al. 2023, "Kosmos-2", sections 3.1 and 4.4; Huang et al. 2023, section 2.
    """

    family: ClassVar[str] = "Kosmos-2"
    model_types: ClassVar[tuple[str, ...]] = ("kosmos-2",)

    # The decoder

    @property
    def _causal(self) -> Any:
        return self.model.text_model

    @property
    def language_model(self) -> nn.Module:
        return self._causal.model

    @property
    def text_config(self) -> Any:
        return self.language_model.config

    @cached_property
    def decoder(self) -> Decoder:
        inner: Any = self.language_model
        return Decoder(tuple(inner.layers), inner.layer_norm)

    def decode(
        self, embeds: Float[Tensor, "batch token d_model"], cache: Cache | None = None, **extra: Any
    ) -> Float[Tensor, "batch token d_model"]:
        # Like `Kosmos2TextTransformer.forward`, which passes the mask to its blocks without a name.
        inner: Any = self.language_model
        start = 0 if cache is None else int(cache.get_seq_length())
        hidden = inner.forward_embedding(
            input_ids=None, inputs_embeds=embeds, past_key_values_length=start
        )
        mask = inner._prepare_decoder_attention_mask(None, embeds.shape[:2], hidden, start)
        for block in self.decoder.layers:
            hidden = block(
                hidden, attention_mask=mask, past_key_values=cache, use_cache=cache is not None
            )
        return self.decoder.final_norm(hidden)

    @property
    def generator(self) -> Any:
        return self.model.text_model

    # Images

    @property
    def n_queries(self) -> int:
        return int(self.model.config.latent_query_num)

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"][0]}

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self._tower.parameters())
        features: list[Tensor] = []
        for image in pixels:
            done = self._tower(
                pixel_values=image["pixel_values"][None].to(tower.device, tower.dtype)
            )
            normed = self._tower.model.post_layernorm(done.last_hidden_state)
            queries, _ = self._resampler(nn.functional.normalize(normed, dim=-1))
            features.append(queries[0].to(self.device, self.dtype))
        return features

    @property
    def _resampler(self) -> Any:
        return self.model.image_to_text_projection

    @property
    def _reader(self) -> nn.Module:
        return self._resampler.x_attn

    def _read_weights(
        self, hidden: Float[Tensor, "query d_query"], read: Float[Tensor, "key d_key"]
    ) -> Float[Tensor, "head query key"]:
        module: Any = self._reader
        return attention_weights(module.q_proj(hidden), module.k_proj(read), int(module.num_heads))

    # Text

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        text = self._behind_image(formatted.text, len(images))
        options = {"num_image_tokens": self.n_queries, "return_tensors": "pt"}
        image = images[0] if images else None
        if image is not None:
            self.refuse_large(image.size)
        done = self.processor(images=image, text=text, **options)
        ids = done["input_ids"][0]
        visual: tuple[int, ...] = ()
        if images:
            visual = tuple(done["image_embeds_position_mask"][0].nonzero()[:, 0].tolist())
            if len(visual) != self.n_queries:
                raise CapabilityError(
                    f"the processor marks {len(visual)} positions for the image, but the model "
                    f"has {self.n_queries} queries: it belongs to another model"
                )
        pixels = (
            tuple({"pixel_values": image_} for image_ in done["pixel_values"]) if images else ()
        )
        shift = len(formatted.text) - len(text.lstrip())
        return Inputs(
            input_ids=ids,
            image_positions=tuple(visual for _ in images),
            pixels=pixels,
            layouts=tuple(self.layout(x.size, y) for x, y in zip(images, pixels, strict=True)),
            question=self._question_in_prompt(
                text, ids, image, visual, [at - shift for at in formatted.question]
            ),
        )

    def _question_in_prompt(
        self,
        text: str,
        ids: Tensor,
        image: Image.Image | None,
        visual: Sequence[int],
        question: Sequence[int],
    ) -> tuple[int, ...] | None:
        """Positions of the characters from `question[0]` to `question[1]` of stripped `text`."""
        if not getattr(self.tokenizer, "is_fast", False):
            return None
        processor: Any = self.processor
        whole = self.tokenizer.bos_token + processor.preprocess_examples(
            text, image, None, num_image_tokens=self.n_queries
        )
        done = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        expected, masked = list(done["input_ids"]), set(visual)
        if len(expected) != len(ids) or any(
            position not in masked and index != int(ids[position])
            for position, index in enumerate(expected)
        ):
            return None
        before = len(whole) - len(text.strip())
        return tuple(
            position
            for position, (start, end) in enumerate(done["offset_mapping"])
            if start < before + question[1]
            and end > before + question[0]
            and position not in masked
        )
