"""Evaluation of a smol model on held-out scenes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from ..pocket._bank import Bank
from ..pocket._evaluate import Scores, scores_of
from ..pocket._turns import DESCRIBE
from ._features import pixels
from ._rows import PromptFrame, pack_rows
from ._turns import ChatTurns


@torch.no_grad()
def evaluate_smol(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    batch: int = 40,
    captions: bool = True,
) -> Scores:
    """Asks every question of `bank`, and compares every caption's objects with the scene's.

    An answer is right if each of its tokens, and the end token after it, is the most probable one.
    The vision tower runs on the pixels; cached features are not used.
    """
    whole: Any = model
    device = whole.device
    side = whole.config.vision_config.image_size
    frame = PromptFrame.of(tokenizer, whole.config.image_seq_length)
    make = ChatTurns(tokenizer)
    right: dict[str, list[bool]] = defaultdict(list)
    descriptions: list[str] = []
    for start in range(0, len(bank), batch):
        index = range(start, min(start + batch, len(bank)))
        values = pixels(bank.images[start : index.stop], side, device)
        visual = whole.get_image_features(pixel_values=values, return_dict=True).pooler_output
        visual = torch.stack(list(visual))
        turns = [[make.turn(q.question, q.answer) for q in bank.texts[i].questions] for i in index]
        room = max(sum(map(len, example)) for example in turns)
        rows = pack_rows(turns, frame, room, 1).to(device)
        packed = rows.batch(torch.arange(len(index), device=device))
        embedded = whole.get_input_embeddings()(packed.ids).clone()
        embedded[:, len(frame.prefix) : frame.length] = visual.to(embedded)
        mask = torch.zeros(packed.mask.shape, dtype=embedded.dtype, device=device)
        hidden = whole.model.language_model(
            inputs_embeds=embedded,
            attention_mask=mask.masked_fill_(~packed.mask, torch.finfo(mask.dtype).min),
            position_ids=packed.position_ids,
            use_cache=False,
        ).last_hidden_state
        learned = packed.labels >= 0
        hit = torch.ones_like(learned)
        hit[learned] = whole.lm_head(hidden[learned]).argmax(-1) == packed.labels[learned]
        hits = hit.cpu().numpy()
        for row, i in enumerate(index):
            at = frame.length
            for question, turn in zip(bank.texts[i].questions, turns[row], strict=True):
                stop = at + len(turn)
                right[question.kind].append(bool(hits[row, at : stop - 1].all()))
                at = stop
        descriptions += (
            _describe(whole, tokenizer, frame, visual) if captions else [""] * len(index)
        )
    return scores_of(bank, right, descriptions)


def _describe(
    model: Any, tokenizer: PreTrainedTokenizerBase, frame: PromptFrame, visual: Tensor
) -> list[str]:
    question = f"\n{DESCRIBE}<|im_end|>\n<|im_start|>assistant\n"
    after = tokenizer(question, add_special_tokens=False)["input_ids"]
    ids = [*frame.prefix, *[frame.image] * frame.slots, *after]
    tensor = torch.tensor([ids], device=visual.device).expand(len(visual), -1)
    embedded = model.get_input_embeddings()(tensor).clone()
    embedded[:, len(frame.prefix) : frame.length] = visual.to(embedded)
    out = model.generate(
        inputs_embeds=embedded,
        attention_mask=torch.ones_like(tensor),
        max_new_tokens=56,
        do_sample=False,
    )
    # Given embeddings, `generate` returns only the new tokens.
    return tokenizer.batch_decode(out, skip_special_tokens=True)
