"""Words of prompts: where they stand, what is unknown, and how a model writes an answer there."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import retinoscope as rs
from retinoscope.answers.pieces import Answers, says_yes
from retinoscope.errors import UnknownWordsWarning
from retinoscope.models import Vocabulary, pieces_after
from retinoscope.viewer._of_run import notes_on
from retinoscope.viewer._session import live_sample

PIECES = (
    *("<unk>", "</s>", "\n", ":", "▁", "▁Answer", "▁yes", "▁Yes", "▁no", "▁No"),
    *("yes", "Yes", "no", "No", "▁Is", "▁it", "▁zeb"),
)


def _with_dummy_prefix() -> PreTrainedTokenizerFast:
    """As SentencePiece: a space before every text, none behind a line break or a colon."""
    vocabulary = {piece: index for index, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[\n:]"), "isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="first"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


TOKENIZER = _with_dummy_prefix()


def _ids(*pieces: str) -> set[int]:
    return {PIECES.index(piece) for piece in pieces}


@pytest.mark.parametrize("after", ["Is it\n", "Answer:"])
def test_the_piece_that_the_model_writes_is_among_those_of_the_answer(after: str) -> None:
    answers = Answers(TOKENIZER)
    assert set(answers.first_pieces("yes")) == _ids("▁yes", "▁Yes")
    found = answers.first_pieces("yes", after)
    assert set(found) == _ids("▁yes", "▁Yes", "yes", "Yes")
    logits = torch.zeros(len(PIECES))
    logits[PIECES.index("Yes")] = 12.0  # p(Yes) = .9999
    assert says_yes(logits, found, answers.first_pieces("no", after))
    assert not says_yes(logits, answers.first_pieces("yes"), answers.first_pieces("no"))


def test_pieces_behind_a_word_and_behind_a_space() -> None:
    assert pieces_after(TOKENIZER, " yes", "Is it") == [PIECES.index("▁yes")]
    assert pieces_after(TOKENIZER, "yes", "Is it") == []  # "ityes" is another word
    assert pieces_after(TOKENIZER, "yes", "Answer: ") == [PIECES.index("yes")]
    ways = Vocabulary(TOKENIZER).spellings("yes", "Answer:")
    assert ways == [(PIECES.index("▁yes"),), (PIECES.index("yes"),)]
    assert Vocabulary(TOKENIZER).spellings(" yes", "Answer:") == ways[:1]


def test_unknown_words_of_a_text() -> None:
    vocabulary = Vocabulary(TOKENIZER)
    assert vocabulary.unknown("Is it yes") == ()
    assert vocabulary.unknown("Is zebra it: lion\nyes zebra") == ("zebra", "lion")
    assert vocabulary.unknown("Is</s> it") == ()
    assert vocabulary.control("Is it </s>") == "</s>"
    assert vocabulary.control("Is it s>") is None


def test_a_prompt_says_which_words_are_unknown() -> None:
    vlm = rs.load("pocket", check=False)
    image = Image.new("RGB", (24, 24))
    with pytest.warns(UnknownWordsWarning, match="'zebra', 'giraffe'"):
        prompt = vlm.prompt(image, "Is there a zebra in this image?", prefill="a giraffe")
    assert prompt.unknown == ("zebra", "giraffe")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vlm.prompt(image, "Is there a Fish in this image?").unknown == ()
        raw = "USER: <image>\nIs there a fish? ASSISTANT:"
        assert vlm.prompt(image, raw, raw=True).unknown == ()


@pytest.mark.parametrize("text", ["</s>", "a fish <pad>", "<unk> and", "<image>"])
def test_typed_special_tokens_are_refused(text: str) -> None:
    vlm = rs.load("pocket", check=False)
    with pytest.raises(rs.InputError, match="raw=True"):
        vlm.prompt(None, text)
    with pytest.raises(rs.InputError, match="raw=True"):
        vlm.prompt(None, "a fish", prefill=text)


@pytest.mark.parametrize("text", ["A", "ASSISTANT", "ASSISTANT:", "USER", " image ", "a fish", ":"])
def test_the_question_is_found_by_the_templates_structure(text: str) -> None:
    vlm = rs.load("pocket", check=False)
    run = vlm.run(vlm.prompt(Image.new("RGB", (24, 24)), text))
    question = run.positions["question"]
    behind = run.n - len(vlm.tokenizer(" ASSISTANT:", add_special_tokens=False)["input_ids"])
    words = vlm.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert question.positions == tuple(range(behind - len(words), behind))
    assert run.inputs.input_ids[list(question.positions)].tolist() == words


def test_prompts_longer_than_the_context_are_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    vlm = rs.load("pocket", check=False)
    context = vlm.adapter.context
    assert context is not None
    image = Image.new("RGB", (24, 24))
    n = len(vlm.prompt(image, "fish").inputs.input_ids)
    with pytest.raises(rs.InputError, match=f"{context} positions, got {context + 1}"):
        vlm.prompt(image, "fish " * (context - n + 2))
    # The library's own warning would only stand before that.
    assert not caplog.records
    vlm.tokenizer.model_max_length = 10
    vlm.tokenizer.deprecation_warnings.clear()
    longest = vlm.prompt(image, "fish " * (context - n + 1))
    assert {record.name for record in caplog.records} == {"transformers.tokenization_utils_base"}
    run = vlm.run(longest)
    assert run.n == context
    assert len(run.generate(1).token_ids) == 1
    with pytest.raises(rs.InputError, match="max_new_tokens up to 1"):
        run.generate(2)
    with pytest.raises(rs.InputError, match=f"got {context + 1}"):
        vlm.run(longest, continuation=[5])


def test_an_embedded_model_says_which_world_it_knows() -> None:
    vlm = rs.load("pocket", check=False)
    sample = rs.data.scenes(1)[0]
    known = vlm.knows
    assert known is not None
    assert {one.name for one in sample.objects} <= set(known.kinds)
    assert {one.color for one in sample.objects} <= set(known.colors)
    assert known.text() in (rs.pocket.folder("pocket") / "README.md").read_text()
    assert known.strange(sample.image.size) == ""
    photograph = vlm.run(vlm.prompt(Image.new("RGB", (64, 48)), "Describe this image."))
    assert "64 x 48" in notes_on(photograph)
    assert notes_on(vlm.run(vlm.prompt(sample.image, "Describe this image."))) == ""
    with pytest.warns(UnknownWordsWarning):
        asked = vlm.run(vlm.prompt(sample.image, "Is there a zebra?"))
    assert "zebra" in notes_on(asked)
    assert live_sample(asked, "a", "b").note == notes_on(asked)
    assert rs.pocket.world_of("llava-hf/llava-1.5-7b-hf") is None
    squares = rs.sources.open_source("squares:1")[0]
    planted = rs.pocket.world_of("planted:direct")
    assert planted is not None
    assert planted.strange(squares.image.size) == ""
