"""The studies on a tiny LLaVA with random weights, asked for what it says anyway."""

from dataclasses import replace

import numpy as np
import pytest

from retinoscope.data import Question
from retinoscope.studies import AttentionKnockout, LogitLens, TokenAblation
from retinoscope.studies.token_sets import NOTHING, OBJECT, RING_1, RING_2, NamedSet

ASKED = "What is the color of the car?"


@pytest.fixture(scope="module")
def samples(tiny, make_samples):
    """Drawn samples whose expected answers are the tiny model's own."""
    agreeable = []
    for sample in make_samples(3):
        said = tiny.run(tiny.prompt(sample.image, "Describe this image.")).generate(6).text
        top = int(tiny.run(tiny.prompt(sample.image, ASKED)).logits.argmax())
        answer = tiny.tokenizer.decode([top]).strip()
        name = next((word for word in said.split() if word.isalpha()), "car")
        first = replace(sample.objects[0], name=name)
        questions = (Question(ASKED, answer, "color", (0,)),)
        agreeable.append(replace(sample, objects=(first, *sample.objects[1:]), questions=questions))
    return agreeable


def make(name, vlm, samples):
    if name == "ablation":
        return TokenAblation(
            vlm, samples, sizes=(5, 20), gradient_steps=3, caption_tokens=6, polling_tokens=3
        )
    if name == "lens":
        return LogitLens(vlm, samples)
    return AttentionKnockout(vlm, samples, slide=2)


NAMES = ("ablation", "lens", "knockout")


@pytest.mark.parametrize("name", NAMES)
def test_a_study_runs_and_is_the_same_after_an_interruption(name, tiny, samples, tmp_path):
    whole = make(name, tiny, samples).run(tmp_path / "whole")
    assert not whole.errors()
    assert whole.summary().num_rows
    # Words are listed where `near` asks for them, agreement where there are several lenses.
    asked_for = ("words", "agreement")
    listed = {key: table for key, table in whole.extras().items() if key not in asked_for}
    assert all(table.num_rows for table in listed.values())

    def stop(done, total, what):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(name, tiny, samples).run(tmp_path / "cut", stop)
    make(name, tiny, samples).run(tmp_path / "cut")
    ours, theirs = tmp_path / "cut" / "results.parquet", tmp_path / "whole" / "results.parquet"
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("name", ["ablation", "knockout"])
def test_the_reference_path_gives_the_same_tables(name, tiny, samples, tmp_path):
    fast = make(name, tiny, samples).run(tmp_path / "fast").table.to_pylist()
    study = replace(make(name, tiny, samples), exact="reference")
    plain = study.run(tmp_path / "plain").table.to_pylist()
    assert len(fast) == len(plain)
    for ours, theirs in zip(fast, plain, strict=True):
        for column, value in theirs.items():
            # The key names the options, of which the path is one.
            if column == "sample_key":
                continue
            if isinstance(value, float):
                assert ours[column] == pytest.approx(value, abs=1e-5)
            else:
                assert ours[column] == value


def test_every_ablation_of_the_paper_is_there(tiny, samples, tmp_path):
    results = make("ablation", tiny, samples).run(tmp_path / "run")
    rows = [r for r in results.table.to_pylist() if r["task"] == "question"]
    found = {NamedSet.of(r) for r in rows}
    assert found - {RING_2.control} == {
        *(NamedSet(NOTHING), OBJECT, RING_1, RING_2, NamedSet("registers")),
        *(NamedSet(kind, n_drawn=n) for kind in ("random", "gradient") for n in (5, 20)),
        *(OBJECT.control, RING_1.control),
    }
    changed = [r for r in rows if NamedSet.of(r) == RING_1 and r["mode"] == "corrected"]
    assert changed
    for row in changed:
        assert row["baseline_correct"]
        assert row["probability_before"] != row["probability_after"]


def test_knockout_of_everything_to_the_last_token_changes_the_answers_probability(
    tiny, samples, tmp_path
):
    results = make("knockout", tiny, samples).run(tmp_path / "run")
    rows = [
        r
        for r in results.table.to_pylist()
        if (r["token_set"], r["target"], r["window"]) == ("rest", "last", "all")
    ]
    assert len(rows) == len(samples)
    for row in rows:
        assert (row["first_layer"], row["last_layer"]) == (0, 3)
        assert row["probability_before"] != row["probability_after"]


def test_the_lens_reads_every_layer_of_both_models(tiny, samples, tmp_path):
    table = make("lens", tiny, samples).run(tmp_path / "run").table
    rows = table.to_pylist()
    assert {(r["weights"], r["layer"]) for r in rows} == {
        (weights, layer) for weights in ("trained", "untrained") for layer in range(5)
    }
    assert {r["group"] for r in rows} == {"object", "inner", "border", "background", "shuffled"}
    for row in rows:
        assert 0 <= row["strict"] <= row["lenient"] <= row["n_tokens"]


def test_an_untrained_copy_has_other_weights_and_the_same_shape(tiny):
    from retinoscope.studies._untrained import untrained_copy

    first, second = untrained_copy(tiny, 0), untrained_copy(tiny, 0)
    ours, theirs = tiny.model.state_dict(), first.model.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    changed = [k for k in ours if not np.array_equal(ours[k].cpu(), theirs[k].cpu())]
    assert any("vision_tower" in k for k in changed)
    assert any("language_model" in k for k in changed)
    again = second.model.state_dict()
    assert all(np.array_equal(theirs[k].cpu(), again[k].cpu()) for k in theirs)
