from dataclasses import replace

import pytest

from retinoscope.answers.tasks import (
    PAPER_PROMPTS,
    PREFILL,
    TASKS,
    PromptOptions,
    asks_of,
    polling_text,
    question_asks,
    studied_objects,
)
from retinoscope.errors import InputError


@pytest.fixture
def sample(make_sample):
    return make_sample(0)


def test_the_papers_prompts_letter_by_letter(sample):
    asks = asks_of(sample, TASKS, PromptOptions())
    texts = [(ask.task, ask.text, ask.answer, ask.objects) for ask in asks]
    assert texts == [
        ("generative", "Describe this image.", "car", (0,)),
        ("generative", "Describe this image.", "fish", (1,)),
        ("polling", "Is there a car in this image?", "yes", (0,)),
        ("polling", "Is there a fish in this image?", "yes", (1,)),
        ("polling", "Is there a apple in this image?", "no", ()),
        ("question", "What color is the car?", "red", (0,)),
        ("question", "What is right of the car?", "fish", (1,)),
    ]


def test_the_article_can_be_proper(sample):
    assert polling_text("apple", "auto") == "Is there an apple in this image?"
    assert polling_text("apple") == "Is there a apple in this image?"
    asks = asks_of(sample, ("polling",), PromptOptions(article="auto"))
    assert asks[-1].text == "Is there an apple in this image?"


def test_a_prefill_stands_only_before_names_of_objects(sample):
    color, relation = question_asks(sample, ("color", "relation"), PREFILL)
    assert (color.prefill, relation.prefill) == (None, "It is a")
    assert relation.decoded("fish") == "What is right of the car? It is a fish"


def test_a_name_that_occurs_twice_is_no_target_unless_allowed(sample):
    twin = replace(sample, objects=(*sample.objects, sample.objects[0]))
    assert studied_objects(twin, PromptOptions()) == (1,)
    assert studied_objects(twin, PromptOptions(unique=False)) == (0, 1, 2)
    assert studied_objects(twin, PromptOptions(unique=False, max_objects=2)) == (0, 1)


def test_area_bounds_are_exclusive_as_in_the_paper(sample):
    area = sample.objects[0].area
    assert studied_objects(sample, PromptOptions(min_area=area)) == ()
    assert studied_objects(sample, PromptOptions(max_area=area)) == ()
    assert studied_objects(sample, PromptOptions(min_area=area - 1, max_area=area + 1)) == (0, 1)


def test_the_papers_images_have_few_objects_and_one_target(sample):
    crowded = replace(sample, objects=sample.objects * 2)
    few = PromptOptions(max_instances=3, unique=False)
    assert studied_objects(sample, few) == (0, 1)
    assert studied_objects(crowded, few) == ()
    area = PAPER_PROMPTS.min_area, PAPER_PROMPTS.max_area
    assert (area, PAPER_PROMPTS.max_objects, PAPER_PROMPTS.max_instances) == ((1000, 2000), 1, 3)


def test_unknown_articles_are_refused():
    with pytest.raises(InputError, match="article"):
        PromptOptions(article="the")
