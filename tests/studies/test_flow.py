"""Information flow: edges, layer sets, objects, and planted paths through the whole study."""

from __future__ import annotations

import math

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.answers.objects import Overlap, objects_named
from retinoscope.answers.tasks import DESCRIBE
from retinoscope.data import squares
from retinoscope.engine import Knockout
from retinoscope.errors import InputError
from retinoscope.studies import FLOW_PRESETS, InformationFlow, layer_sets, parse_edges
from retinoscope.studies._sets import ImageTokens
from retinoscope.studies.flow.edges import block, name_positions, random_instead
from retinoscope.tokens import TokenSet


@pytest.fixture(scope="module")
def run():
    vlm = rs.load("planted:via-query")
    return vlm.run(vlm.prompt(squares(1)[0].image, DESCRIBE))


def _study(name: str, **options) -> InformationFlow:
    settings = {"untrained": False, "n_examples": 1} | options
    return InformationFlow(rs.load(f"planted:{name}"), squares(3, seed=1), **settings)


def _rows(summary, **where):
    return [r for r in summary.to_pylist() if all(r[k] == v for k, v in where.items())]


def test_layer_sets_cover_the_depth() -> None:
    sets = layer_sets(8, ("all", "slide", "keep", "from"))
    found = {(one.kind, one.window.first): one for one in sets}
    assert found["all", 0].layers == tuple(range(8))
    slides = [one.layers for one in sets if one.kind == "slide"]
    assert sum(slides, ()) == tuple(range(8))
    assert found["keep", 2].layers == (0, 1, 4, 5, 6, 7)
    assert (found["keep", 2].window.first, found["keep", 2].window.last) == (2, 3)
    assert found["from", 6].layers == (6, 7)
    assert ("from", 0) not in found
    windows = [one.window for one in layer_sets(4, ("slide",), width=3, step=1)]
    assert [(one.first, one.last) for one in windows] == [(0, 2), (1, 3)]


@pytest.mark.parametrize(
    ("kinds", "width", "step"),
    [
        (("some",), None, None),
        ((), None, None),
        (("keep",), 4, None),
        (("slide",), 5, None),
        (("slide",), 2, 0),
    ],
)
def test_layer_sets_that_cannot_be_are_refused(kinds, width, step) -> None:
    with pytest.raises(InputError):
        layer_sets(4, kinds, width, step)


@pytest.mark.parametrize(
    "text",
    ["", "image", "image:", "image:word", "sun:query", "image:query,", "image:query,image:query"],
)
def test_edges_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_edges(text)


def test_every_preset_can_be_read() -> None:
    for preset in FLOW_PRESETS.values():
        assert all(parse_edges(edges) for edges in preset.edges)


def test_the_last_position_belongs_to_one_group_in_each_reading(run) -> None:
    last = run.n - 1
    for reading in ("query", "generated"):
        named = name_positions(ImageTokens(run), reading)
        groups = [set(named[n].positions) for n in ("before", "image", "query", "generated")]
        assert set().union(*groups) == set(range(run.n))
        assert sum(map(len, groups)) == run.n
        assert (last in named[reading].positions) is True
        assert max(named["before"].positions) < min(named["image"].positions)


def test_edges_become_rows_and_keys(run) -> None:
    positions = name_positions(ImageTokens(run), "generated")
    image, query = (frozenset(positions[n].positions) for n in ("image", "query"))
    both = block(parse_edges("image:query,image:generated"), positions)
    assert both is not None
    assert both.prompt == dict.fromkeys([*sorted(query), run.n - 1], image)
    assert both.generated == image
    assert both.n_edges == 36 * (len(query) + 1)
    own = block(parse_edges("last:last"), positions)
    assert own is not None
    assert own.prompt == {run.n - 1: frozenset([run.n - 1])}
    inner = block(parse_edges("query:query"), positions)
    assert inner is not None
    assert inner.n_edges == math.comb(len(query), 2)
    assert block(parse_edges("query:image"), positions) is None
    assert block(parse_edges("object:last"), positions) is None


def test_random_edges_are_as_many_and_others(run) -> None:
    positions = name_positions(ImageTokens(run), "generated")
    cut = block(parse_edges("image:query,image:generated"), positions)
    assert cut is not None
    drawn = random_instead(cut, run.n, 3, np.random.default_rng(0))
    assert drawn.n_edges == cut.n_edges + 3 * 36
    assert not drawn.generated
    for row, keys in drawn.prompt.items():
        assert 0 < min(keys) <= max(keys) < row
        assert not keys & cut.prompt.get(row, frozenset())
    again = random_instead(cut, run.n, 3, np.random.default_rng(0))
    assert again == drawn
    huge = random_instead(cut, run.n, 10_000, np.random.default_rng(0))
    assert huge.n_edges == math.comb(run.n - 1, 2) - sum(len(k - {0}) for k in cut.prompt.values())


