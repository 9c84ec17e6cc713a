"""A visual interface in front of a language model, as a Hugging Face model."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationMixin,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast

from ..errors import InputError
from ._interface import Settings, VisualInterface
from ._systems import build_interface

MODEL_TYPE = "visual-interface"


class InterfaceConfig(PreTrainedConfig):
    """An interface and the language model behind it.

    Args:
        interface: a name from `INTERFACES`.
        settings: the interface's sizes, as plain JSON values.
        text_config: of the language model.
        image_token_id: stands for one visual token in a prompt.
    """

    model_type = MODEL_TYPE
    use_decoder_only_language_model = True

    def __init__(
        self,
        interface: str = "projector",
        settings: Settings | None = None,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        image_token_id: int = 4,
        **more: Any,
    ) -> None:
        self.interface = interface
        self.settings = dict(settings or {})
        if isinstance(text_config, dict):
            kind = text_config.get("model_type", "llama")
            text_config = AutoConfig.for_model(**{**text_config, "model_type": kind})
        self.text_config = LlamaConfig() if text_config is None else text_config
        self.image_token_id = image_token_id
        more.setdefault("tie_word_embeddings", False)
        super().__init__(**more)


class InterfaceForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Puts an interface's visual tokens in place of the placeholders of a prompt.

    Attributes:
        interface: the `VisualInterface`.
        language_model: a causal language model.
    """

    config_class = InterfaceConfig
    config: InterfaceConfig
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012 (as the library has it)
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: InterfaceConfig) -> None:
        super().__init__(config)
        self.interface: VisualInterface = build_interface(
            config.interface, config.settings, int(config.text_config.hidden_size)
        )
        require_room(self.interface, config.text_config)
        self.language_model: Any = AutoModelForCausalLM.from_config(config.text_config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leaves the weights as their modules drew them."""

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def get_image_features(
        self, pixel_values: Float[Tensor, "batch 3 height width"], **_: Any
    ) -> BaseModelOutputWithPooling:
        """The visual tokens, (batch, token, d_model), as `pooler_output`.

        Where images have different numbers of them, `interface.encode` says which are there.
        """
        return BaseModelOutputWithPooling(
            pooler_output=self.interface.encode(pixel_values).embeddings
        )

    def _embedded(
        self,
        input_ids: Int[Tensor, "batch token"],
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
    ) -> tuple[Float[Tensor, "batch token d_model"], Tensor | None]:
        """The embedded prompt, and which of its tokens are there.

        An image with fewer visual tokens than its prompt has placeholders fills the first ones.

        Raises:
            InputError: an image with more.
        """
        embeds = self.get_input_embeddings()(input_ids)
        if pixel_values is None:
            return embeds, attention_mask
        tokens = self.interface.encode(pixel_values)
        places = input_ids == self.config.image_token_id
        there = tokens.there
        room, needed = places.sum(1), there.sum(1)
        if bool((room < needed).any()):
            raise InputError(
                f"expected placeholders for {int(needed.max())} visual tokens, got "
                f"{int(room.min())}: write the prompt with this model's processor"
            )
        filled = places & (places.cumsum(1) <= needed[:, None])
        embeds = embeds.masked_scatter(filled[..., None], tokens.embeddings[there].to(embeds))
        if bool((filled == places).all()):
            return embeds, attention_mask
        given = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return embeds, given * ~(places & ~filled)

    def forward(
        self,
        input_ids: Int[Tensor, "batch token"] | None = None,
        pixel_values: Float[Tensor, "batch 3 height width"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch token d_model"] | None = None,
        **more: Any,
    ) -> CausalLMOutputWithPast:
        """The language model's output; pixels from -1 to 1."""
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds, attention_mask = self._embedded(input_ids, pixel_values, attention_mask)
        if attention_mask is not None and more.get("past_key_values") is None:
            # The processor pads between image and text, which must not push them apart.
            more.setdefault("position_ids", (attention_mask.cumsum(-1) - 1).clamp(min=0))
        return self.language_model(
            inputs_embeds=inputs_embeds, attention_mask=attention_mask, **more
        )

    @torch.no_grad()
    def generate(self, *args: Any, **more: Any) -> Any:
        """The prompt's continuation by the language model's own `generate`.

        Args:
            args: (batch, token) ids of the prompt, unless given as `input_ids`.
            more: `pixel_values` and `attention_mask` as in `forward`; the rest is passed on.
        """
        input_ids = args[0] if args else more.pop("input_ids")
        embeds, mask = self._embedded(
            input_ids, more.pop("pixel_values", None), more.pop("attention_mask", None)
        )
        return self.language_model.generate(
            input_ids=input_ids,
            inputs_embeds=embeds,
            attention_mask=torch.ones_like(input_ids) if mask is None else mask,
            **more,
        )


def require_room(interface: VisualInterface, text: PreTrainedConfig) -> None:
    """Refuses an interface whose visual tokens fill the language model's context.

    Raises:
        InputError: there is no room for a word.
    """
    longest = int(text.max_position_embeddings)
    if interface.n_tokens >= longest:
        raise InputError(
            f"expected fewer than {longest} visual tokens, the language model's context, got "
            f"{interface.n_tokens}: take fewer, or another language model"
        )


def register() -> None:
    """Registers the model with `transformers`, which can then open folders that contain one."""
    AutoConfig.register(MODEL_TYPE, InterfaceConfig, exist_ok=True)
    AutoModelForImageTextToText.register(
        InterfaceConfig, InterfaceForConditionalGeneration, exist_ok=True
    )
