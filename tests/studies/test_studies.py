"""The studies on a stand-in that sees perfectly, so that every number is known beforehand."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retinoscope.answers.hallucination import HallucinationFilter
from retinoscope.errors import InputError, StudyError
from retinoscope.studies import AttentionKnockout, LogitLens, TokenAblation, open_results
from retinoscope.studies.token_sets import NOTHING, OBJECT, RING_1


def studies(vlm, samples):
    return {
        "ablation": TokenAblation(vlm, samples, sizes=(5, 20, 100)),
        "lens": LogitLens(vlm, samples, untrained=False),
        "knockout": AttentionKnockout(vlm, samples, slide=3),
    }


NAMES = ("ablation", "lens", "knockout")


OBJECT_EDGE = {"token_set": "object", "rings": 0, "is_control": False}
RING_EDGE = OBJECT_EDGE | {"rings": 1}


def one(table, **where):
    rows = [r for r in table.to_pylist() if all(r[k] == v for k, v in where.items())]
    assert len(rows) == 1, rows
    return rows[0]


def test_ablation_finds_the_objects_tokens_and_nothing_else(seer, make_samples, tmp_path):
    samples = make_samples(4)
    vlm = seer(samples)
    results = studies(vlm, samples)["ablation"].run(tmp_path / "run")
    summary = results.summary()
    for task in ("generative", "polling", "question"):
        for mode in ("paper", "corrected"):
            row = one(summary, task=task, mode=mode, **OBJECT.columns)
            assert (row["decrease"], row["n"], row["n_samples"]) == (1.0, 8, 4)
            # Four images with two dependent cases each count as four: n / (n + t**2), 3 degrees of
            # freedom.
            assert row["decrease_low"] == pytest.approx(4 / (4 + 3.1824**2), abs=1e-4)
            control = one(summary, task=task, mode=mode, **OBJECT.control.columns)
            assert control["decrease"] <= 0.25
            assert row["difference"] == pytest.approx(1.0 - control["decrease"])
            assert one(summary, task=task, mode=mode, token_set="registers")["decrease"] == 0.0
    drawn = {(row["token_set"], row["n_drawn"]) for row in summary.to_pylist()}
    assert {(kind, n) for kind in ("random", "gradient") for n in (5, 20)} <= drawn
    assert ("random", 100) not in drawn, "there are only 49 visual tokens"
    extras = results.extras()["baseline"]
    assert one(extras, task="polling", mode="corrected", part="balanced")["accuracy"] == 1.0
    # One batch a prompt: the caption (both objects), two polls, two questions, for each sample.
    assert len(vlm.batches) == 4 * 5


def test_ablation_rows_say_what_was_done(seer, make_samples, tmp_path):
    samples = make_samples(1)
    table = studies(seer(samples), samples)["ablation"].run(tmp_path / "run").table
    row = one(table, task="polling", mode="corrected", **RING_1.columns, object="car")
    assert (row["answer"], row["answer_before"], row["answer_after"]) == ("yes", "yes", "no")
    assert row["probability_before"] > 0.5 > row["probability_after"]
    assert row["baseline_correct"]
    assert not row["correct"]
    assert (
        row["n_tokens"]
        > one(table, task="polling", mode="corrected", **OBJECT.columns, object="car")["n_tokens"]
    )
    controls = [r for r in table.to_pylist() if r["is_control"]]
    assert controls
    for control in controls:
        keys = {k: control[k] for k in ("item", "mode", "token_set", "rings")}
        assert control["n_tokens"] == one(table, **keys, is_control=False)["n_tokens"]


def test_the_filter_needs_the_answer_to_depend_on_the_pixels(seer, make_samples, tmp_path):
    samples = make_samples(2)
    study = TokenAblation(
        seer(samples), samples, conditions=("object",), hallucination_filter=HallucinationFilter()
    )
    # On changed pixels the seer sees nothing, so everything is kept.
    kept = study.run(tmp_path / "a").table
    assert {r["kept"] for r in kept.to_pylist() if r["task"] == "polling" and r["object"]} == {True}

    class Stubborn(seer):
        def run(self, prompt):
            image, text = prompt
            known = samples[0].image if image.tobytes() not in self.samples else image
            return super().run((known, text))

    study = TokenAblation(
        Stubborn(samples),
        samples[:1],
        conditions=("object",),
        hallucination_filter=HallucinationFilter(),
    )
    results = study.run(tmp_path / "b")
    assert set(results.summary()["task"].to_pylist()) == {"question"}
    rows = [r for r in results.table.to_pylist() if r["task"] == "generative"]
    assert {r["kept"] for r in rows} == {False}
    assert {r["token_set"] for r in rows} == {NOTHING}


def test_lens_finds_names_on_objects_only(seer, make_samples, tmp_path):
    samples = make_samples(4)
    results = studies(seer(samples), samples)["lens"].run(tmp_path / "run")
    summary = results.summary()
    for layer, share in ((0, 0.0), (4, 0.0), (5, 1.0), (8, 1.0)):
        for cover in (0.0, 0.5):
            row = one(summary, group="object", layer=layer, measure="strict", cover=cover)
            assert (row["share"], row["n_images"], row["n_objects"]) == (share, 4, 8)
    assert one(summary, group="background", layer=8, measure="any_kind")["share"] == 0.0
    assert one(summary, group="shuffled", cover=0.0, layer=8, measure="strict")["share"] < 0.7
    keys = {"group": "object", "measure": "strict", "images": "all", "cover": 0.0}
    best = one(results.extras()["best_layer"], **keys)
    assert (best["share"], best["layer"], best["n_layers"]) == (1.0, 5.0, 9)


def test_masks_are_shuffled_without_a_fixed_point(seer, make_samples):
    for n in (2, 3, 9):
        partners = LogitLens(None, make_samples(n))._partners
        assert sorted(partners) == sorted(partners.values()) == list(range(n))
        assert all(a != b for a, b in partners.items())
    assert LogitLens(None, make_samples(1))._partners == {}


def test_masks_of_another_size_are_scaled(seer, make_sample, tmp_path):
    samples = [make_sample(0), make_sample(1, size=112)]
    results = LogitLens(seer(samples), samples, untrained=False).run(tmp_path / "run")
    assert not results.errors()
    assert "shuffled" in results.table["group"].to_pylist()


def test_knockout_finds_where_the_answer_is_read(seer, make_samples, tmp_path):
    samples = make_samples(4)
    vlm = seer(samples)
    results = studies(vlm, samples)["knockout"].run(tmp_path / "run")
    summary = results.summary()
    for window, accuracy in (("mid", 0.0), ("all", 0.0), ("early", 1.0), ("late", 1.0)):
        row = one(summary, **OBJECT_EDGE, target="last", window=window)
        assert (row["accuracy"], row["n"]) == (accuracy, 8)
    for first in range(6):
        row = one(summary, **OBJECT_EDGE, window="sliding", target="last", first_layer=first)
        assert row["accuracy"] == (0.0 if first in (2, 3) else 1.0)
        assert (row["width"], row["last_layer"]) == (3, first + 2)
    assert one(summary, **RING_EDGE, target="last-row", window="all")["accuracy"] == 1.0
    row = one(summary, **RING_EDGE, target="last", window="all")
    assert row["difference"] < 0
    pairs = set(zip(*(summary[c].to_pylist() for c in ("token_set", "target")), strict=True))
    assert ("question", "last-row") not in pairs, "the question stands after the image"
    assert ("last-row", "last-row") not in pairs
    assert ("question", "question") not in pairs
    assert len(vlm.batches) == 4 * 2, "one batch a question"


def test_edges_are_counted_as_a_causal_decoder_has_them(seer, make_samples, tmp_path):
    samples = make_samples(1)
    table = studies(seer(samples), samples)["knockout"].run(tmp_path / "run").table
    row = one(table, token_set="last-row", target="last", window="all", kind="color")
    assert (row["n_source"], row["n_edges"]) == (7, 7 * 8)
    row = one(
        table,
        token_set="last-row",
        target="question",
        window="sliding",
        first_layer=0,
        kind="color",
    )
    assert row["n_edges"] == 7 * 6 * 3


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_study_goes_on_to_the_same_bytes(name, seer, make_samples, tmp_path):
    samples = make_samples(5)
    whole = studies(seer(samples), samples)[name].run(tmp_path / "whole")
    assert whole.table["sample"].to_pylist()[0] == "drawn-0"

    def stop_after(n):
        def progress(done, total, what):
            assert total == 5
            if done >= n:
                raise KeyboardInterrupt

        return progress

    for n in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            studies(seer(samples), samples)[name].run(tmp_path / "cut", stop_after(n))
        assert not (tmp_path / "cut" / "results.parquet").exists()
    last = seer(samples)
    seen = []
    cut = studies(last, samples)[name].run(tmp_path / "cut", lambda *a: seen.append(a))
    assert seen[0] == (3, 5, "3 were finished before")
    assert [done for done, _, _ in seen] == [3, 3, 4, 5]
    for file in ("results.parquet", "examples.json"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert cut.summary().equals(whole.summary())
    again = seer(samples)
    studies(again, samples)[name].run(tmp_path / "cut")
    assert again.runs == 0, "a finished study computes nothing"


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_data_set_is_refused_and_leaves_nothing(name, seer, tmp_path):
    with pytest.raises(InputError, match="empty data set"):
        studies(seer([]), [])[name].run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_mask_becomes_a_row_with_its_error(
    name, seer, make_samples, without_mask, tmp_path
):
    samples = make_samples(3)
    samples[1] = without_mask(samples[1], 0)
    results = studies(seer(samples), samples)[name].run(tmp_path / "run")
    assert results.errors()
    assert {sample for sample, _ in results.errors()} == {"drawn-1"}
    assert all("mask is empty" in error for _, error in results.errors())
    fine = [r for r in results.table.to_pylist() if r["error"] is None]
    assert any(r["sample"] == "drawn-1" and r["object"] == "fish" for r in fine)
    assert results.summary().num_rows


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_that_cannot_be_read_becomes_a_row(name, seer, make_samples, tmp_path):
    class Broken(list):
        def __getitem__(self, index):
            if index == 1:
                raise InputError("b.png is no image:\n expected PNG, got text")
            return super().__getitem__(index)

    samples = Broken(make_samples(3))
    results = studies(seer(list(samples)), samples)[name].run(tmp_path / "run")
    assert results.errors() == [("sample 1", "b.png is no image: expected PNG, got text")]


@pytest.mark.parametrize("name", NAMES)
def test_data_of_which_nothing_can_be_read_is_refused(name, seer, tmp_path):
    class Broken(list):
        def __getitem__(self, index):
            raise InputError("a.png is truncated")

    with pytest.raises(InputError, match=r"none of the 2 samples .* a.png"):
        studies(seer([]), Broken([0, 0]))[name].run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", NAMES)
def test_if_every_sample_fails_the_study_has_failed(name, seer, make_samples, tmp_path):
    class Dead(seer):
        def run(self, prompt):
            raise RuntimeError("no memory")

    samples = make_samples(2)
    with pytest.raises(StudyError, match="RuntimeError: no memory"):
        studies(Dead(samples), samples)[name].run(tmp_path / "run")


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_with_nothing_to_ask_about_has_no_rows(name, seer, make_samples, tmp_path):
    samples = make_samples(3)
    samples[1] = replace(samples[1], objects=(), questions=())
    results = studies(seer(samples), samples)[name].run(tmp_path / "run")
    assert not results.errors()
    assert (results.n_samples, results.manifest["data"]["samples"]) == (2, 3)
    with pytest.raises(InputError, match=f"the {name} study needs .*1 image, 0 objects"):
        studies(seer(samples), samples[1:2])[name].run(tmp_path / "none")


def test_another_study_or_other_options_are_refused(seer, make_samples, tmp_path):
    samples = make_samples(2)
    studies(seer(samples), samples)["lens"].run(tmp_path / "run")
    with pytest.raises(InputError, match="another run"):
        studies(seer(samples), samples)["knockout"].run(tmp_path / "run")
    with pytest.raises(InputError, match="covers"):
        LogitLens(seer(samples), samples, untrained=False, covers=(0.5,)).run(tmp_path / "run")
    with pytest.raises(InputError, match="data"):
        studies(seer(samples), make_samples(3))["lens"].run(tmp_path / "run")


@pytest.mark.parametrize("name", NAMES)
def test_results_open_from_the_folder_alone(name, seer, make_samples, tmp_path):
    samples = make_samples(2)
    written = studies(seer(samples), samples)[name].run(tmp_path / "run")
    read = open_results(tmp_path / "run")
    assert (read.study, read.manifest["study"]) == (name, name)
    assert read.table.equals(written.table)
    assert read.to_frame().equals(read.table)
    for example in read.examples():
        assert (tmp_path / "run" / example["image"]).read_bytes()[:4] == b"\x89PNG"
        assert example["grid"] == [7, 7]
        assert len(example["boxes"]) == 49
        assert example["sets"]
    assert len({example["sample"] for example in read.examples()}) == 2
    json.dumps(read.manifest)
    # As another version wrote it.
    older = read.table.append_column("condition", pa.array(["object"] * read.n_rows))
    pq.write_table(older, tmp_path / "run" / "results.parquet")
    with pytest.raises(InputError, match=r"'condition'.* again with another --out"):
        open_results(tmp_path / "run")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v, s: TokenAblation(v, s, tasks=("guessing",)), "unknown task 'guessing'"),
        (lambda v, s: TokenAblation(v, s, conditions=()), "no condition"),
        (lambda v, s: TokenAblation(v, s, fill="blur"), "unknown fill"),
        (lambda v, s: TokenAblation(v, s, sizes=(0,)), "sizes"),
        (lambda v, s: TokenAblation(v, s, gradient_steps=1), "gradient_steps from 2 up"),
        (lambda v, s: LogitLens(v, s, covers=(2.0,)), "covers"),
        (lambda v, s: LogitLens(v, s, covers=(0.5, 0.5)), "each cover once"),
        (lambda v, s: AttentionKnockout(v, s, sources=("sky",)), "unknown source 'sky'"),
        (lambda v, s: AttentionKnockout(v, s, slide=9), "sliding window"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    make, message, seer, make_samples, tmp_path
):
    samples = make_samples(1)
    with pytest.raises(InputError, match=message):
        make(seer(samples), samples).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
