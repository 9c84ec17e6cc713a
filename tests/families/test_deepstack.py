"""Qwen3-VL: DeepStack adds features of the vision tower behind the decoder's first blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checks import QUESTION, oracle, picture, pictures, run_of
from PIL import Image
from row import loaded
from table import FAMILY

import retinoscope as rs
from retinoscope.saliency import occlusion

ROW = FAMILY["Qwen3-VL"]
PAIR = pictures([(30, 70), (64, 20)])


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return loaded(ROW)


def run_with(vlm: rs.VLM, seed: int = 0) -> rs.Run:
    return run_of(vlm, [picture(seed=seed)])


def test_hidden_states_are_what_the_next_block_reads(vlm):
    """The library keeps what a block hands on, before DeepStack adds to it."""
    run = run_with(vlm)
    given = oracle(ROW, vlm, [picture()])
    places = list(run.positions["image"].positions)
    with torch.no_grad():
        done = vlm.model(**given, output_hidden_states=True)
        seen = vlm.model.model.get_image_features(given["pixel_values"], given["image_grid_thw"])
    for layer in range(vlm.n_layers):
        wanted = done.hidden_states[layer][0].clone()
        if layer in (1, 2):
            wanted[places] += whole(seen.deepstack_features[layer - 1])
        assert torch.allclose(run.hidden(layer), wanted, atol=1e-5)


def whole(features) -> torch.Tensor:
    """Older versions of the library do not split them by image."""
    return features if isinstance(features, torch.Tensor) else features[0]


def by_hand(
    vlm: rs.VLM, run: rs.Run, embeds, kept: list[int], donor: Image.Image | None = None
) -> torch.Tensor:
    """The library's decoder over `embeds`, with the features of the visual tokens `kept` only.

    Args:
        donor: another image, whose features they are.
    """
    given = oracle(ROW, vlm, [picture()])
    core = vlm.model.model
    with torch.no_grad():
        image = given if donor is None else oracle(ROW, vlm, [donor])
        seen = core.get_image_features(image["pixel_values"], image["image_grid_thw"])
        places = run.positions["image"].positions
        mask = torch.zeros(1, run.n, dtype=torch.bool)
        mask[0, kept] = True
        chosen = [places.index(place) for place in kept]
        positions, _ = core.get_rope_index(
            given["input_ids"],
            image_grid_thw=given["image_grid_thw"],
            mm_token_type_ids=given["mm_token_type_ids"],
        )
        done = core.language_model(
            inputs_embeds=embeds[None],
            position_ids=positions,
            visual_pos_masks=mask,
            deepstack_visual_embeds=[whole(part)[chosen] for part in seen.deepstack_features],
        )
        return vlm.model.lm_head(done.last_hidden_state)[0, -1]


def test_an_ablated_token_leaves_no_features(vlm):
    run = run_with(vlm)
    few = rs.tokens.random(run, n=10, seed=0)
    embeds = run.embeddings.clone()
    embeds[list(few.positions)] = 0
    kept = [place for place in run.positions["image"].positions if place not in few.positions]
    wanted = by_hand(vlm, run, embeds, kept)
    left = by_hand(vlm, run, embeds, list(run.positions["image"].positions))
    found = run.counterfactuals([rs.Ablate(few, fill=rs.fill.zero()), ()]).logits
    assert torch.allclose(found[0], wanted, atol=1e-5)
    # The features make a difference, and those of the condition beside it are still there.
    assert (left - wanted).abs().max() > 1e-2
    assert torch.allclose(found[1], run.logits, atol=1e-5)


def test_a_donor_brings_its_features(vlm):
    """Some tokens of another image: their embeddings and features, and nothing of the others'."""
    other = picture(seed=3)
    run = run_with(vlm)
    donor = run_of(vlm, [other])
    visual = run.positions["image"]
    fill = rs.fill.donor(donor)
    for exact in ("incremental", "reference"):
        found = run.counterfactuals([rs.Ablate(visual, fill), ()], exact=exact)
        assert torch.allclose(found.logits, torch.stack([donor.logits, run.logits]), atol=1e-5)
        texts = [one.token_ids.tolist() for one in found.generate(4)]
        assert texts == [one.generate(4).token_ids.tolist() for one in (donor, run)]
    few = rs.tokens.random(run, n=10, seed=0)
    rest = visual - few
    embeds = donor.embeddings.clone()
    embeds[list(rest.positions)] = 0
    wanted = by_hand(vlm, run, embeds, list(few.positions), other)
    own = by_hand(vlm, run, embeds, list(few.positions))
    mixed = [rs.Ablate(rest, rs.fill.zero()), rs.Ablate(few, fill)]
    for exact in ("incremental", "reference"):
        found = run.counterfactuals([mixed], exact=exact).logits[0]
        assert torch.allclose(found, wanted, atol=1e-5)
    assert (own - wanted).abs().max() > 1e-2


