"""The alignment study on contrastive and image-text matching models."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from transformers import BlipProcessor

import retinoscope as rs
from retinoscope.data import Sample, Segment
from retinoscope.encoders import Matcher, TwoTower, load, load_contrastive, load_matching
from retinoscope.errors import CapabilityError, InputError
from retinoscope.gaze import segment_of
from retinoscope.reporting import compose, write_report
from retinoscope.saliency import contrastive, matching, saliency_model
from retinoscope.studies import AttentionAlignment, Grouping, Results, open_subject
from retinoscope.studies._untrained import untrained_two_tower
from tests.encoders import towers

SMALL = "small:contrastive-max"


CAPTIONS = ("a red car", "a blue fish")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Masks stand in for somebody who looked while they said two words, and the whole."""
    found = []
    for caption, sample in zip(CAPTIONS, rs.data.squares(2, seed=2), strict=True):
        one, other = rs.gaze.mask_attention(sample)[:2]
        _, colour, kind = caption.split()
        said = (
            replace(one, segment=segment_of(caption, kind)),
            replace(other, segment=segment_of(caption, colour)),
            replace(one, segment=Segment(caption, caption, 0, len(caption), "text")),
        )
        found.append(replace(sample, captions=(caption,), attention=said))
    return found


def _run(model: Any, samples: list[Sample], out: Path, **options: Any) -> Results:
    few = {"granularities": ("word",), "distractors": 1}
    return AttentionAlignment(model, samples, **{**few, **options}).run(out)


@pytest.fixture(scope="module")
def siglip() -> TwoTower:
    return load_contrastive(towers.siglip())


@pytest.fixture(scope="module")
def blip() -> tuple[Any, Any]:
    return towers.blip()


def test_a_word_alone_is_the_prompt_of_a_contrastive_model(
    siglip: TwoTower, samples: list[Sample], tmp_path: Path
) -> None:
    results = _run(siglip, samples, tmp_path / "run")
    rows = [r for r in results.table.to_pylist() if r["error"] is None]
    own = [r for r in rows if r["condition"] == "own"]
    assert {(r["kind"], r["reads"]) for r in own} == {("contrastive", "segment")}
    assert {r["method"] for r in own} == {"similarity", "rollout", "chefer", "grad-cam"}
    assert {r["layer"] for r in own if r["method"] == "grad-cam"} == {1}
    assert {r["weights"] for r in own} == {"trained", "untrained"}
    sample = samples[0]
    word = segment_of(CAPTIONS[0], "car")
    pair = saliency_model(siglip).read(sample.image, CAPTIONS[0])
    found = pair.heat_map("chefer", word).values
    assert found == pytest.approx(contrastive.chefer(siglip, sample.image, "car").values)
    whole = contrastive.chefer(siglip, sample.image, CAPTIONS[0]).values
    assert not np.allclose(found, whole, rtol=1e-3)
    cosine = siglip.image(sample.image) @ siglip.text([sample.captions[0]])[0]
    assert pair.fit == pytest.approx(float(cosine), abs=1e-6)
    ranking = results.extras()["ranking"].to_pylist()
    assert {r["method"] for r in ranking} == {r["method"] for r in own} | {"cosine"}
    assert {r["kind"] for r in ranking} == {"contrastive"}
    page = write_report(results.path).read_text("utf-8")
    assert "alone are the prompt of its map" in page
    assert "(contrastive model)" in page
    assert "as its own answer" not in page


def test_a_copy_has_other_eyes_and_the_same_texts(siglip: TwoTower) -> None:
    """Nothing of the original is written."""
    before = siglip.fingerprint
    two = untrained_two_tower(siglip, 0)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    assert siglip.text(["a red car"]) == pytest.approx(two.text(["a red car"]))
    assert np.abs(siglip.image(image) - two.image(image)).max() > 1e-2
    assert siglip.fingerprint == before


def test_words_of_a_small_vocabulary_are_one_row_each(
    samples: list[Sample], tmp_path: Path
) -> None:
    good, bad = samples[:2]
    gaze = bad.attention[0]
    strange = replace(gaze, segment=segment_of("a zyzzyva, a red car", "zyzzyva"))
    known = replace(gaze, segment=segment_of("a zyzzyva, a red car", "car"))
    data = [good, replace(bad, attention=(strange, known))]
    results = _run(load_contrastive(SMALL), data, tmp_path / "run", distractors=0)
    ((sample, error),) = results.errors()
    assert sample == bad.id
    assert "expected words of drawn scenes, got 'zyzzyva'" in error
    rows = [r for r in results.table.to_pylist() if r["condition"] == "own"]
    assert (bad.id, "car") in {(r["sample"], r["segment"]) for r in rows}


