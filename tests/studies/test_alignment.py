"""Agreement with where observers looked, on models where the answer is known, and on bad data."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.data import Gaze, Sample
from retinoscope.engine import Run
from retinoscope.errors import CapabilityError, InputError
from retinoscope.gaze import segment_of
from retinoscope.reporting import compose, write_report
from retinoscope.saliency import ImageTextPair, SaliencyModel, saliency_model
from retinoscope.studies import AlignmentRules, AttentionAlignment, Results
from retinoscope.studies.alignment.gaze_targets import gaze_targets_of
from retinoscope.studies.alignment.rows import ranked
from tests.studies.tabled import tabled

METHODS = ("ablation-effect", "lens-probability")
FEW = {"methods": METHODS, "untrained": False, "distractors": 0, "granularities": ("word",)}


def _masked(n: int, seed: int = 2) -> list[Sample]:
    """Squares, whose objects' true masks stand in for somebody who looked."""
    return [
        replace(sample, attention=rs.gaze.mask_attention(sample))
        for sample in rs.data.squares(n, seed=seed)
    ]


def _run(name: str, samples: list[Sample], folder: Path, **options: object) -> Results:
    study = AttentionAlignment(rs.load(f"planted:{name}"), samples, **{**FEW, **options})  # type: ignore[arg-type]
    return study.run(folder / name)


def _ncc(results: Results) -> dict[str, dict]:
    return {r["method"]: r for r in results.summary().to_pylist() if r["metric"] == "ncc"}


def test_a_model_that_looks_at_what_it_names_is_found(tmp_path: Path) -> None:
    results = _run("one-hot-patch", _masked(6), tmp_path)
    assert results.errors() == []
    for found in _ncc(results).values():
        assert found["provenance"] == "mask"
        assert found["own"] > 0.85
        assert found["gain_low"] > 0.5, "another word's map does not do"
        assert found["over_centre_low"] > 0.3
        assert found["people"] is None, "nobody looked twice"
    aucs = [r for r in results.summary().to_pylist() if r["metric"] == "auc_judd"]
    assert {r["own"] for r in aucs} == {None}, "a mask has no fixations"
    assert {r["n"] for r in aucs} == {0}


def test_a_model_that_holds_everything_everywhere_is_not(tmp_path: Path) -> None:
    for found in _ncc(_run("global-broadcast", _masked(6), tmp_path)).values():
        assert found["own"] is None or found["own"] < 0.5


def test_a_blind_model_agrees_with_nobody(tmp_path: Path) -> None:
    """Its maps are constant: undefined, counted, and never agreement."""
    results = _run("blind", _masked(3), tmp_path)
    for found in _ncc(results).values():
        assert found["own"] is None
        assert found["n"] == 0
        assert found["n_undefined"] > 0
    rows = results.table.to_pylist()
    own = [r for r in rows if r["condition"] == "own"]
    assert all("the map is constant" in r["reason"] for r in own)
    section = compose(results.path).sections[0]
    assert "no map could be compared" in section.sentences[0]
    assert section.finding is None


def test_metrics_that_nobody_asked_for_have_no_row(tmp_path: Path) -> None:
    """Also where those that were asked for are undefined."""
    results = _run("blind", _masked(2), tmp_path, rules=AlignmentRules(("ncc", "nss")))
    rows = results.summary().to_pylist()
    assert {(r["metric"], r["n"]) for r in rows} == {("ncc", 0), ("nss", 0)}


def test_exact_and_steps_reach_the_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = set()
    whole = Run.counterfactuals

    def seen(run: Run, *conditions: Any, exact: str = "incremental", **options: Any) -> Any:
        paths.add(exact)
        return whole(run, *conditions, exact=exact, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "counterfactuals", seen)
    few = {"methods": ("lens-probability", "rise"), "untrained": True}
    usual = _run("one-hot-patch", _masked(1), tmp_path / "usual", **few)
    assert paths == {"incremental"}
    paths.clear()
    asked = few | {"exact": "reference", "steps": 8}
    changed = _run("one-hot-patch", _masked(1), tmp_path / "changed", **asked)
    assert paths == {"reference"}
    assert changed.manifest["parameters"]["steps"] == {"rise": 8}  # type: ignore[index]
    one, other = _ncc(usual), _ncc(changed)
    assert one["rise"]["own"] != pytest.approx(other["rise"]["own"])
    assert one["lens-probability"]["own"] == other["lens-probability"]["own"]


