"""The planted models do what their names say, and nothing else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import retinoscope as rs
from retinoscope.answers.tasks import DESCRIBE
from retinoscope.data import SQUARE_COLORS, SQUARE_PATCH, squares
from retinoscope.engine import Knockout, Run
from retinoscope.errors import InputError
from retinoscope.pocket.planted import GATHER, PLANTED, SPEAK, build
from retinoscope.tokens import TokenSet

SEEING = tuple(name for name, planted in PLANTED.items() if not planted.blind)


@cache
def model(name: str) -> rs.VLM:
    return rs.load(f"planted:{name}")


def asked(name: str, number: int = 0) -> Run:
    return model(name).run(model(name).prompt(squares(number + 1)[number].image, DESCRIBE))


def behind(run: Run) -> TokenSet:
    """The question's tokens, without the last position."""
    first = max(run.positions["image"].positions)
    return TokenSet.of(run.sequence, range(first + 1, run.n - 1))


def labels_at(run: Run) -> list[list[str]]:
    """The labels that each patch shows, by the scene's masks."""
    sample = squares(1)[0]
    boxes = np.asarray(run.image.boxes).astype(int).tolist()
    return [
        [obj.name for obj in sample.objects if obj.mask[y0:y1, x0:x1].any()]
        for x0, y0, x1, y1 in boxes
    ]


def test_squares_are_the_same_whatever_their_number() -> None:
    few, many = squares(3, seed=4), squares(9, seed=4)
    assert (
        [s.id for s in few]
        == [s.id for s in many[:3]]
        == ["squares-4-0", "squares-4-1", "squares-4-2"]
    )
    assert few[2].image.tobytes() == many[2].image.tobytes()
    assert many[5:][1].id == many[6].id
    assert {len(s.objects) for s in squares(40)} == {2, 3}
    for sample in squares(20):
        assert not sum(obj.mask.astype(int) for obj in sample.objects).max() > 1
        assert sample.captions == (" ".join(sorted(obj.name for obj in sample.objects)),)
        assert all(obj.area == (2 * SQUARE_PATCH) ** 2 for obj in sample.objects)
    with pytest.raises(InputError, match="from 1 up"):
        squares(0)
    with pytest.raises(InputError, match="squares:N"):
        rs.sources.open_source("squares:0")
    assert (
        rs.sources.reopen_source(rs.sources.source_of(squares(3, 7)) or {})[1].id == "squares-7-1"
    )


@pytest.mark.parametrize("name", SEEING)
def test_a_seeing_model_names_what_is_there(name: str) -> None:
    for sample in squares(12, seed=3):
        run = model(name).run(model(name).prompt(sample.image, DESCRIBE))
        assert run.generate(8).text == sample.captions[0]


@pytest.mark.parametrize("name", ["blind", "position-only"])
def test_a_blind_model_says_the_same_of_every_image(name: str) -> None:
    runs = [asked(name, number) for number in range(3)]
    assert {run.generate(8).text for run in runs} == {"bird fish"}
    assert (runs[0].embeddings - runs[1].embeddings).abs().max() <= 1e-4
    same = torch.equal(runs[0].image.embeddings[0], runs[0].image.embeddings[1])
    assert same is (name == "blind")


def test_answer_words_of_via_query_never_see_the_image() -> None:
    run = asked("via-query").generate(8).run()
    image = list(run.positions["image"].positions)
    written = run.positions["generated"].positions
    rows = [min(written) - 1, *written]
    for layer in range(model("via-query").n_layers):
        assert run.attention(layer, rows)[:, :, image].max() == 0
    assert run.attention(GATHER, [min(written) - 2])[0, :, image].sum().item() == pytest.approx(1)


