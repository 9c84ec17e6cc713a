"""What a language model answers in one word to packed questions, without generating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LlamaForCausalLM

from ...data import Question
from ...interfaces import interface_tokenizer
from ...pocket.vocabulary import token_id
from ..pocket._packing import IGNORED, TokenBatch
from ._conversations import Conversations


@dataclass(frozen=True)
class Replies:
    """One row per question, scene by scene.

    Attributes:
        said: id of the most probable word.
        expected: id of the right one.
        yes: probability of "yes" among "yes" and "no".
    """

    said: Int[np.ndarray, " question"]
    expected: Int[np.ndarray, " question"]
    yes: Float[np.ndarray, " question"]

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is right."""
        return self.said == self.expected


@torch.no_grad()
def ask(
    decoder: LlamaForCausalLM,
    visual: Float[Tensor, "batch token d_model"],
    questions: Sequence[Sequence[Question]],
) -> Replies:
    """Asks all questions about each scene behind its visual tokens, or words in their place."""
    tokenizer = interface_tokenizer()
    turns = Conversations(tokenizer)
    examples = [[turns.turn(q.question, q.answer) for q in asked] for asked in questions]
    room = max(sum(map(len, example)) for example in examples)
    batch = turns.packed(examples, visual.shape[1], room)
    embedded = embed(decoder, visual, batch)
    mask = torch.zeros(batch.mask.shape).masked_fill_(~batch.mask, -1e4)
    hidden = decoder.model(
        inputs_embeds=embedded,
        attention_mask=mask,
        position_ids=batch.position_ids,
        use_cache=False,
    ).last_hidden_state
    learned = batch.labels != IGNORED
    first = learned & ~learned.roll(1, 1)
    logits = decoder.lm_head(hidden[first]).float()
    yes, no = (logits[:, token_id(tokenizer, f"▁{word}")] for word in ("yes", "no"))
    return Replies(
        said=logits.argmax(-1).numpy(),
        expected=batch.labels[first].numpy(),
        yes=(yes - no).sigmoid().numpy(),
    )


def embed(
    decoder: LlamaForCausalLM, visual: Float[Tensor, "batch token d_model"], batch: TokenBatch
) -> Float[Tensor, "batch position d_model"]:
    """Embeds a packed batch whose visual tokens come first of all."""
    text = decoder.get_input_embeddings()(batch.ids[:, visual.shape[1] :])
    return torch.cat([visual.to(text.dtype), text], 1)