def test_knockouts_of_the_study_are_those_of_the_engine(run) -> None:
    positions = name_positions(ImageTokens(run), "generated")
    image, query = run.positions["image"], positions["query"]
    cut = block(parse_edges("image:query,image:generated"), positions)
    assert cut is not None
    by_hand = [Knockout(image, query, [1, 2]), Knockout(image, "last+generated", [1, 2])]
    found = run.counterfactuals([cut.knockouts(run, [1, 2]), by_hand])
    assert (found.logits[0] == found.logits[1]).all()
    assert len(set(found.generate(6).texts)) == 1


def test_cached_generation_equals_one_pass_with_the_same_edges_blocked(run) -> None:
    """Knocking out while writing, step by step, against prompt and text at once."""
    positions = name_positions(ImageTokens(run), "query")
    for edges in (
        "image:query",
        "query:generated",
        "image:generated",
        "image:query,query:generated",
    ):
        cut = block(parse_edges(edges), positions)
        assert cut is not None
        stepped = run.counterfactuals([cut.knockouts(run, [1, 2])]).generate(5, keep_logits=True)[0]
        assert stepped.logits is not None
        ids = stepped.token_ids.tolist()
        whole = run.vlm.run(run.prompt, continuation=ids)
        rows = dict(cut.prompt) | dict.fromkeys(range(run.n, whole.n), cut.generated)
        cuts = [
            Knockout(
                TokenSet.of(whole.sequence, sorted(keys)),
                TokenSet.of(whole.sequence, [row]),
                [1, 2],
            )
            for row, keys in rows.items()
            if keys and row < run.n + len(ids) - 1
        ]
        if len(ids) > 1:
            last = run.vlm.run(run.prompt, continuation=ids[:-1])
            moved = [
                Knockout(
                    TokenSet.of(last.sequence, one.source.positions),
                    TokenSet.of(last.sequence, one.target.positions),
                    one.layers,
                )
                for one in cuts
            ]
            wanted = last.counterfactuals([moved], exact="reference").logits[0]
            scale = wanted.abs().max()
            assert (stepped.logits[-1] - wanted).abs().max() <= 1e-4 * scale


def test_under_a_full_cut_the_pocket_model_writes_the_same_of_every_image() -> None:
    vlm = rs.load("pocket")
    texts, logits = set(), []
    for sample in rs.data.scenes(2):
        run = vlm.run(vlm.prompt(sample.image, DESCRIBE))
        positions = name_positions(ImageTokens(run), "query")
        cut = block(parse_edges("image:query,image:generated"), positions)
        assert cut is not None
        effects = run.counterfactuals([cut.knockouts(run, range(vlm.n_layers))])
        texts.add(effects.generate(12).texts[0])
        logits.append(effects.logits)
        assert texts != {run.generate(12).text}
    assert len(texts) == 1
    assert (logits[0] - logits[1]).abs().max() <= 1e-4 * logits[0].abs().max()


def test_objects_are_found_by_whole_words_longest_first() -> None:
    known = ("dog", "hot dog", "person", "car")
    assert objects_named("Two women eat hot dogs by a carpet.", known) == {"hot dog", "person"}
    assert objects_named("A hot dog and a dog.", known) == {"hot dog", "dog"}
    assert objects_named("", known) == frozenset()


@pytest.mark.parametrize(
    ("candidate", "reference", "precision", "recall", "f1"),
    [
        ("ab", "ac", 0.5, 0.5, 0.5),
        ("a", "ab", 1.0, 0.5, 2 / 3),
        ("", "ab", None, 0.0, 0.0),
        ("ab", "", 0.0, None, 0.0),
        ("", "", None, None, None),
    ],
)
def test_overlap_says_what_is_undefined(candidate, reference, precision, recall, f1) -> None:
    found = Overlap.of(frozenset(candidate), frozenset(reference))
    assert (found.precision, found.recall, found.f1) == (precision, recall, f1)


@pytest.mark.parametrize(
    ("name", "via_query", "direct", "both"),
    [("via-query", 0, 1, 0), ("direct", 1, 0, 0), ("either-path", 1, 1, 0), ("blind", 1, 1, 1)],
)
def test_the_study_tells_the_planted_paths_apart(name, via_query, direct, both, tmp_path) -> None:
    edges = {
        "image:query": via_query,
        "image:generated": direct,
        "image:query,image:generated": both,
    }
    study = _study(name, edges=tuple(edges), layers=("all",), readings=("generated",))
    results = study.run(tmp_path / "run")
    assert results.errors() == []
    for one, f1 in edges.items():
        described = _rows(results.summary(), task="description", edges=one, is_control=False)
        assert [row["f1"] for row in described] == [f1]
        answered = _rows(results.summary(), task="question", edges=one, is_control=False)
        if name == "blind":
            assert answered[0]["probability_change"] == 0
        else:
            assert answered[0]["probability_change"] == pytest.approx(f1 - 1, abs=0.01)


