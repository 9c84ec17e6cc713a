import pytest

from retinoscope.answers.matching import (
    answers,
    names_object,
    paper_first_piece,
    paper_names_object,
    paper_says_yes,
)
from retinoscope.answers.words import plural, words_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a red car, a blue fish and a green tree.", "car"),
        ("Two CATS sleep.", "cat"),
        ("a kitten", "cat"),
        ("an old sofa", "couch"),
        ("several knives", "knife"),
        ("two wine  glasses stand there", "wine glass"),
        ("the children play", "person"),
        ("two buses", "bus"),
        ("a cat-like toy", "cat"),
        ("the cat's bowl", "cat"),
        ("three sheep", "sheep"),
    ],
)
def test_a_whole_word_names_the_object(text, name):
    assert names_object(text, name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("it is located here", "cat"),
        ("she is carrying a scarf", "car"),
        ("the described scene", "bed"),
        ("busy bushes", "bus"),
        ("a beard", "bear"),
        ("activities", "tie"),
        ("a car2 model", "car"),
        ("a wine and a glass", "wine glass"),
        ("", "cat"),
    ],
)
def test_a_part_of_another_word_does_not(text, name):
    assert not names_object(text, name)


def test_the_papers_caption_rule_is_a_case_sensitive_substring():
    assert paper_names_object("it is located here", "cat")
    assert not paper_names_object("Cat", "cat")
    assert not paper_names_object("a kitten", "cat")


def test_the_papers_polling_rule_looks_for_yes_anywhere():
    assert paper_says_yes("Is there a cat in this image? YES, there is")
    assert paper_says_yes("Is there a cat? No, only eyes")
    assert not paper_says_yes("Is there a cat? No.")


@pytest.mark.parametrize(
    ("predicted", "piece", "correct"),
    [
        ("cat", "▁cat", True),
        (" cat", "Ġcat", True),
        # A decoded token has no marker; one that had would be a name of its own.
        ("▁cat", "cat", False),
        ("C", "cat", True),
        ("", "cat", True),
        (" ", "cat", True),
        ("t", "teddy", True),
        ("cats", "cat", False),
        ("dog", "cat", False),
    ],
)
def test_the_papers_question_rule_is_an_inverted_prefix(predicted, piece, correct):
    assert paper_first_piece(predicted, piece) is correct


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("cat", "cats"),
        ("bus", "buses"),
        ("box", "boxes"),
        ("berry", "berries"),
        ("key", "keys"),
        ("leaf", "leaves"),
        ("fish", "fish"),
        ("scissors", "scissors"),
        ("wine glass", "wine glasses"),
        ("brush", "brushes"),
    ],
)
def test_plurals(word, form):
    assert plural(word) == form


def test_forms_hold_the_name_its_synonyms_and_their_plurals_once():
    forms = words_of("Couch")
    assert forms[:2] == ("couch", "couches")
    assert {"sofa", "sofas"} <= set(forms)
    assert len(forms) == len(set(forms))


def test_a_generated_answer_holds_the_word():
    assert answers("It is a red one.", "red")
    assert not answers("a bored dog", "red")
