"""What a language model answers in one word to packed questions, without generating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
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
    there: Bool[Tensor, "batch token"] | None = None,
) -> Replies:
    """Asks all questions about each scene behind its visual tokens, or words in their place.

    Args:
        there: which of the visual tokens are there; all by default.
    """
    tokenizer = interface_tokenizer()
    turns = Conversations(tokenizer)
    examples = [[turns.turn(q.question, q.answer) for q in asked] for asked in questions]
    room = max(sum(map(len, example)) for example in examples)
    batch = without_missing(turns.packed(examples, visual.shape[1], room), there)
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


def without_missing(batch: TokenBatch, there: Bool[Tensor, "batch token"] | None) -> TokenBatch:
    """Hides visual tokens that are not there, as if the text followed those that are."""
    if there is None:
        return batch
    n_visual = there.shape[1]
    everywhere = F.pad(there, (0, batch.ids.shape[1] - n_visual), value=True)
    positions = batch.position_ids.clone()
    positions[:, :n_visual] = (there.cumsum(1) - 1).clamp(min=0)
    positions[:, n_visual:] -= (~there).sum(1, keepdim=True)
    return replace(batch, mask=batch.mask & everywhere[:, None, None], position_ids=positions)