def test_questions_of_direct_never_see_the_image() -> None:
    one, other = (
        model("direct").run(model("direct").prompt(squares(2)[k].image, DESCRIBE)) for k in (0, 1)
    )
    asking = list(behind(one).positions)
    image = list(one.positions["image"].positions)
    for layer in range(model("direct").n_layers):
        assert one.attention(layer, asking)[:, :, image].max() == 0
        assert torch.equal(one.hidden(layer + 1, asking), other.hidden(layer + 1, asking))
    assert not torch.equal(one.logits, other.logits)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("via-query", {"question", "question+answer", "read", "answer+read"}),
        ("direct", {"answer", "question+answer", "answer+read"}),
        ("either-path", {"question+answer", "answer+read"}),
        ("global-broadcast", {"answer", "question+answer", "answer+read"}),
        ("blind", set()),
    ],
)
@pytest.mark.parametrize("exact", ["incremental", "reference"])
def test_knockouts_find_the_path_that_was_planted(name: str, gone: set[str], exact) -> None:
    run = asked(name)
    image, question = run.positions["image"], behind(run)
    edges = {
        "question": [Knockout(image, question)],
        "answer": [Knockout(image, "last+generated")],
        "question+answer": [Knockout(image, question), Knockout(image, "last+generated")],
        "read": [Knockout(question, "last+generated")],
        "answer+read": [Knockout(image, "last+generated"), Knockout(question, "last+generated")],
        "nothing": [],
    }
    texts = run.counterfactuals(list(edges.values()), exact=exact).generate(8).texts
    clean = run.generate(8).text
    assert {edge for edge, text in zip(edges, texts, strict=True) if text != clean} == gone
    assert all(text in ("", clean) for text in texts)


def test_the_path_lies_in_two_blocks() -> None:
    run = asked("via-query")
    image, question = run.positions["image"], behind(run)
    cuts = [Knockout(image, question, layers=[layer]) for layer in range(4)]
    reads = [Knockout(question, "last+generated", layers=[layer]) for layer in range(4)]
    texts = run.counterfactuals([*cuts, *reads]).generate(8).texts
    assert [k for k, text in enumerate(texts) if not text] == [GATHER, 4 + SPEAK]


def test_under_a_full_cut_another_image_gives_the_same_logits() -> None:
    for name in SEEING:
        logits = []
        for number in (0, 1):
            run = asked(name, number)
            image = run.positions["image"]
            text = TokenSet.of(run.sequence, range(max(image.positions) + 1, run.n))
            cut = [Knockout(image, text), Knockout(image, "generated")]
            effects = run.counterfactuals([cut])
            assert effects.generate(8).texts == [""]
            logits.append(effects.logits)
        assert (logits[0] - logits[1]).abs().max() <= 1e-4


def test_a_patch_says_its_own_label_or_all_of_them() -> None:
    run = asked("one-hot-patch")
    here = labels_at(run)
    vocabulary = {name: model("one-hot-patch").tokenizer.encode(name)[-1] for name in SQUARE_COLORS}
    own = run.lens(top_k=1, positions=run.image.tokens).ids[0, :, 0].tolist()
    end = model("one-hot-patch").tokenizer.eos_token_id
    assert own == [vocabulary[names[0]] if names else end for names in here]
    shared = asked("global-broadcast")
    present = {name for names in here for name in names}
    top = shared.lens(top_k=len(present), positions=shared.image.tokens).ids[0]
    assert {tuple(sorted(row)) for row in top.tolist()} == {
        tuple(sorted(vocabulary[name] for name in present))
    }


def test_a_planted_model_is_the_same_every_time_and_by_its_name() -> None:
    first, _ = build("direct")
    again, _ = build("planted:direct")
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    assert model("direct").name == "planted:direct"
    assert model("direct").capabilities.supports("incremental")
    assert model("direct").fingerprint != model("via-query").fingerprint
    half = rs.load("planted:direct", dtype=torch.bfloat16, attention="eager")
    assert half.dtype == torch.bfloat16
    sample = squares(1)[0]
    assert half.run(half.prompt(sample.image, DESCRIBE)).generate(8).text == sample.captions[0]
    with pytest.raises(InputError, match="planted:via-query"):
        rs.load("planted:sideways")