def test_matching_says_whether_a_description_fits(
    blip: tuple[Any, Any], samples: list[Sample], tmp_path: Path
) -> None:
    matcher = load_matching(blip)
    results = _run(matcher, samples, tmp_path / "run")
    assert results.errors() == []
    own = [r for r in results.table.to_pylist() if r["condition"] == "own"]
    assert {(r["kind"], r["method"], r["layer"]) for r in own} == {
        ("matching", "cross-attention", 0),
        ("matching", "grad-cam", 1),
    }
    (fit,) = {r["method"] for r in results.extras()["ranking"].to_pylist() if r["layer"] is None}
    assert fit == "match-probability"
    image, text = samples[0].image, samples[0].captions[0]
    chance = matching.probability(*blip, image, text)
    logits = (
        blip[0](
            input_ids=blip[1].tokenizer([text], return_tensors="pt")["input_ids"],
            pixel_values=blip[1].image_processor(images=[image], return_tensors="pt")[
                "pixel_values"
            ],
        )
        .itm_score[0]
        .detach()
    )
    assert chance == pytest.approx(float(logits.softmax(-1)[1]), abs=1e-5)
    assert saliency_model(matcher).read(image, text).fit == pytest.approx(chance)
    with pytest.raises(InputError, match="that the model's tokenizer knows, got 'zyzzyva'"):
        saliency_model(matcher).read(image, text).check(segment_of("a zyzzyva", "zyzzyva"))
    assert "(image-text matching model)" in compose(results.path).sections[0].sentences[0]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (SMALL, {"methods": ("attention",)}, "methods of similarity, occlusion, which a contrast"),
        (SMALL, {"methods": ("chefer",)}, r"not possible .*: choose from similarity, occlusion"),
        (SMALL, {"score": "logit"}, "about a VLM's words"),
        ("siglip", {"methods": ("grad-cam",), "layers": (9,)}, "from 0 to 2 for grad-cam, got 9"),
        ("mae", {}, "reads no texts"),
    ],
)
def test_what_a_kind_cannot_do_is_refused(
    siglip: TwoTower,
    samples: list[Sample],
    tmp_path: Path,
    model: str,
    options: dict,
    message: str,
) -> None:
    made: Any = siglip if model == "siglip" else None
    made = made or (load("small:mae") if model == "mae" else load_contrastive(model))
    with pytest.raises((InputError, CapabilityError), match=message):
        _run(made, samples, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_matching_model_has_no_locations_to_group(
    blip: tuple[Any, Any], samples: list[Sample], tmp_path: Path
) -> None:
    with pytest.raises(CapabilityError, match="reads image and text together"):
        Grouping(load_matching(blip), samples).run(tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(CapabilityError, match="expected BLIP"):
        load_matching(towers.clip())


def test_a_folder_says_of_what_kind_it_is(blip: tuple[Any, Any], tmp_path: Path) -> None:
    model, parts = blip
    model.save_pretrained(tmp_path)
    BlipProcessor(parts.image_processor, parts.tokenizer).save_pretrained(tmp_path)
    found = open_subject(str(tmp_path))
    assert isinstance(found, Matcher)
    image = Image.new("RGB", (40, 40), "red")
    again = matching.probability(found.model, found.processor, image, "a red car")
    assert again == pytest.approx(matching.probability(*blip, image, "a red car"), abs=1e-6)
    with pytest.raises(CapabilityError, match="give BLIP for image-text matching"):
        load_matching("pocket")


def test_weights_in_pickles_are_for_who_opens_the_model(
    blip: tuple[Any, Any], tiny: rs.VLM, tiny_folder: Path, tmp_path: Path
) -> None:
    """A VLM's may be allowed; looking at what kind of model it is does not refuse them."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "vlm"))
    _pickle(folder)
    assert open_subject(str(folder), {str(folder): tiny}.__getitem__) is tiny
    blip[0].save_pretrained(tmp_path / "blip")
    BlipProcessor(blip[1].image_processor, blip[1].tokenizer).save_pretrained(tmp_path / "blip")
    _pickle(tmp_path / "blip")
    with pytest.raises(InputError, match="got pickle files"):
        load_matching(tmp_path / "blip")


def _pickle(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save(safetensors.torch.load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