def test_prompts_share_a_donor_with_its_features(vlm):
    """What the features are counts, not only the embeddings, when conditions are told apart."""
    image = picture()
    runs = vlm.run_many([image], [QUESTION, "Is there a cat in this image?"])
    assert runs.shared > runs[0].image.positions[-1]
    donor = run_with(vlm, 3)
    few = rs.tokens.random(runs[0], n=10, seed=0)
    conditions = [rs.Ablate(few, rs.fill.donor(donor)), rs.Ablate(few, _Bare(donor))]
    found = runs.counterfactuals(conditions)
    wanted = runs.counterfactuals(conditions, exact="reference")
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one.logits, other.logits, atol=1e-5)
        assert (other.logits[0] - other.logits[1]).abs().max() > 1e-2


class _Bare(rs.fill.Donor):
    """A donor's embeddings without the features."""

    def added(self, run, positions):
        return ()


def test_a_donor_of_another_model_is_refused(vlm):
    """Same width, same number of visual tokens, and no features."""
    run = run_with(vlm)
    donor = run_with(loaded(FAMILY["Qwen2-VL"]))
    for here, there in ((run, donor), (donor, run)):
        few = rs.tokens.random(here, n=2, seed=0)
        with pytest.raises(rs.errors.InputError, match="adds features"):
            here.counterfactuals([rs.Ablate(few, rs.fill.donor(there))])


def test_a_patched_input_keeps_the_features(vlm):
    """`Patch` replaces a state and nothing else."""
    run = run_with(vlm)
    donor = run_with(vlm, 3)
    patch = rs.Patch(run.positions["image"], layers=[0], donor=donor)
    wanted = by_hand(vlm, run, donor.embeddings, list(run.positions["image"].positions))
    for exact in ("incremental", "reference"):
        found = run.counterfactuals([patch], exact=exact).logits[0]
        assert torch.allclose(found, wanted, atol=1e-5)


def test_other_batches_of_the_tower_change_nothing():
    """Encoding an image again, beside others, in a tower that then rounds otherwise."""
    vlm = ROW.fresh()

    def rounding(_, args, output):
        return output * (1 + 1e-6 * (len(output) > 4 * 64))

    vlm.model.model.visual.patch_embed.register_forward_hook(rounding)
    image, other = picture((60, 40), seed=21), picture((60, 40), seed=22)
    with torch.no_grad():
        wanted = vlm.model(**oracle(ROW, vlm, [image])).logits[0, -1]
    run = run_of(vlm, [image])
    alone = run.embeddings[list(run.image.positions)]
    beside = vlm.encode([image, other, *PAIR])[0]
    assert not torch.equal(alone, beside)
    assert torch.allclose(alone, beside, atol=1e-4)
    for again in (run, run_of(vlm, [image])):
        assert torch.allclose(again.logits, wanted, atol=1e-5)
        found = again.counterfactuals([()], exact="reference").logits[0]
        assert torch.allclose(found, wanted, atol=1e-5)
        assert torch.allclose(again.counterfactuals([()]).logits[0], wanted, atol=1e-5)


def test_occlusion_in_pixels_is_the_painted_image(vlm):
    """Every window against the library's own forward pass over the image that it paints."""
    image = picture((48, 32), seed=4)
    run = run_of(vlm, [image])
    target = int(run.logits.argmax())
    found = occlusion(run, target, window=1, where="pixels").values

    def score(shown: Image.Image) -> float:
        with torch.no_grad():
            logits = vlm.model(**oracle(ROW, vlm, [shown])).logits[0, -1]
        return float(logits.log_softmax(-1)[target])

    whole = score(image)
    pixels = np.asarray(image)
    for box, drop in zip(run.image.boxes, found, strict=True):
        x0, y0, x1, y1 = (round(float(edge)) for edge in box)
        painted = pixels.copy()
        painted[y0:y1, x0:x1] = pixels.mean((0, 1)).round()
        assert drop == pytest.approx(whole - score(Image.fromarray(painted)), abs=1e-4)
    assert np.ptp(found) > 1e-2


def test_all_tokens_ablated_by_themselves_is_nothing(vlm):
    run = run_with(vlm)
    same = rs.Ablate(run.positions["image"], fill=rs.fill.donor(run))
    assert torch.allclose(run.counterfactuals([same]).logits[0], run.logits, atol=1e-5)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_patched_state_gets_the_features_of_later_blocks_only(vlm, layer):
    """A donor's state at every position makes the donor's output, wherever it goes in."""
    run = run_with(vlm)
    donor = run_with(vlm, 3)
    everything = run.positions["image"] | run.positions["text"]
    patch = rs.Patch(everything, layers=[layer], donor=donor)
    found = run.counterfactuals([patch]).logits[0]
    if layer >= 2:
        assert torch.allclose(found, donor.logits, atol=1e-5)
    else:
        assert (found - donor.logits).abs().max() > 1e-2
    own = rs.Patch(everything, layers=[layer], donor=run)
    assert torch.allclose(run.counterfactuals([own]).logits[0], run.logits, atol=1e-5)


def test_the_vision_tower_runs_once(vlm):
    image = picture((52, 44), seed=5)
    calls: list[int] = []
    handle = vlm.model.model.visual.register_forward_hook(lambda *_: calls.append(1))
    try:
        run = run_of(vlm, [image])
        few = rs.tokens.random(run, n=2, seed=0)
        run.counterfactuals([rs.Ablate(few, fill=rs.fill.zero())]).generate(3)
        vlm.run(vlm.prompt([image], "Is there a cat"))
    finally:
        handle.remove()
    assert len(calls) == 1
