"""A packed turn is computed exactly as it would be alone."""

import numpy as np
import pytest
import torch

from retinoscope.pocket.vocabulary import build_tokenizer
from retinoscope.recipes.pocket._config import Sizes
from retinoscope.recipes.pocket._model import build_model, initialise
from retinoscope.recipes.pocket._packing import IGNORED, PREFIX, Turn, pack
from retinoscope.recipes.pocket._turns import Turns

TINY = Sizes(
    image=24, vision_width=16, vision_layers=1, vision_heads=2, vision_ff=16,
    text_width=16, text_layers=2, text_heads=2, text_ff=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def logits(model, batch):
    mask = torch.zeros(batch.mask.shape).masked_fill(~batch.mask, torch.finfo().min)
    with torch.no_grad():
        hidden = model.model.language_model(
            inputs_embeds=model.get_input_embeddings()(batch.ids),
            attention_mask=mask,
            position_ids=batch.position_ids,
        ).last_hidden_state
        return model.lm_head(hidden)


def test_packed_turns_do_not_see_each_other(tokenizer):
    model = build_model(TINY, tokenizer)
    initialise(model, 0)
    turns = Turns(tokenizer)
    pair = [turns.turn("What color is the car?", "red"), turns.turn("Is there a cup?", "no")]
    prefix = tokenizer(PREFIX)["input_ids"]
    slots = np.arange(4)[None] + 20
    packed = pack([pair], prefix, slots, 40, pad=0)
    together = logits(model, packed)[0]
    start = len(prefix) + 4
    for turn in pair:
        alone = logits(model, pack([[turn]], prefix, slots, 40, pad=0))[0]
        stop = start + len(turn)
        mine = together[start:stop]
        torch.testing.assert_close(mine, alone[len(prefix) + 4 :][: len(turn)], atol=1e-5, rtol=0)
        start = stop


def test_labels_stand_where_the_answer_is_predicted():
    turn = Turn(prompt=(5, 6), answer=(7, 8))
    batch = pack([[turn]], [1], np.array([[4, 4]]), 6, pad=0)
    assert batch.ids[0].tolist() == [1, 4, 4, 5, 6, 7, 8, 0, 0]
    learned = {t: v for t, v in enumerate(batch.labels[0].tolist()) if v != IGNORED}
    assert learned == {4: 7, 5: 8}


def test_a_turn_that_does_not_fit_is_left_out():
    turns = [Turn((5,), (7,)), Turn((5, 5, 5), (7, 7)), Turn((6,), (8,))]
    batch = pack([turns], [1], np.array([[4]]), 5, pad=0)
    assert batch.ids[0].tolist() == [1, 4, 5, 7, 6, 8, 0]


def test_the_paper_prompts_are_known_words(tokenizer):
    for prompt in (
        "USER: <image>\nDescribe this image. ASSISTANT:",
        "USER: <image>\nIs there a car in this image? ASSISTANT:",
        "USER: <image>\nWhat is left of the car? ASSISTANT: It is a",
    ):
        ids = tokenizer(prompt)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert ids.count(tokenizer.convert_tokens_to_ids("<image>")) == 1


def test_text_survives_the_tokenizer(tokenizer):
    text = "a red car, a blue fish and an orange tree. a sign says stop."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert (
        tokenizer(" car", add_special_tokens=False)["input_ids"]
        == (tokenizer("Car", add_special_tokens=False)["input_ids"])
    )


def test_the_chat_template_is_the_prompt_of_llava(tokenizer):
    content = [{"type": "image"}, {"type": "text", "text": "Describe this image."}]
    messages = [{"role": "user", "content": content}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "USER: <image>\nDescribe this image. ASSISTANT:"
