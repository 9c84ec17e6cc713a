"""Maps of CLIP, SigLIP and BLIP's matching, against transformers and autograd alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import retinoscope as rs
from retinoscope.encoders import TwoTower, load_contrastive, load_matching
from retinoscope.saliency import contrastive, matching
from tests.encoders import towers

TEXT, OTHER = "a red car </s>", "a blue fish </s>"
"""CLIP reads its text at the end token."""
MATCHED = "a red car"
PATCHES = 16


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((60, 44), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module", params=["clip", "siglip"])
def two(request: pytest.FixtureRequest) -> TwoTower:
    return load_contrastive(getattr(towers, request.param)())


def plain(two: Any, image: Image.Image) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The cosine, attention weights and block inputs, by the library's own eager forward pass."""
    model = two.model
    before = model.vision_model.config._attn_implementation
    model.vision_model.config._attn_implementation = "eager"
    pixels = two.encoder.images(images=[image], return_tensors="pt")["pixel_values"]
    out = model.vision_model(pixels.requires_grad_(True), output_attentions=True,
                             output_hidden_states=True)  # fmt: skip
    model.vision_model.config._attn_implementation = before
    pooled = out.pooler_output[0]
    if hasattr(model, "visual_projection"):
        pooled = model.visual_projection(pooled)
    score = F.normalize(pooled, dim=-1) @ torch.from_numpy(two.text([TEXT])[0])
    return score, list(out.attentions), list(out.hidden_states[:-1])


def test_the_gradients_are_the_librarys(two: TwoTower, picture: Image.Image) -> None:
    score, weights, states = plain(two, picture)
    slopes = torch.autograd.grad(score, [*weights, *states])
    cam = contrastive.grad_cam(two, picture, TEXT, layer=1)
    assert cam.settings["cosine"] == pytest.approx(float(score.detach()), abs=1e-5)
    gradient, state = slopes[len(weights) + 1][0, -PATCHES:], states[1][0, -PATCHES:]
    wanted = (state @ gradient.mean(0)).clamp(min=0).detach()
    assert cam.values == pytest.approx(wanted.numpy(), rel=1e-3, abs=1e-6)
    assert cam.values.max() > 0
    relevancy = product = torch.eye(weights[0].shape[-1])
    for one, slope in zip(weights, slopes, strict=False):
        mixed = one[0].detach().mean(0) + torch.eye(len(product))
        product = mixed / mixed.sum(-1, keepdim=True) @ product
        relevancy = relevancy + (one[0].detach() * slope[0]).clamp(min=0).mean(0) @ relevancy
    rolled, found = (m(two, picture, TEXT) for m in (contrastive.rollout, contrastive.chefer))
    if two.name == "CLIPModel" or hasattr(two.model, "visual_projection"):  # type: ignore[attr-defined]
        assert rolled.values == pytest.approx(product[0, -PATCHES:].numpy(), abs=1e-6)
        assert found.values == pytest.approx(relevancy[0, -PATCHES:].numpy(), rel=1e-3, abs=1e-7)
    else:
        # Every row of the rollout adds up to 1, and so does what the pooling head reads.
        assert rolled.values.sum() == pytest.approx(1, abs=1e-5)
        assert (found.values >= 0).all()
    assert found.values.max() > 0


def test_siglips_pooling_head_is_read_exactly(picture: Image.Image) -> None:
    two: Any = load_contrastive(towers.siglip())
    seen = []
    hook = two.model.vision_model.head.attention.register_forward_hook(
        lambda module, args, output: seen.append(output[1])
    )
    rolled = contrastive.rollout(two, picture, TEXT).values
    two.image(picture)
    hook.remove()
    _, weights, _ = plain(two, picture)
    product = torch.eye(PATCHES)
    for one in weights:
        mixed = one[0].detach().mean(0) + torch.eye(PATCHES)
        product = mixed / mixed.sum(-1, keepdim=True) @ product
    # The library's own weights, the mean of the heads.
    assert rolled == pytest.approx((seen[-1][0, 0].detach() @ product).numpy(), abs=1e-5)


def test_similarity_is_a_cosine_and_depends_on_the_text(
    two: TwoTower, picture: Image.Image
) -> None:
    found = contrastive.similarity(two, picture, TEXT)
    vectors = two.locations(picture)["joint"]
    wanted = [v @ two.text([TEXT])[0] / np.linalg.norm(v) for v in vectors]
    assert found.values == pytest.approx(np.array(wanted), abs=1e-5)
    assert found.pixels().shape == (44, 60)
    other = contrastive.similarity(two, picture, OTHER)
    assert np.abs(other.values - found.values).max() > 1e-3
    # Rollout knows nothing of the text, relevancy does.
    for method, same in ((contrastive.rollout, True), (contrastive.chefer, False)):
        ours, theirs = (method(two, picture, text).values for text in (TEXT, OTHER))
        assert np.allclose(ours, theirs, rtol=1e-4) == same


def test_occlusion_encodes_again(two: TwoTower, picture: Image.Image) -> None:
    found = contrastive.occlusion(two, picture, TEXT, window=4)
    assert np.ptp(found.values) == pytest.approx(0, abs=1e-12)
    boxes = two.locations(picture).boxes
    pixels = np.asarray(picture).copy()
    (x0, y0), (x1, y1) = np.floor(boxes[:, :2].min(0)), np.ceil(boxes[:, 2:].max(0))
    pixels[int(y0) : int(y1), int(x0) : int(x1)] = pixels.mean((0, 1)).round()
    goal = two.text([TEXT])[0]
    drop = two.image(picture) @ goal - two.image(Image.fromarray(pixels)) @ goal
    assert found.values[0] == pytest.approx(float(drop), abs=1e-6)
    assert np.ptp(contrastive.occlusion(two, picture, TEXT, window=1).values) > 0


