"""Paper mode on cases that were worked out by hand from the released code's rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.answers.pieces import Answers
from retinoscope.answers.scoring import ModelOutput, Scorer
from retinoscope.answers.tasks import Ask, question_asks
from retinoscope.data import Object, Question, Sample
from retinoscope.engine.fill import Mean
from retinoscope.errors import MissingExtraError
from retinoscope.studies import TokenAblation
from retinoscope.studies._sets import ImageTokens
from retinoscope.studies.ablation.study import _AblationContext, _Memo
from retinoscope.studies.knockout.edges import sources_for, without_target
from retinoscope.tokens import released_scores
from retinoscope.tokens.released import released_tokens


def square(x, y, side, size):
    mask = np.zeros((size[1], size[0]), bool)
    mask[y : y + side, x : x + side] = True
    return Object("car", mask, (x, y, x + side, y + side))


def test_the_released_tokens_drift_and_bend():
    exact = released_tokens(square(20, 20, 20, (240, 240)), (240, 240), 24)
    assert np.argwhere(exact).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    # 47 pixels in 24 patches of floor(1.96) = 1: patch 23 ends at pixel 24.
    drifted = released_tokens(square(10, 10, 2, (47, 47)), (47, 47), 24)
    assert np.argwhere(drifted).tolist() == [[10, 10], [10, 11], [11, 10], [11, 11]]
    assert not released_tokens(square(30, 30, 10, (47, 47)), (47, 47), 24).any()
    # The outline of a polygon loses its vertices outside the centre square.
    wide = square(20, 0, 24, (96, 48))
    polygon = (20.0, 0.0, 44.0, 0.0, 44.0, 24.0, 34.0, 24.0, 20.0, 24.0)
    bent = Object("car", wide.mask, wide.box, polygons=(polygon,))
    assert released_tokens(wide, (96, 48), 24).sum() > released_tokens(bent, (96, 48), 24).sum()


def drawn(size, *polygon):
    return Object("car", np.zeros(size[::-1], bool), (0, 0, 1, 1), polygons=(polygon,))


def test_a_vertex_on_the_right_or_the_lower_edge_of_the_square_is_dropped():
    pytest.importorskip("pycocotools")
    # The square of 48 x 48 has patches of 2 pixels. Without its two vertices at y = 48 the
    # rectangle is a segment of two vertices, and gone; at y = 47 it stays.
    at_edge = drawn((48, 48), 20.0, 40.0, 28.0, 40.0, 28.0, 48.0, 20.0, 48.0)
    assert not released_tokens(at_edge, (48, 48), 24).any()
    above = drawn((48, 48), 20.0, 40.0, 28.0, 40.0, 28.0, 47.0, 20.0, 47.0)
    assert np.argwhere(released_tokens(above, (48, 48), 24)).tolist() == [
        [row, column] for row in (20, 21, 22, 23) for column in (10, 11, 12, 13)
    ]
    # Of a wide image the square begins at x = 24, which lies inside; 72 does not.
    left = drawn((96, 48), 24.0, 0.0, 28.0, 0.0, 28.0, 4.0, 24.0, 4.0)
    assert np.argwhere(released_tokens(left, (96, 48), 24)).tolist() == [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
    ]
    right = drawn((96, 48), 68.0, 0.0, 72.0, 0.0, 72.0, 4.0, 68.0, 4.0)
    assert not released_tokens(right, (96, 48), 24).any()


def test_outlines_are_drawn_by_pycocotools_as_in_the_released_code(monkeypatch):
    coco = pytest.importorskip("pycocotools.mask")
    polygon = [3.3, 2.1, 20.7, 9.4, 11.2, 30.9]
    mask = coco.decode(coco.frPyObjects([polygon], 48, 48))[:, :, 0].astype(bool)
    expected = mask.reshape(24, 2, 24, 2).any(axis=(1, 3))
    assert (released_tokens(drawn((48, 48), *polygon), (48, 48), 24) == expected).all()
    monkeypatch.setitem(__import__("sys").modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match="pycocotools"):
        released_tokens(drawn((48, 48), *polygon), (48, 48), 24)


ASK = Ask("question", "question", "What is this?", "cat", (0,))


@pytest.mark.parametrize(
    ("predicted", "paper", "corrected"),
    [
        ("▁cat", True, True),
        ("▁dog", False, False),
        ("▁a", False, False),
        # Special tokens are skipped in decoding, and nothing is a prefix of everything.
        ("</s>", True, False),
        ("<unk>", True, False),
    ],
)
def test_a_predicted_end_of_text_counts_as_right_in_paper_mode(tiny, predicted, paper, corrected):
    logits = torch.zeros(len(tiny.tokenizer))
    logits[tiny.tokenizer.convert_tokens_to_ids(predicted)] = 9.0
    scorer = Scorer(Answers(tiny.tokenizer))
    assert scorer.score(ASK, "paper", ModelOutput(logits)).correct is paper
    assert scorer.score(ASK, "corrected", ModelOutput(logits)).correct is corrected


def test_object_and_ring_keep_their_tokens_of_the_last_row_in_paper_mode(tiny):
    image = Image.fromarray(np.zeros((56, 56, 3), np.uint8))
    tokens = ImageTokens(tiny.run(tiny.prompt(image, "What color is the cat?")))
    mask = np.zeros((56, 56), bool)
    # Tokens are 8 x 8 pixels in 7 rows: the object is token 45 of the last row, 42 to 48.
    mask[49:55, 25:31] = True
    names = ("object", "object+1", "visual")
    sources = sources_for(tokens, [mask], names, 0.0, np.random.default_rng(0))

    def indices(source, mode):
        found = without_target(source, "last-row", sources, tokens, mode)
        return None if found is None else tokens.indices(found)

    assert indices("object+1", "paper") == (37, 38, 39, 44, 45, 46)
    assert indices("object+1", "corrected") == (37, 38, 39)
    assert indices("object", "paper") == (45,)
    assert indices("object", "corrected") is None
    for mode in ("paper", "corrected"):
        assert indices("visual", mode) == tuple(range(42))


@pytest.fixture
def noise():
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 56, 3), dtype=np.uint8))


def plain_scores(vlm, text, image, vector, steps):
    """The sum written out over the model itself: both ends in full, one position too many."""
    run = vlm.run(vlm.prompt(image, text))
    inputs = run.embeddings[None].clone()
    first, last = run.image.positions[0], run.image.positions[-1]
    start = inputs.clone()
    start[:, first : last + 2] = vector
    total = torch.zeros_like(inputs)
    for alpha in torch.linspace(0, 1, steps):
        between = (start + alpha * (inputs - start)).requires_grad_(True)
        logit = vlm.model(inputs_embeds=between).logits[0, -1, vlm.tokenizer.bos_token_id]
        total += torch.autograd.grad(logit, between)[0]
    scores = (total * (inputs - start) / steps).abs().sum(-1)[0]
    assert not scores[:first].any()
    assert not scores[last + 2 :].any()
    return scores[first : last + 2]


def test_the_released_gradient_counts_both_ends_and_one_position_too_many(tiny, noise):
    text = "Is there a cat in this image?"
    run = tiny.run(tiny.prompt(noise, text))
    vector = torch.linspace(-1, 1, run.embeddings.shape[1])
    expected = plain_scores(tiny, text, noise, vector, steps=5)
    # Special tokens come first: what is explained is the beginning of the text, not "Yes".
    target = int(tiny.tokenizer("Yes")["input_ids"][0])
    assert target == tiny.tokenizer.bos_token_id
    found = released_scores(run, target, Mean(vector, 1, 1), steps=5, batch_size=2)
    assert found.shape == (50,)
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.max()))
    # The position after the image is no visual token, and yet ranks among them.
    assert found[49] > found[:49].min()


def test_a_set_with_the_position_after_the_image_is_ablated_as_it_is(tiny, noise):
    run = tiny.run(tiny.prompt(noise, "Is there a cat in this image?"))
    tokens = ImageTokens(run).tokens((0, 3, 49))
    places = run.image.positions
    assert tokens.positions == (places[0], places[3], places[48] + 1)
    fill = Mean(torch.ones(run.embeddings.shape[1]), 1, 1)
    fast = run.counterfactuals([rs.Ablate(tokens, fill)]).logits
    embeds = run.embeddings[None].clone()
    embeds[:, list(tokens.positions)] = 1.0
    with torch.no_grad():
        plain = tiny.model(inputs_embeds=embeds).logits[0, -1]
    assert torch.allclose(fast[0], plain, atol=1e-4 * float(plain.abs().max()))


@pytest.mark.filterwarnings("ignore::retinoscope.errors.IntegrationWarning")
def test_a_questions_gradient_set_is_that_of_is_there_a_name(tiny, noise):
    mask = np.zeros((40, 56), bool)
    mask[10:20, 20:30] = True
    sample = Sample(
        "one",
        noise,
        (Object("Cat", mask, (20, 10, 30, 20)),),
        questions=(Question("What color is the cat?", "red", "color", (0,)),),
    )
    (ask,) = question_asks(sample, ("color",))
    run = tiny.run(tiny.prompt(noise, ask.text))
    fill = Mean(torch.linspace(-1, 1, run.embeddings.shape[1]), 1, 1)
    context = _AblationContext(Scorer(Answers(tiny.tokenizer)), fill)

    def order(target):
        study = TokenAblation(tiny, [sample], gradient_target=target, gradient_steps=5)
        return study._by_gradient(context, sample, ImageTokens(run), ask, _Memo({}))

    # In lower case, as the released scripts for questions have it.
    polled = tiny.run(tiny.prompt(noise, "Is there a cat in this image?"))
    target = tiny.tokenizer.bos_token_id
    assert order("paper") == ImageTokens(polled).by_released_gradient(target, fill, 5)
    assert sorted(order("paper").order) == list(range(50))
    red = tiny.tokenizer.convert_tokens_to_ids("▁red")
    assert order("answer") == ImageTokens(run).by_gradient(red, fill, 5)
    assert order("answer").order != order("paper").order
    assert order("answer").completeness is not None
    assert order("paper").completeness is None