def _looked(sample: Sample, **change: object) -> Sample:
    """One word of the sample, looked at by two observers."""
    word = sample.objects[0].name
    gaze = Gaze(
        segment=segment_of(sample.captions[0], word),
        size=sample.image.size,
        provenance="human",
        fixations=np.array([(20.0, 20.0)]),
        durations=np.array([1.0]),
        settings={"bandwidth": 3.0},
    )
    first = replace(gaze, observer=1, **change)  # type: ignore[arg-type]
    second = replace(gaze, observer=2, fixations=np.array([(22.0, 20.0)]))
    return replace(sample, attention=(first, second))


def test_people_bound_it_and_nobody_at_all_is_undefined(tmp_path: Path) -> None:
    seen = [_looked(sample) for sample in rs.data.squares(3, seed=2)]
    away = {"fixations": np.zeros((0, 2)), "durations": np.zeros(0), "dropped": 4}
    seen[0] = _looked(seen[0], **away)
    both = replace(seen[1].attention[0], **away)
    seen[1] = replace(seen[1], attention=(both, replace(both, observer=2)))
    results = _run("one-hot-patch", seen, tmp_path, methods=("lens-probability",))
    found = _ncc(results)["lens-probability"]
    assert (found["n"], found["n_undefined"], found["n_people"]) == (2, 1, 1)
    assert found["people"] > 0.7
    rows = {(r["sample"], r["condition"]): r for r in results.table.to_pylist()}
    nobody = rows[seen[1].id, "own"]
    assert nobody["ncc"] is None
    assert "no fixation overlaps the segment" in nobody["reason"]
    assert nobody["dropped"] == 8
    assert (seen[0].id, "people") not in rows
    assert rows[seen[2].id, "people"]["nss"] > 1


def test_bounds_are_over_the_segments_that_the_map_has_a_score_of() -> None:
    """Each value stands beside those of the same segment, whatever the order of the rows."""

    def row(item: int, condition: str, ncc: float | None, method: str | None = None) -> dict:
        base = {"sample": f"s{item}", "item": item, "error": None, "condition": condition}
        base |= {"provenance": "human", "granularity": "word", "ncc": ncc, "method": method}
        base |= {"kind": method and "VLM", "weights": method and "trained", "layer": None}
        return base | {"reason": None if ncc is not None else "ncc, nss: the map is constant"}

    own = {"attention": (0.5, 0.7, None), "chefer": (None, None, None)}
    rows = [row(k, "own", x, method) for method in own for k, x in enumerate(own[method])]
    rows += [row(k, "people", x) for k, x in ((2, 0.0), (1, 0.9))]
    rows += [row(0, "other-text", 0.1, "attention"), row(1, "other-text", 0.4, "chefer")]
    table = tabled("alignment", rows)
    assert {r["metric"] for r in table} == {"ncc", "nss"}, "no other was asked for"
    first, second = (r for r in table if r["metric"] == "ncc")
    assert (first["method"], first["n"], first["n_undefined"]) == ("attention", 2, 1)
    assert (first["own"], first["people"], first["n_people"]) == (pytest.approx(0.6), 0.9, 1)
    assert first["under_people"] == pytest.approx(-0.2)
    assert (first["other_text"], first["gain"]) == (0.1, pytest.approx(0.4))
    assert (second["method"], second["n"], second["n_undefined"]) == ("chefer", 0, 3)
    assert second["own"] is second["people"] is second["gain"] is None


def test_a_map_is_made_without_knowing_where_anybody_looked() -> None:
    asked = list(inspect.signature(saliency_model).parameters)
    assert asked == ["model", "score", "exact", "question"]
    assert list(inspect.signature(SaliencyModel.read).parameters) == ["self", "image", "text"]
    told = set(inspect.signature(ImageTextPair.heat_map).parameters)
    assert told == {"self", "method", "segment", "layer", "steps", "seed"}


