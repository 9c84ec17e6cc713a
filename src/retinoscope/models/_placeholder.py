"""Families whose prompts hold a placeholder token for each visual token."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from jinja2 import TemplateError
from PIL import Image
from torch import Tensor, nn

from ..errors import CapabilityError, InputError
from ._adapter import Adapter, Formatted, Inputs
from ._capabilities import Capabilities, Capability
from ._lengths import counts_rows
from ._wording import refuse_control, written_around

_MASKABLE = ("sdpa", "eager")


class PlaceholderAdapter(Adapter):
    """A decoder that receives visual tokens in place of placeholders in its prompt.

    The family's processor expands the placeholders, unless `_token_ids` is overridden; this class
    only locates them again.
    """

    @property
    def language_model(self) -> nn.Module:
        core: Any = self.model.model
        return core.language_model

    @property
    def placeholder_id(self) -> int:
        """The token id that stands for one visual token."""
        return int(self.model.config.image_token_id)

    @property
    def _placeholder(self) -> str:
        """The text that stands for one image in a prompt."""
        token = getattr(self.processor, "image_token", None)
        return str(token or self.tokenizer.convert_ids_to_tokens(self.placeholder_id))

    @abstractmethod
    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        """The number of visual tokens of one image."""

    # Text

    def format(self, text: str, n_images: int, prefill: str | None) -> Formatted:
        self._refuse_placeholder(text)
        self._refuse_placeholder(prefill or "")
        refuse_control(self.vocabulary, text, prefill)
        written, question = written_around(lambda words: self._written(words, n_images), text)
        if prefill:
            joined = prefill[:1].isspace() or not (written[-1:] == ":" or written[-1:].isalnum())
            written += prefill if joined else f" {prefill}"
        return Formatted(written, question)

    def _written(self, text: str, n_images: int) -> str:
        if not getattr(self.processor, "chat_template", None):
            return self._conversation(text, n_images)
        parts = [{"type": "image"}] * n_images + [{"type": "text", "text": text}]
        conversation: Any = [{"role": "user", "content": parts}]
        try:
            written = self.processor.apply_chat_template(
                conversation, add_generation_prompt=True, tokenize=False
            )
        except (TemplateError, ArithmeticError, TypeError, ValueError) as error:
            raise CapabilityError(
                f"the chat template of this model's processor does not write a prompt ({error}): "
                "correct its chat_template, or pass the whole prompt with raw=True"
            ) from error
        assert isinstance(written, str)
        return written

    def _conversation(self, text: str, n_images: int) -> str:
        """The prompt of a model whose processor has no chat template."""
        return "USER: " + f"{self._placeholder}\n" * n_images + f"{text} ASSISTANT:"

    def after_images(self, text: str) -> int:
        index = text.rfind(self._placeholder)
        return 0 if index < 0 else index + len(self._placeholder)

    def _refuse_placeholder(self, text: str) -> None:
        if self._placeholder in text:
            raise InputError(
                f"expected a text without {self._placeholder}, which stands for an image: "
                "leave it out (images are inserted automatically), or pass the whole prompt with "
                "raw=True"
            )

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        count = formatted.text.count(self._placeholder)
        if count != len(images):
            raise InputError(
                f"expected one {self._placeholder} in the prompt for each of {len(images)} images, "
                f"got {count}"
            )
        pixels = tuple(self.preprocess(image) for image in images)
        layouts = tuple(
            self.layout(image.size, values) for image, values in zip(images, pixels, strict=True)
        )
        counts = [self.visual_count(values) for values in pixels]
        # A chat template may already write the token that the tokenizer would add.
        begin = getattr(self.tokenizer, "bos_token", None)
        special = not (begin and formatted.text.startswith(begin))
        ids = self._token_ids(images, counts, formatted.text, special)
        visual = [position for position, index in enumerate(ids) if index == self.placeholder_id]
        if len(visual) != sum(counts):
            raise CapabilityError(
                f"the processor writes {len(visual)} placeholders, but the vision tower gives "
                f"{sum(counts)} visual tokens: the processor belongs to another model"
            )
        ends = [0, *accumulate(counts)]
        return Inputs(
            input_ids=torch.tensor(ids),
            image_positions=tuple(tuple(visual[a:b]) for a, b in pairwise(ends)),
            pixels=pixels,
            layouts=layouts,
            question=self._question(formatted, ids, special),
        )

    def _token_ids(
        self, images: Sequence[Image.Image], counts: Sequence[int], text: str, special: bool
    ) -> list[int]:
        """Token ids of a prompt, one placeholder per visual token, as the processor writes them.

        Args:
            counts: the number of visual tokens of each image.
            special: whether the tokenizer adds its own special tokens.
        """
        call: Any = self.processor
        done = call(
            text=[text],
            images=list(images) or None,
            add_special_tokens=special,
            # A single text needs no padding, for which a tokenizer may lack the token.
            padding=False,
            return_tensors="pt",
        )
        return [int(index) for index in done["input_ids"][0]]

    def _question(
        self, formatted: Formatted, ids: Sequence[int], special: bool
    ) -> tuple[int, ...] | None:
        """Positions of the user's words, counted from the end, where the tokens agree."""
        if not getattr(self.tokenizer, "is_fast", False):
            return None
        done = self.tokenizer(
            formatted.text, add_special_tokens=special, return_offsets_mapping=True
        )
        plain, spans = list(done["input_ids"]), done["offset_mapping"]
        start, stop = formatted.question
        inside = [i for i, (a, b) in enumerate(spans) if a < stop and b > start]
        if not inside:
            return ()
        tail = len(plain) - inside[0]
        if plain[-tail:] != ids[-tail:]:
            return None
        return tuple(len(ids) - len(plain) + i for i in inside)

    # Limits

    def capabilities(self) -> Capabilities:
        attention = self.attention_implementation
        maskable = attention in _MASKABLE
        why = "" if maskable else f"{attention} takes no mask per edge: load with 'sdpa' or 'eager'"
        sliding = getattr(self.text_config, "sliding_window", None)
        counted = counts_rows(self.text_config)
        rows = why or counted
        allowed = ("run", "lens", "ablate", "patch", "gradients", "generate", "several images")
        methods = (
            *(Capability(name, True) for name in allowed),
            Capability("knockout", maskable, why),
            Capability("attention", not rows, rows),
            Capability("incremental", not rows, rows or self.length_rule.why),
        )
        decoder = str(self.text_config.model_type)
        return Capabilities(
            family=self.family,
            architecture=type(self.model).__name__,
            decoder=f"{decoder} (sliding window {sliding})" if sliding else decoder,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            d_model=self.d_model,
            vocab_size=self.vocab_size,
            attention=attention,
            methods=methods,
        )
