"""Images that a language model writes."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import retinoscope as rs
from retinoscope.interfaces import (
    InterfaceConfig,
    InterfaceForConditionalGeneration,
    NewWords,
    draw,
    interface_processor,
    interface_tokenizer,
    widen,
)

TOWER = {"image": 144, "patch": 16, "width": 16, "layers": 1, "heads": 2, "ff": 16}
SIZES = {"heads": 2, "ff": 16, "n_codes": 8, "d_code": 4}


def vlm(n_codes: int = 8) -> SimpleNamespace:
    torch.manual_seed(0)
    processor = interface_processor(81, 144, n_codes)
    text = LlamaConfig(
        vocab_size=len(processor.tokenizer), hidden_size=16, intermediate_size=16,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    settings = {"tower": TOWER, "tokenizer": SIZES, "heads": 2, "ff": 16}
    config = InterfaceConfig("lavit", settings, text, image_token_id=4)
    model = InterfaceForConditionalGeneration(config).eval()
    return SimpleNamespace(model=model, tokenizer=processor.tokenizer, name="lavit")


def test_codes_are_written_decoded_and_painted() -> None:
    images = draw(vlm(), "a red car.", 3, seed=1)
    assert len(images) == 3
    for one in images:
        assert 1 <= len(one.codes) <= 81
        assert set(one.codes.tolist()) <= set(range(8))
        assert one.features.shape == (81, 16)
        assert one.image.size == (144, 144)
    again = draw(vlm(), "a red car.", 3, seed=1)
    assert [one.codes.tolist() for one in images] == [one.codes.tolist() for one in again]
    others = draw(vlm(), "a red car.", 3, seed=2)
    assert [one.codes.tolist() for one in images] != [one.codes.tolist() for one in others]


def test_the_most_probable_codes_are_those_of_the_language_model() -> None:
    subject = vlm()
    (one,) = draw(subject, "a red car.", top_k=1)
    ids = [*subject.tokenizer("a red car.")["input_ids"], len(interface_tokenizer())]
    first = len(interface_tokenizer()) + 2
    for code in one.codes.tolist()[:5]:
        with torch.no_grad():
            logits = subject.model.language_model(torch.tensor([ids])).logits[0, -1]
        assert int(logits[first:].argmax()) == code
        ids.append(first + code)


@pytest.mark.parametrize(
    ("make", "caption", "error", "said"),
    [
        (lambda: vlm(0), "a red car.", rs.CapabilityError, "lavit writes no images"),
        (vlm, "a red unicorn.", rs.InputError, "got 'unicorn.'"),
    ],
)
def test_what_cannot_be_written_is_refused(make, caption, error, said: str) -> None:
    with pytest.raises(error, match=said):
        draw(make(), caption)


def test_new_words_come_behind_all_others() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    decoder = LlamaForCausalLM(config).eval()
    words = NewWords(decoder, 3)
    ids = torch.tensor([[1, 12, 5, 13]])
    attached = copy.deepcopy(decoder)
    words.attach(attached)
    assert not set(map(id, words.parameters())) & set(map(id, attached.parameters()))
    with torch.no_grad():
        old = decoder(torch.tensor([[1, 5]])).logits
        widen(decoder, words.state_dict())
        torch.testing.assert_close(attached(ids).logits, decoder(ids).logits)
        torch.testing.assert_close(decoder(torch.tensor([[1, 5]])).logits[..., :11], old)
    assert decoder.config.vocab_size == 14
    attached(ids).logits.sum().backward()
    assert words.inputs.grad[[1, 2]].abs().min() > 0
    assert words.inputs.grad[0].abs().max() == 0
