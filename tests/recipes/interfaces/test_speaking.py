"""Captions, and behind them the codes of their images."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from retinoscope.interfaces import NewWords, interface_tokenizer
from retinoscope.interfaces.codes import CodeSequences
from retinoscope.recipes.interfaces._decoder import build_decoder
from retinoscope.recipes.interfaces._speaking import CodeIds, code_ids, writing_loss
from retinoscope.recipes.pocket import Sizes

N_CODES = 6


def test_codes_come_behind_all_words_as_the_tokenizer_has_them() -> None:
    ids, tokenizer = CodeIds.of(N_CODES), interface_tokenizer(N_CODES)
    assert ids.n == len(tokenizer)
    names = tokenizer.convert_ids_to_tokens(code_ids(torch.tensor([0, 5]), ids).tolist())
    assert names == ["<codes>", "<code-0>", "<code-5>", "</codes>"]
    plain = interface_tokenizer()
    text = "Is there a red car in this image?"
    assert tokenizer(text)["input_ids"] == plain(text)["input_ids"]


def test_the_loss_is_that_of_codes_behind_each_caption_alone() -> None:
    ids = CodeIds.of(N_CODES)
    tokenizer = interface_tokenizer()
    decoder = build_decoder(
        Sizes(text_width=16, text_layers=2, text_heads=2, text_ff=16), tokenizer
    ).eval()
    torch.manual_seed(0)
    NewWords(decoder, ids.n - ids.open).attach(decoder)
    captions = [tokenizer(text)["input_ids"] for text in ("a red car.", "a blue cup and a tree.")]
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    codes = torch.tensor([[3, 1, 1, 5], [2, 4, 0, 0]])
    sequences = CodeSequences(codes, mask, torch.zeros_like(codes))
    losses = []
    for caption, row, there in zip(captions, codes, mask, strict=True):
        image = code_ids(row[there], ids)
        whole = torch.cat([torch.tensor(caption), image])
        logits = decoder(whole[None]).logits[0, len(caption) - 1 : -1]
        losses.append(F.cross_entropy(logits, image, reduction="none"))
    found = writing_loss(decoder, captions, sequences, ids)
    torch.testing.assert_close(found, torch.cat(losses).mean(), atol=1e-5, rtol=1e-5)