def test_an_observer_agrees_with_themselves() -> None:
    sample = _looked(rs.data.squares(1, seed=2)[0])
    one = replace(sample, attention=sample.attention[:1])
    (aim,) = gaze_targets_of(one, ("word",), 256, {})
    density = one.attention[0].density()
    assert density is not None
    scores = aim.scores(density, AlignmentRules())
    assert scores["ncc"].value == pytest.approx(1)
    assert scores["sim"].value == pytest.approx(1)
    assert scores["kl"].value == pytest.approx(0, abs=1e-9)
    assert scores["auc_shuffled"].reason == "no fixation of another image"
    (small,) = gaze_targets_of(one, ("word",), 24, {})
    assert small.shape == (24, 24)
    assert small.scores(density, AlignmentRules(("ncc",)))["ncc"].value == pytest.approx(1)


def test_words_that_the_model_does_not_know_are_one_row_each(tmp_path: Path) -> None:
    good, bad = (_looked(sample) for sample in rs.data.squares(2, seed=2))
    gaze = bad.attention[0]
    strange = replace(gaze, segment=segment_of("a zyzzyva, somewhere", "zyzzyva"))
    results = _run("one-hot-patch", [good, replace(bad, attention=(strange,))], tmp_path)
    ((sample, error),) = results.errors()
    assert sample == bad.id
    assert "expected a description that the model's tokenizer can write" in error
    assert _ncc(results)["lens-probability"]["n"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ("guess",)}, "expected methods of attention"),
        ({"score": "belief"}, "log-probability', 'logit' as score"),
        ({"distractors": -1}, "distractors from 0 up"),
        ({"rules": AlignmentRules(("cosine",))}, "expected metrics among ncc"),
        ({"rules": AlignmentRules(resolution=2)}, "a resolution from 8"),
        ({"methods": ("attention",), "layers": (99,)}, r"from 0 to \d for attention, got 99"),
        ({"methods": ("attention",), "layers": ()}, "for attention, got none"),
        ({"methods": ("gradient-input",), "layers": (1,)}, "expected a method that takes a layer"),
        ({"steps": 5}, "steps: expected a method that takes a number of them, got lens-"),
        ({"steps": {"rise": 9}}, "expected a method that takes a number of them, got"),
        ({"methods": ("rise",), "steps": 0}, "steps from 1 up, got 0 for rise"),
        ({"methods": ("attention",), "exact": "reference"}, "exact: expected a method that makes"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises((InputError, CapabilityError), match=message):
        _run("one-hot-patch", _masked(1), tmp_path, **options)
    assert not (tmp_path / "one-hot-patch").exists()


def test_data_without_anybody_who_looked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="samples that know where people looked"):
        _run("one-hot-patch", list(rs.data.squares(2)), tmp_path)


def test_ties_share_the_first_place() -> None:
    assert ranked([0.5, 0.1, 0.2]) == {"candidates": 3, "preferred": 1.0, "rank": 1}
    assert ranked([0.5, 0.5, 0.2]) == {"candidates": 3, "preferred": 0.5, "rank": 1.5}
    assert ranked([0.1, 0.5, 0.5]) == {"candidates": 3, "preferred": 0.0, "rank": 3}


def test_simulated_observers_are_never_called_people(tmp_path: Path) -> None:
    """A whole run on the pocket model, its ranking and its report."""
    samples = rs.sources.open_source("simulated:2", seed=5)
    study = AttentionAlignment(
        rs.load("pocket"), samples, methods=("attention",), distractors=1, untrained=False
    )
    results = study.run(tmp_path / "run")
    assert results.errors() == []
    table = results.table.to_pylist()
    assert {r["provenance"] for r in table} == {"simulated"}
    assert {r["condition"] for r in table} == {
        *("own", "other-text", "people", "centre", "other-image", "mask", "ranking"),
    }
    ranking = {r["method"]: r for r in results.extras()["ranking"].to_pylist()}
    assert set(ranking) == {"likelihood", "attention"}
    assert ranking["attention"]["chance"] == 0.5
    page = write_report(tmp_path / "run").read_text("utf-8")
    assert "simulated observers are drawn" in page
    assert "a simulated observer against the others" in page
    body = page[page.index("<main>") : page.index('id="methods"')].lower()
    assert "human" not in body.replace("retinoscope", "")
    assert (tmp_path / "run" / "figures" / "looking-gaze.svg").is_file()
    again = study.run(tmp_path / "run")
    assert again.table.equals(results.table)
