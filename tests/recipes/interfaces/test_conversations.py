"""Packed conversations have the ids and positions that the processor gives one prompt."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from retinoscope.data.scenes import COLORS, KINDS, scene_layout, scene_texts
from retinoscope.interfaces import interface_processor, interface_tokenizer, to_pixels
from retinoscope.pocket.vocabulary import build_tokenizer
from retinoscope.recipes.interfaces import OPTIONS, TRAIN_SEED
from retinoscope.recipes.interfaces._conversations import Conversations
from retinoscope.recipes.interfaces._decoder import build_decoder
from retinoscope.recipes.interfaces._descriptions import Descriptions, summed
from retinoscope.recipes.pocket import Sizes
from retinoscope.recipes.pocket._packing import IGNORED

COLUMNS, ROWS = ("left", "middle", "right"), ("top", "middle", "bottom")
TINY = Sizes(text_width=16, text_layers=2, text_heads=2, text_ff=16)


@pytest.fixture(scope="module")
def tokenizer():
    return interface_tokenizer()


def test_words_of_pocket_keep_their_ids(tokenizer):
    known = build_tokenizer().get_vocab()
    assert {word: tokenizer.get_vocab().get(word) for word in known} == known
    assert len(tokenizer) > len(known)


def test_a_saved_processor_opens_as_blip2(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(144, 144, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    made = interface_processor(5)
    made.save_pretrained(tmp_path)
    opened = AutoProcessor.from_pretrained(tmp_path)
    assert type(opened).__name__ == "Blip2Processor"
    first, again = (
        each(images=image, text="Question: What color is the car? Answer:", return_tensors="pt")
        for each in (made, opened)
    )
    assert first["input_ids"][0, :7].tolist() == [
        4,
        4,
        4,
        4,
        4,
        2,
        made.tokenizer("question")["input_ids"][1],
    ]
    assert torch.equal(first["input_ids"], again["input_ids"])
    assert torch.equal(first["pixel_values"], again["pixel_values"])
    torch.testing.assert_close(first["pixel_values"], to_pixels(noise[None]))


@pytest.mark.parametrize("prefill", ["", "It is a"])
def test_a_packed_turn_has_the_ids_and_positions_of_the_prompt(tokenizer, prefill):
    question = "Is the car at the top, at the bottom or in the middle of the image?"
    turns = Conversations(tokenizer)
    pair = [turns.turn("How many things are there?", "two"), turns.turn(question, "top", prefill)]
    batch = turns.packed([pair], 7, 60)
    prompt = f"Question: {question} Answer: {prefill}".strip()
    done = interface_processor(7)(images=Image.new("RGB", (144, 144)), text=prompt)
    expected = done["input_ids"][0]
    start = 7 + len(turns.after)
    at = start + len(pair[0])
    own = slice(at, at + len(pair[1].prompt))
    assert [*batch.ids[0, :start].tolist(), *batch.ids[0, own].tolist()] == expected
    positions = [*batch.position_ids[0, :start].tolist(), *batch.position_ids[0, own].tolist()]
    assert positions == list(range(len(expected)))
    assert batch.labels[0, own.stop - 1] == tokenizer.convert_tokens_to_ids("▁top")


def test_packed_turns_are_computed_as_alone(tokenizer):
    model = build_decoder(TINY, tokenizer)
    turns = Conversations(tokenizer)
    pair = [turns.turn("What color is the car?", "red"), turns.turn("Is there a cup?", "no")]
    slots = np.arange(6)[None] + 20

    def logits(examples):
        batch = turns.packed(examples, slots, 40)
        mask = torch.zeros(batch.mask.shape).masked_fill(~batch.mask, torch.finfo().min)
        with torch.no_grad():
            return model(
                input_ids=batch.ids, attention_mask=mask, position_ids=batch.position_ids
            ).logits[0]

    start = slots.shape[1] + len(turns.after)
    together, at = logits([pair]), start
    for turn in pair:
        alone = logits([[turn]])[start : start + len(turn)]
        torch.testing.assert_close(together[at : at + len(turn)], alone, atol=1e-5, rtol=0)
        at += len(turn)


def test_questions_for_evaluation_are_never_trained_on(tokenizer):
    turns, rng = Conversations(tokenizer), np.random.default_rng(0)
    asked = 0
    for index in range(40):
        caption, questions = scene_texts(index, TRAIN_SEED, OPTIONS)
        only = [q for q in questions if q.kind == "polling-adversarial"]
        asked += len(only)
        assert len(turns.of_scene(caption, only, rng)) <= 1
    assert asked > 20


def test_all_words_of_varied_scenes_are_known(tokenizer):
    unknown = tokenizer.unk_token_id
    for index in range(60):
        caption, questions = scene_texts(index, 3, OPTIONS)
        for text in (caption, *(f"{q.question} {q.answer}" for q in questions)):
            assert unknown not in tokenizer(text)["input_ids"], text


@pytest.mark.parametrize("n_places", [16, 17, 82])
def test_descriptions_fill_their_places_and_tell_all_of_every_object(tokenizer, n_places):
    descriptions, rng = Descriptions(tokenizer), np.random.default_rng(1)
    for index in range(40):
        layout = scene_layout(index, 3, OPTIONS)
        ids = descriptions.of(layout, n_places, rng)
        assert ids.shape == (n_places, 4)
        places = [set(tokenizer.decode(place[place >= 0]).split()) for place in ids]
        objects = [
            {KINDS[item.kind], COLORS[item.color], COLUMNS[column], ROWS[row]}
            for item in layout.items
            for column, row in [item.thirds()]
        ]
        assert all(told in places for told in objects)
        for place in places:
            assert place == {"ground"} or any(place <= told for told in objects)
            assert place


def test_thirds_are_those_of_the_questions_for_positions():
    asked = 0
    for index in range(40):
        layout = scene_layout(index, 3, OPTIONS)
        for question in scene_texts(index, 3, OPTIONS)[1]:
            if question.kind == "position":
                column, row = layout.items[question.about[0]].thirds()
                across = "left, right" in question.question
                assert question.answer == (COLUMNS[column] if across else ROWS[row])
                asked += 1
    assert asked > 40


def test_places_are_sums_of_words_of_the_same_length():
    words = torch.nn.Embedding(6, 4)
    ids = torch.tensor([[[2, 3, -1, -1], [5, -1, -1, -1]]])
    sums = summed(words, ids)[0]
    torch.testing.assert_close(sums[0], (words.weight[2] + words.weight[3]) / 2**0.5)
    torch.testing.assert_close(sums[1], words.weight[5])


def test_labels_are_only_answers(tokenizer):
    turns = Conversations(tokenizer)
    batch = turns.packed([[turns.turn("What color is the car?", "red")]], 3, 30)
    learned = batch.labels[0][batch.labels[0] != IGNORED].tolist()
    assert tokenizer.decode(learned) == "red</s>"
