"""Features of vision towers are the library's own, and lie where they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from towers import PATCH, clip, clip_vision, convnext, dinov2, registers, siglip, swin, vit
from transformers import ViTModel

import retinoscope as rs
from retinoscope import encoders
from retinoscope.errors import CapabilityError, InputError, MissingExtraError
from retinoscope.models import _watch
from retinoscope.models._content import content_of

LEADING = {vit: 1, dinov2: 1, registers: 5, clip_vision: 1, clip: 1, siglip: 0}


def _picture(width: int = 50, height: int = 40, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("make", LEADING, ids=lambda make: make.__name__)
def test_features_are_the_hidden_states_of_transformers(make) -> None:
    model, processor = make()
    enc = encoders.load((model, processor))
    features = enc.features(_picture())
    images = getattr(processor, "image_processor", processor)
    pixels = images(images=[_picture()], return_tensors="pt")["pixel_values"]
    tower = getattr(model, "vision_model", model)
    with torch.no_grad():
        states = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert enc.layers == ("vision.0", "vision.1", "vision.2", "vision.3")
    assert features.grid == (4, 4)
    for layer, state in zip(enc.layers, states, strict=True):
        plain = state[0, LEADING[make] :].numpy()
        assert features[layer].dtype == np.float32
        assert features[layer].shape == (16, 24)
        np.testing.assert_array_equal(features[layer], plain, err_msg=layer)


def test_boxes_are_pixels_of_the_original_image() -> None:
    square = encoders.load(vit()).features(_picture(64, 32))
    np.testing.assert_allclose(square.boxes[0], [0, 0, 16, 8])
    np.testing.assert_allclose(square.boxes[-1], [48, 24, 64, 32])
    # The shorter edge becomes 40 pixels, of which 32 are kept.
    cropped = encoders.load(dinov2()).features(_picture(80, 40))
    np.testing.assert_allclose(cropped.boxes[0], [24, 4, 32, 12])
    assert cropped.size == (80, 40)
    assert cropped.map("vision.0").shape == (4, 4, 24)


def test_changed_pixels_change_their_own_location_most() -> None:
    enc = encoders.load(registers())
    image = _picture(80, 60)
    before = enc.features(image, ["vision.0"])
    for place in range(len(before)):
        x0, y0, x1, y1 = before.boxes[place]
        array = np.array(image)
        inside = np.s_[int(y0 + 3) : int(y1 - 2), int(x0 + 3) : int(x1 - 2)]
        array[inside] = 255 - array[inside]
        after = enc.features(Image.fromarray(array), ["vision.0"])
        change = np.linalg.norm(after["vision.0"] - before["vision.0"], axis=1)
        assert change.argmax() == place


@pytest.mark.parametrize("make", [swin, convnext], ids=lambda make: make.__name__)
def test_towers_that_merge_patches_are_refused(make) -> None:
    with pytest.raises(CapabilityError, match="use a model whose blocks all see the same patches"):
        encoders.load(make())


def test_wrong_geometry_is_found_by_changed_pixels() -> None:
    class Mirrored(type(vit()[1])):
        def __call__(self, images, **options):
            return super().__call__([one.transpose(0) for one in images], **options)

    model, _ = vit()
    with pytest.raises(CapabilityError, match="places of its tokens are unknown"):
        encoders.load((model, Mirrored(size={"height": 32, "width": 32})))


def test_a_folder_gives_the_same_as_its_objects(tmp_path) -> None:
    model, processor = dinov2()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    one, two = encoders.load(tmp_path), encoders.load((model, processor))
    image = _picture()
    np.testing.assert_array_equal(one.features(image)["vision.2"], two.features(image)["vision.2"])
    assert one.fingerprint == two.fingerprint
    assert one.n_parameters == two.n_parameters == sum(p.numel() for p in model.parameters())


def test_the_encoder_is_frozen() -> None:
    model, processor = clip_vision()
    enc = encoders.load((model, processor))
    before = enc.checksum()
    enc.features(_picture())
    assert enc.checksum() == before
    assert all(parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():
        next(iter(model.parameters())).view(-1)[0] += 1e-6
    assert enc.checksum() != before


def test_a_model_in_training_mode_is_refused() -> None:
    model, processor = vit()
    with pytest.raises(InputError, match="evaluation mode"):
        encoders.load((model.train(), processor))


@pytest.mark.parametrize("layers", [[], ["vision.0", "vision.0"], ["vision.9"], ["joint"]])
def test_layers_that_do_not_fit_are_refused(layers) -> None:
    enc = encoders.load(vit())
    with pytest.raises(InputError, match="layers"):
        enc.features(_picture(), layers)


def test_a_folder_without_an_image_processor_is_refused(tmp_path) -> None:
    vit()[0].save_pretrained(tmp_path)
    with pytest.raises(InputError, match="expected an image processor"):
        encoders.load(tmp_path)


def test_clip_puts_locations_where_its_class_token_goes() -> None:
    model, processor = clip()
    two = encoders.load_contrastive((model, processor))
    image = _picture()
    pixels = processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        hidden = model.vision_model(pixel_values=pixels).last_hidden_state
        joint = model.visual_projection(model.vision_model.post_layernorm(hidden))[0]
        whole = torch.nn.functional.normalize(joint[0], dim=-1)
    np.testing.assert_allclose(two.locations(image)["joint"], joint[1:], atol=1e-6)
    np.testing.assert_allclose(two.image(image), whole, atol=1e-6)
    texts = two.text(["a cat", "the red car and the dog"])
    assert texts.shape == (2, 20)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-6)
    alone = two.text(["a cat"])
    np.testing.assert_allclose(texts[0], alone[0], atol=1e-6)


def test_siglip_pools_a_location_as_if_it_were_alone() -> None:
    model, processor = siglip()
    two = encoders.load_contrastive((model, processor))
    image = _picture()
    pixels = processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        hidden = model.vision_model(pixel_values=pixels).last_hidden_state
        head = model.vision_model.head
        alone = torch.cat([head(hidden[:, place : place + 1]) for place in range(16)])
        whole = torch.nn.functional.normalize(head(hidden)[0], dim=-1)
    np.testing.assert_allclose(two.locations(image)["joint"], alone, atol=1e-6)
    np.testing.assert_allclose(two.image(image), whole, atol=1e-6)


def test_models_without_a_joint_space_are_refused(tmp_path) -> None:
    with pytest.raises(CapabilityError, match="contrastive"):
        encoders.load_contrastive("pocket")
    model, processor = clip()
    with pytest.raises(InputError, match="tokenizer"):
        encoders.load_contrastive((model, processor.image_processor))
    two = encoders.load_contrastive((model, processor))
    for wrong in ("a cat", [], ["a", " "], ["a " * 40]):
        with pytest.raises(InputError, match="text"):
            two.text(wrong)


def test_timm_names_what_to_install() -> None:
    try:
        import timm  # noqa: F401
    except Exception:
        with pytest.raises(MissingExtraError, match="timm"):
            encoders.load("timm:vit_tiny_patch16_224")
    else:
        pytest.skip("timm is installed")


def test_timm_features() -> None:
    pytest.importorskip("timm", exc_type=Exception)
    from retinoscope.encoders._timm import TimmEncoder

    enc = TimmEncoder("vit_tiny_patch16_224", pretrained=False)
    features = enc.features(_picture(300, 240), ["vision.0", "vision.12"])
    assert features.grid == (14, 14)
    assert features["vision.12"].shape == (196, 192)


@pytest.mark.parametrize("make", [vit, dinov2, clip_vision, siglip], ids=lambda make: make.__name__)
def test_enlarged_images_have_more_places(make) -> None:
    model, processor = make()
    enc = encoders.load((model, processor), enlarge=2)
    features = enc.features(_picture(80, 40))
    assert features.grid == (8, 8)
    plain = encoders.load((model, processor)).features(_picture(80, 40))
    np.testing.assert_allclose(features.boxes[0, :2], plain.boxes[0, :2])
    np.testing.assert_allclose(features.boxes[-1, 2:], plain.boxes[-1, 2:])
    assert enc.fingerprint != encoders.load((model, processor)).fingerprint
    assert getattr(processor, "image_processor", processor).size != enc.images.size
    with pytest.raises(InputError, match="enlarge"):
        encoders.load((model, processor), enlarge=0)


def test_models_of_one_size_are_not_enlarged(tiny) -> None:
    with pytest.raises(CapabilityError, match="enlarge"):
        encoders.load(tiny, enlarge=2)


def test_an_encoder_is_given_back() -> None:
    enc = encoders.load(vit())
    assert encoders.load(enc) is enc
    assert isinstance(enc, rs.encoders.Encoder)
    assert isinstance(enc.modules[0], ViTModel)
    assert enc.modules[0].config.patch_size == PATCH


@pytest.mark.parametrize("made", [clip, siglip])
@pytest.mark.parametrize("broken", ["vision_model", "text_model"])
def test_numbers_that_are_not_finite_are_named(made, broken):
    two = rs.encoders.load_contrastive(made())
    layer = getattr(two.model, broken).encoder.layers[0].mlp.fc1
    with torch.no_grad():
        layer.bias[0] = float("nan")
    image = Image.new("RGB", (40, 30), "red")
    calls = {"text_model": [lambda: two.text(["a cat"])]}.get(
        broken, [lambda: two.image(image), lambda: two.locations(image)]
    )
    for call in calls:
        with pytest.raises(rs.NonFiniteError, match=rf"{broken}.*fc1.*float32"):
            call()
    if broken == "vision_model":
        with pytest.raises(rs.NonFiniteError, match="fc1"):
            two.encoder.features(image)


@pytest.mark.parametrize("make", [clip, siglip])
def test_weights_of_two_towers_are_read_once(make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint is asked for again and again; the weights are read when they change."""
    reads: list[object] = []

    def counted(model: torch.nn.Module) -> object:
        reads.append(model)
        return content_of(model)

    monkeypatch.setattr(_watch, "content_of", counted)
    two = encoders.load_contrastive(make())
    before = two.fingerprint
    assert two.fingerprint == before
    assert len(reads) == 1
    with torch.no_grad():
        next(iter(two.model.parameters())).view(-1)[0] += 1
    assert two.fingerprint != before
    assert len(reads) == 2