def test_contrastive_refusals(two: TwoTower, picture: Image.Image) -> None:
    with pytest.raises(rs.InputError, match="window from 1 to 4, got 5"):
        contrastive.occlusion(two, picture, TEXT, window=5)
    with pytest.raises(rs.InputError, match="blocks from -3 to 2, got 3"):
        contrastive.grad_cam(two, picture, TEXT, layer=3)
    with pytest.raises(rs.InputError, match="not empty"):
        contrastive.similarity(two, picture, " ")
    other: Any = SimpleNamespace(name="small", model=None)
    with pytest.raises(rs.CapabilityError, match="CLIP and SigLIP only"):
        contrastive.chefer(other, picture, TEXT)


def test_methods_of_both_kinds_are_called_as_those_of_a_vlm(
    two: TwoTower, blip: tuple[Any, Any], picture: Image.Image
) -> None:
    matcher = load_matching(blip)
    tables: Any = ((contrastive.METHODS, two, (two,)), (matching.METHODS, matcher, blip))
    for methods, model, given in tables:
        for name, method in methods.items():
            assert method.refusal(model) is None
            layers = method.layers_of(model)
            assert layers == ((None,) if method.depth is None else tuple(range(len(layers))))
            (layer,) = method.usual_layers(model)
            text = TEXT if model is two else MATCHED
            found = method(*given, picture, text, layer=layer, steps=9, seed=1)
            assert (found.method, found.settings.get("layer")) == (name, layer)
            if layer is not None:
                with pytest.raises(rs.InputError, match="got None"):
                    method(*given, picture, text)
    assert contrastive.METHODS["grad-cam"].layers_of(two, (0, 2, 7)) == (0, 2)
    assert matching.METHODS["cross-attention"].usual_layers(matcher) == (0,)
    assert contrastive.METHODS["occlusion"](two, picture, TEXT, window=1).settings["window"] == 1


@pytest.fixture(scope="module")
def blip() -> tuple[Any, Any]:
    return towers.blip()


def test_cross_attention_times_gradient(blip: tuple[Any, Any], picture: Image.Image) -> None:
    model, processor = blip
    kept: list[Tensor] = []
    hook = model.text_encoder.encoder.layer[0].crossattention.register_forward_hook(
        lambda module, args, output: kept.append(output[1])
    )
    pixels = processor.image_processor(images=[picture], return_tensors="pt")["pixel_values"]
    ids = processor.tokenizer([MATCHED], return_tensors="pt")["input_ids"]
    score = model(input_ids=ids, pixel_values=pixels).itm_score[0, 1]
    hook.remove()
    (slope,) = torch.autograd.grad(score, kept[0])
    product = (kept[0].detach() * slope.clamp(min=0))[0].mean(0)[:, 1:]
    found = matching.cross_attention(model, processor, picture, MATCHED, layer=0)
    # <s> a red car: the first is special.
    assert found.values == pytest.approx(product[1:].mean(0).numpy(), rel=1e-3, abs=1e-8)
    assert found.settings["match"] == pytest.approx(float(score.detach()), abs=1e-5)
    word = matching.cross_attention(model, processor, picture, MATCHED, layer=0, word="car")
    assert word.values == pytest.approx(product[3].numpy(), rel=1e-3, abs=1e-8)
    assert found.values.max() > 0
    assert found.boxes[0] == pytest.approx([0, 0, 15, 11])
    assert found.pixels().shape == (44, 60)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_grad_cam_of_matching(blip: tuple[Any, Any], picture: Image.Image) -> None:
    model, processor = blip
    kept: list[Tensor] = []
    hook = model.vision_model.encoder.layers[1].register_forward_pre_hook(
        lambda module, args: kept.append(args[0])
    )
    pixels = processor.image_processor(images=[picture], return_tensors="pt")["pixel_values"]
    ids = processor.tokenizer([MATCHED], return_tensors="pt")["input_ids"]
    score = model(input_ids=ids, pixel_values=pixels).itm_score[0, 1]
    hook.remove()
    (slope,) = torch.autograd.grad(score, kept[0])
    wanted = (kept[0][0, 1:] @ slope[0, 1:].mean(0)).clamp(min=0).detach()
    found = matching.grad_cam(model, processor, picture, MATCHED, layer=1)
    assert found.values == pytest.approx(wanted.numpy(), rel=1e-3, abs=1e-7)


def test_matching_refusals(blip: tuple[Any, Any], picture: Image.Image, two: TwoTower) -> None:
    model, processor = blip
    for options, message in (
        ({"layer": 2}, "blocks from 0 to 1, got 2"),
        ({"layer": 0, "word": "fish"}, "a word of the text 'a red car', got 'fish'"),
    ):
        with pytest.raises(rs.InputError, match=message):
            matching.cross_attention(model, processor, picture, MATCHED, **options)
    with pytest.raises(rs.InputError, match="blocks from 0 to 1, got -1"):
        matching.grad_cam(model, processor, picture, MATCHED, layer=-1)
    with pytest.raises(rs.InputError, match="a text to match, got an empty one"):
        matching.grad_cam(model, processor, picture, " ", layer=0)
    with pytest.raises(rs.InputError, match="expected a BlipForImageTextRetrieval"):
        matching.grad_cam(two.model, processor, picture, MATCHED, layer=0)  # type: ignore[attr-defined]
