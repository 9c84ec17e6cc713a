"""What the lens counts around a name, the words it lists, and random parts as its controls."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.answers.pieces import Answers
from retinoscope.errors import InputError
from retinoscope.reporting import compose
from retinoscope.studies import LogitLens
from retinoscope.studies._untrained import random_adapter, untrained_language
from retinoscope.studies.lens.words import NamedVocabulary
from tests.studies.tabled import tabled


@pytest.fixture(scope="module")
def vlm():
    return rs.load("planted:one-hot-patch")


@pytest.fixture(scope="module")
def results(vlm, tmp_path_factory):
    samples = rs.data.squares(4, seed=2)
    folder = tmp_path_factory.mktemp("lens") / "lens"
    return LogitLens(vlm, samples, near=4, parts=True, untrained=False).run(folder)


def test_near_words_are_those_of_the_embeddings():
    class Words:
        unk_token_id = None
        entries = ("cat", "kitten", "car", "bus", "the", "of")

        def __call__(self, text, **_):
            word = text.strip().lower()
            return {"input_ids": [self.entries.index(word)] if word in self.entries else []}

        def decode(self, ids):
            return self.entries[ids[0]]

    rng = np.random.default_rng(0)
    animal, vehicle, shared = rng.normal(size=(3, 40))
    vectors = [animal, animal, vehicle, vehicle, rng.normal(size=40), rng.normal(size=40)]
    table = np.stack([2 * one + 9 * shared + 0.2 * rng.normal(size=40) for one in vectors])
    vocabulary = NamedVocabulary(Answers(Words()), 6, table, nearest=2)
    assert vocabulary.around("cat").near.tolist() == [0, 1]
    assert vocabulary.around("bus").near.tolist() == [2, 3]
    assert vocabulary.around("cat").synonym.tolist() == [1]
    assert vocabulary.around("cat").piece.tolist() == [0]
    assert NamedVocabulary(Answers(Words()), 6).around("cat").near.tolist() == []


def test_every_row_counts_what_is_near_and_lists_words(results):
    rows = results.table.to_pylist()
    assert {row["weights"] for row in rows} == {"trained", "random adapter", "untrained language"}
    for row in rows:
        words = json.loads(row["words"])
        assert sum(words.values()) <= row["n_tokens"]
        assert row["strict"] <= row["piece"] <= row["n_tokens"]
        assert row["near"] <= row["n_tokens"]


def test_without_another_name_there_is_no_control_of_near_words(vlm, tmp_path):
    alike = [
        replace(one, objects=(replace(one.objects[0], name="apple"),), others=one.objects[1:])
        for one in rs.data.squares(2)
    ]
    found = LogitLens(vlm, alike, near=4, untrained=False).run(tmp_path / "lens")
    measures = {row["measure"] for row in found.summary().to_pylist()}
    assert "near" in measures
    assert "near_other" not in measures


def test_a_random_part_takes_away_what_a_planted_model_reads(results):
    rows = results.summary().to_pylist()

    def peak(weights: str, measure: str = "strict") -> float:
        return max(
            row["share"]
            for row in rows
            if (row["weights"], row["group"], row["measure"]) == (weights, "object", measure)
        )

    assert peak("trained") > 0.5
    assert peak("trained", "near") >= peak("trained")
    assert peak("random adapter") < peak("trained") / 2
    assert peak("untrained language") < peak("trained") / 2


def test_the_report_shows_the_words(results):
    section = next(one for one in compose(results.path).sections if one.key == "lens")
    table = next(one for one in section.tables if one.name.endswith("words"))
    assert len(table.records) > 10
    assert any("“Near”" in note for note in section.notes)


def test_random_parts_leave_the_others_alone(vlm):
    before = {key: value.clone() for key, value in vlm.model.state_dict().items()}
    other = random_adapter(vlm, seed=1).model
    third = untrained_language(vlm, seed=1).model
    assert other.model.language_model is vlm.model.model.language_model
    assert third.model.multi_modal_projector is vlm.model.model.multi_modal_projector
    first = other.model.multi_modal_projector.linear_1.weight
    assert not first.equal(vlm.model.model.multi_modal_projector.linear_1.weight)
    after = vlm.model.state_dict()
    assert all(after[key].equal(before[key]) for key in before)


def test_common_words_are_counted_over_objects_and_images():
    base = {"weights": "trained", "group": "object", "layer": 0, "error": None, "item": 0}
    rows = [
        base | {"sample": "a", "object": "car", "n_tokens": 4, "words": '{"car": 3, "red": 1}'},
        base | {"sample": "b", "object": "cup", "n_tokens": 6, "words": '{"red": 4}'},
    ]
    table = tabled("lens", rows, "words")
    assert [(row["word"], row["n_tokens"], row["n_images"]) for row in table] == [
        ("red", 5, 2),
        ("car", 3, 1),
    ]
    assert table[0]["share"] == pytest.approx(0.5)
    assert table[0]["objects"] == "cup 4, car 1"


def test_what_was_not_measured_has_no_summary():
    row = {"weights": "trained", "group": "object", "layer": 0, "error": None, "item": 0}
    row |= {"sample": "a", "object": "car", "n_tokens": 4, "strict": 1, "lenient": 1}
    table = tabled("lens", [row | {"colour": 0, "any_kind": 1}])
    assert {one["measure"] for one in table} == {
        "strict",
        "lenient",
        "colour",
        "any_kind",
    }
    assert tabled("lens", [row], "words") == []


def test_a_count_beyond_the_vocabulary_is_refused(vlm, tmp_path):
    with pytest.raises(InputError, match="0 <= near"):
        LogitLens(vlm, rs.data.squares(2), near=10**6).run(tmp_path)