def test_one_layer_is_enough_where_only_one_is_used(tmp_path) -> None:
    results = _study("via-query", edges=("image:query",), tasks=("description",)).run(
        tmp_path / "r"
    )
    for reading in ("query", "generated"):
        found = {
            (r["layers"], r["first_layer"]): r["f1"]
            for r in _rows(results.summary(), reading=reading, edges="image:query")
            if not r["is_control"]
        }
        assert found == {
            ("all", 0): 0,
            **{("slide", layer): int(layer != 1) for layer in range(4)},
            **{("keep", layer): int(layer == 1) for layer in range(4)},
        }


def test_the_first_word_is_written_at_the_last_position(tmp_path) -> None:
    """Of a one-word answer, image -> generated under the reading "query" can change nothing."""
    results = _study("direct", edges=("image:generated",), layers=("all",)).run(tmp_path / "run")
    blocked = _rows(results.summary(), edges="image:generated", is_control=False)
    by = {(r["task"], r["reading"]): r for r in blocked}
    assert by["question", "query"]["probability_change"] == 0
    assert by["question", "query"]["correct"] == 1
    assert by["question", "generated"]["probability_change"] < -0.9
    assert 0 < by["description", "query"]["f1"] < 1
    assert by["description", "generated"]["f1"] == 0


def test_rows_hold_what_was_done_and_the_control_stands_beside(tmp_path) -> None:
    study = _study("via-query", edges=("image:query",), layers=("all",), untrained=True)
    results = study.run(tmp_path / "run")
    table = results.table.to_pylist()
    cut, control = (
        next(r for r in table if r["reading"] == "generated" and r["is_control"] is is_control)
        for is_control in (False, True)
    )
    assert (cut["n_edges"], control["n_edges"]) == (36 * 5, 36 * 5)
    assert (cut["text_before"], cut["text_after"], cut["changed"]) == ("car star", "", True)
    blocked = {"edges": "image:query", "is_control": False}
    summary = _rows(results.summary(), task="description", weights="trained", **blocked)
    assert all(row["difference"] < 0 and row["difference_n"] == 3 for row in summary)
    baseline = {(r["task"], r["weights"]): r for r in results.extras()["baseline"].to_pylist()}
    assert baseline["description", "trained"]["truth_f1"] == 1
    assert baseline["description", "untrained"]["truth_f1"] < 1
    assert len(results.examples()) == 1


def test_a_refused_cut_is_one_row_with_its_error(tmp_path) -> None:
    """Nothing but its own key is left to the last position: other edges still run."""
    edges = ("image:query", "before:last,image:last,query:last,last:last")
    results = _study(
        "via-query", edges=edges, layers=("all",), readings=("generated",), controls=False
    ).run(tmp_path / "run")
    assert {error.split(",")[0] for _, error in results.errors()} == {
        "expected at least one key for every row"
    }
    assert {r["edges"] for r in results.summary().to_pylist()} == {"image:query"}


def test_a_run_goes_on_and_reference_gives_the_same_table(tmp_path) -> None:
    options = {"edges": ("image:query", "query:generated"), "layers": ("all", "slide")}
    whole = _study("via-query", **options).run(tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(done: int, total: int, what: str) -> None:
        if done == 1:
            raise Stop

    with pytest.raises(Stop):
        _study("via-query", **options).run(tmp_path / "cut", stop)
    gone_on = _study("via-query", **options).run(tmp_path / "cut")
    assert gone_on.table.equals(whole.table)
    reference = _study("via-query", exact="reference", **options).run(tmp_path / "reference")
    ours, theirs = whole.table.to_pylist(), reference.table.to_pylist()
    for one, other in zip(ours, theirs, strict=True):
        for name in InformationFlow.columns:
            assert one[name] == pytest.approx(other[name], abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"edges": ()},
        {"edges": ("image:moon",)},
        {"readings": ("both",)},
        {"readings": ()},
        {"tasks": ("poem",)},
        {"layers": ("keep",), "width": 4},
        {"answer_tokens": 0},
        {"edges": ("object:last",), "tasks": ("description",)},
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_written(options, tmp_path) -> None:
    with pytest.raises(InputError):
        _study("via-query", **options).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
