"""Features of a vision-language model at all its layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from table import FAMILY

import retinoscope as rs
from retinoscope import encoders
from retinoscope.errors import CapabilityError


def tiny_of(family):
    return FAMILY[family].model(), FAMILY[family].processor()


def test_all_layers_of_a_vlm_are_what_its_parts_give(tiny) -> None:
    enc = encoders.load(tiny)
    image = rs.data.scenes(1)[0].image
    features = enc.features(image)
    run = tiny.run(tiny.prompt(image, enc.settings["prompt"]))
    assert features.grid == run.image.grid == (7, 7)
    np.testing.assert_array_equal(features.boxes, run.image.boxes)
    np.testing.assert_array_equal(features["projector"], run.image.embeddings)
    visual = run.positions["image"]
    for layer in range(tiny.n_layers + 1):
        np.testing.assert_array_equal(features[f"decoder.{layer}"], run.hidden(layer, visual))
    pixels = tiny.adapter.preprocess(image)["pixel_values"][None]
    with torch.no_grad():
        tower = tiny.model.model.vision_tower(pixel_values=pixels, output_hidden_states=True)
    for layer, state in enumerate(tower.hidden_states):
        np.testing.assert_array_equal(features[f"vision.{layer}"], state[0, 1:])


def test_only_what_is_asked_for_is_computed(tiny, monkeypatch) -> None:
    enc = encoders.load(tiny)
    monkeypatch.setattr(tiny, "run", lambda *_: pytest.fail("the decoder was run"))
    features = enc.features(rs.data.scenes(1)[0].image, ["vision.1"])
    assert list(features.layers) == ["vision.1"]


def test_merged_patches_leave_the_projector_and_the_decoder() -> None:
    enc = encoders.load(tiny_of("Qwen2-VL"))
    assert enc.layers[0] == "projector"
    features = enc.features(rs.data.scenes(1)[0].image, ["projector", "decoder.1"])
    rows, columns = features.grid
    assert len(features) == rows * columns == len(features["decoder.1"])
    with pytest.raises(CapabilityError, match="do not correspond"):
        enc.features(rs.data.scenes(1)[0].image, ["vision.1"])


def test_tiles_have_boxes_and_no_grid() -> None:
    enc = encoders.load(tiny_of("LLaVA-NeXT"))
    features = enc.features(rs.data.scenes(1)[0].image, ["projector"])
    assert features.grid is None
    assert np.isfinite(features.boxes).all()
    assert len(features.boxes) == len(features["projector"])
    with pytest.raises(CapabilityError, match="tiles"):
        features.map("projector")


def test_learned_queries_are_refused() -> None:
    with pytest.raises(CapabilityError, match="load its vision tower"):
        encoders.load(tiny_of("BLIP-2"))


@pytest.mark.parametrize("name", ["one-hot-patch", "global-broadcast", "position-only"])
def test_planted_encoders_hold_what_was_planted(name) -> None:
    enc = encoders.load(f"planted:{name}")
    images = [sample.image for sample in rs.data.squares(2)]
    first, second = (enc.features(image, ["projector"])["projector"] for image in images)
    same_everywhere = np.ptp(first, axis=0).max() < 1e-3
    same_for_both = np.abs(first - second).max() < 1e-3
    assert same_everywhere == (name == "global-broadcast")
    assert same_for_both == (name == "position-only")
    assert enc.features(images[0], ["projector"]).grid == (6, 6)


def test_the_prompt_is_part_of_the_fingerprint(tiny) -> None:
    from retinoscope.encoders._vlm import VlmEncoder

    assert encoders.load(tiny).fingerprint == encoders.load(tiny).fingerprint
    assert VlmEncoder(tiny, "Is there a cat?").fingerprint != encoders.load(tiny).fingerprint
