"""Image re-prompting: budgets, exactness at both ends, and planted answers."""

from __future__ import annotations

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.answers.tasks import DESCRIBE
from retinoscope.data import squares
from retinoscope.errors import InputError, StudyError
from retinoscope.pocket.planted import SPEAK
from retinoscope.studies import ImageReprompting
from retinoscope.studies.reprompt.study import (
    budget,
    description_attention,
    next_turn,
    without_dropped,
)


@pytest.mark.parametrize(
    ("share", "n", "size"), [(0, 9, 0), (1, 9, 9), (0.29, 100, 29), (0.05, 36, 1), (0.5, 7, 3)]
)
def test_a_budget_is_rounded_down(share: float, n: int, size: int) -> None:
    assert budget(share, n) == size


def test_a_budget_below_one_token_is_refused() -> None:
    with pytest.raises(InputError, match="at least one of 16"):
        budget(0.05, 16)


def test_everything_kept_is_the_plain_pass_and_hides_nothing() -> None:
    vlm = rs.load("planted:direct")
    first = vlm.run(vlm.prompt(squares(1)[0].image, DESCRIBE))
    second = next_turn(first, "What is in this image?")
    assert second.n > first.n
    assert without_dropped(second, first.n, (tuple(range(36)),) * 4) == []
    kept = (tuple(range(36)),) * 3 + (tuple(range(1, 36)),)
    found = without_dropped(second, first.n, kept)
    assert [one.layers for one in found] == [(3,), (3,)]
    assert found[0].source.positions == (first.image.positions[0],)
    assert set(found[0].target.positions) == set(range(first.n, second.n))


def test_attention_of_the_description_finds_what_it_names() -> None:
    sample = squares(1)[0]
    vlm = rs.load("planted:direct")
    first = vlm.run(vlm.prompt(sample.image, DESCRIBE))
    scores = description_attention(first, first.generate(8).token_ids.tolist())
    assert scores.shape == (4, 36)
    shown = [
        any(obj.mask[int(y0) : int(y1), int(x0) : int(x1)].any() for obj in sample.objects)
        for x0, y0, x1, y1 in np.asarray(first.image.boxes)
    ]
    assert scores[SPEAK][shown].min() > 2 * scores[SPEAK][~np.array(shown)].max()


def test_few_tokens_are_enough_where_they_are_chosen_by_attention(tmp_path) -> None:
    study = ImageReprompting(
        rs.load("planted:direct"), squares(16, seed=5), shares=(0.0, 0.35, 1.0)
    )
    results = study.run(tmp_path / "run")
    assert results.errors() == []
    found = {(r["selector"], r["share"]): r for r in results.summary().to_pylist()}
    assert set(found) == {
        *(("attention", share) for share in (0.0, 0.35, 1.0)),
        *(("random", 0.35), ("naive", 1.0)),
    }
    assert found["attention", 0.0]["accuracy"] == 0
    assert found["attention", 0.35]["accuracy"] == 1
    assert found["attention", 1.0]["accuracy"] == found["naive", 1.0]["accuracy"] == 1
    assert found["random", 0.35]["accuracy"] < 1
    assert found["attention", 0.35]["difference"] > 0
    row = found["attention", 0.35]
    assert row["n_kept"] == 12
    assert 12 / 36 <= row["union"] <= 1
    assert row["bytes_share"] == pytest.approx((45 - 24) / 45)
    assert found["attention", 1.0]["bytes_share"] == 1


def test_the_question_carries_the_image_where_it_was_planted(tmp_path) -> None:
    """In via-query the old question's tokens hold what is there, if beside new ones that do not."""
    study = ImageReprompting(rs.load("planted:via-query"), squares(6), shares=(0.0, 1.0))
    found = {
        (r["selector"], r["share"]): r["accuracy"]
        for r in study.run(tmp_path / "run").summary().to_pylist()
    }
    assert found["attention", 0.0] > 0, "of direct nothing is left"
    assert found["attention", 1.0] == found["naive", 1.0] == 1


def test_options_that_cannot_work_are_refused(tmp_path) -> None:
    vlm, samples = rs.load("planted:direct"), squares(2)
    for options in ({"shares": ()}, {"shares": (1.2,)}, {"answer_tokens": 0}):
        with pytest.raises(InputError):
            ImageReprompting(vlm, samples, **options).run(tmp_path / "run")
    with pytest.raises(StudyError, match="at least one of 36"):
        ImageReprompting(vlm, samples, shares=(0.01,)).run(tmp_path / "run")
