"""Two streams that read each other, and their image stream as a visual interface."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from retinoscope.interfaces import (
    QFormer,
    SemanticCompletion,
    TextTower,
    TowerShape,
    TowersShape,
    TwoStreams,
    attention_weights,
    build_interface,
)

TOWER = {"image": 24, "patch": 8, "width": 16, "layers": 1, "heads": 2, "ff": 16}
N_WORDS, D_MODEL = 20, 12


def interface(n_words: int = N_WORDS, seed: int = 0, **settings: int) -> SemanticCompletion:
    torch.manual_seed(seed)
    sizes = {"heads": 2, "ff": 24} | settings
    return SemanticCompletion(D_MODEL, TOWER, n_words=n_words, **sizes).eval()


def given() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens of four images, and four captions of different lengths."""
    generator = torch.Generator().manual_seed(1)
    present = torch.arange(7) < torch.tensor([7, 4, 6, 7])[:, None]
    ids = torch.randint(5, N_WORDS, (4, 7), generator=generator)
    ids[:, 0] = 2
    return torch.randn(4, 10, 16, generator=generator), ids.masked_fill(~present, 0), present


def fused(streams: TwoStreams, *shown: torch.Tensor, **options: int):
    image, ids, present = shown
    with torch.no_grad():
        return streams(image, streams.words(ids, present), present, **options)


@pytest.mark.parametrize(("n_image", "n_text"), [(1, 1), (0, 7), (3, 2)])
def test_what_is_not_needed_is_left_out_and_nothing_else(n_image: int, n_text: int) -> None:
    streams, shown = interface().streams, given()
    whole, part = fused(streams, *shown), fused(streams, *shown, n_image=n_image, n_text=n_text)
    assert whole.image.shape == (4, 10, 16)
    assert whole.text.shape == (4, 7, 16)
    torch.testing.assert_close(part.image, whole.image[:, :n_image])
    torch.testing.assert_close(part.text, whole.text[:, :n_text])


@pytest.mark.parametrize("layers", [1, 2])
def test_a_layer_reads_the_other_stream_as_it_was_before(layers: int) -> None:
    """Only what an earlier layer did to the image reaches the text, and the other way round."""
    streams, shown = interface(layers=layers).streams, given()
    for changed, read in (("image", "text"), ("text", "image")):
        before = fused(streams, *shown)
        with torch.no_grad():
            getattr(streams, f"{changed}_layers")[0].ff[2].weight.mul_(3)
        after = fused(streams, *shown)
        assert not torch.allclose(getattr(after, changed), getattr(before, changed))
        same = torch.equal(getattr(after, read), getattr(before, read))
        assert same == (layers == 1)


def test_padding_and_only_padding_is_not_read() -> None:
    streams, (image, ids, present) = interface().streams, given()
    plain = fused(streams, image, ids, present)
    padded = fused(streams, image, ids.masked_fill(~present, 9), present)
    torch.testing.assert_close(padded.image, plain.image)
    torch.testing.assert_close(padded.text[present], plain.text[present])
    other = ids.clone()
    other[:, 2] = 9 - (other[:, 2] == 9).long()
    read = fused(streams, image, other, present)
    assert (read.image - plain.image).abs().amax((1, 2)).min() > 1e-4


def test_looks_are_the_attention_of_the_last_layer() -> None:
    streams, (image, ids, present) = interface(layers=1).streams, given()
    last = streams.text_layers[0]
    with torch.no_grad():
        words = streams.words(ids, present)
        looks = streams.looks(image, words, present)
        assert looks.shape == (4, 2, 10)
        entered = streams.text_in(words) + streams.text_type
        own = last.own_norm(entered)
        found = last.own(own, own, own, key_padding_mask=~present, need_weights=False)[0]
        asking = last.asking_norm(entered + found)[:, :1]
        read = last.other_norm(streams.image_in(image) + streams.image_type)
        query, key, _ = last.other.in_proj_weight.chunk(3)
        wanted = attention_weights(asking @ query.T, read @ key.T, 2)
    torch.testing.assert_close(looks, wanted[:, :, 0])


def test_the_interface_is_the_image_stream_beside_the_start_token() -> None:
    made, (image, *_) = interface(), given()
    start = torch.full((4, 1), 2)
    both = fused(made.streams, image, start, start > 0)
    with torch.no_grad():
        tokens = made({"contrastive": image}).embeddings
    assert tokens.shape == (4, made.n_tokens, D_MODEL) == (4, 10, D_MODEL)
    torch.testing.assert_close(tokens, made.language_projection(both.image))


def test_without_its_text_side_it_gives_the_same_tokens() -> None:
    made, (image, *_) = interface(), given()
    alone = interface(n_words=0, seed=5)
    weights, own = made.weights_without_text(), alone.state_dict()
    alone.load_state_dict({name: weights[name] for name in own})
    with torch.no_grad():
        wanted = made({"contrastive": image}).embeddings
        torch.testing.assert_close(alone({"contrastive": image}).embeddings, wanted)
    assert not [name for name in own if name.startswith(("streams.text.", "streams.text_in"))]
    assert not [name for name in own if name.startswith("streams.text_layers.1")]
    alone({"contrastive": image}).embeddings.sum().backward()
    assert [
        name for name, weight in alone.trained_parameters().items() if weight.grad is None
    ] == []
    with pytest.raises(ValueError, match="with a text tower"):
        alone.streams.words(image[:, :, 0].long(), image[:, :, 0] > 0)


def test_a_q_former_also_leaves_its_text_side_behind() -> None:
    torch.manual_seed(0)
    sizes = {"queries": 3, "layers": 2, "heads": 2, "ff": 24}
    made, alone = (QFormer(D_MODEL, TOWER, **sizes, n_words=n).eval() for n in (N_WORDS, 0))
    weights = made.weights_without_text()
    alone.load_state_dict({name: weights[name] for name in alone.state_dict()})
    seen = {"contrastive": given()[0]}
    with torch.no_grad():
        torch.testing.assert_close(alone(seen).embeddings, made(seen).embeddings)


def test_it_is_as_large_as_the_q_former_in_front_of_the_language_model() -> None:
    tower = {"tower": asdict(TowerShape())}
    sizes = [build_interface(name, tower, 128).size for name in ("scl", "qformer")]
    assert abs(sizes[0] / sizes[1] - 1) < 0.03
    fusion = build_interface("scl", {**tower, "n_words": 200}, 128)
    assert isinstance(fusion, SemanticCompletion)
    layers = [*fusion.streams.image_layers.parameters(), *fusion.streams.text_layers.parameters()]
    assert 1.0e6 < sum(weight.numel() for weight in layers) < 1.1e6


def test_a_trained_text_tower_starts_the_text_side() -> None:
    made, (_, ids, present) = interface(N_WORDS + 1), given()
    assert made.streams.text is not None
    drawn = made.streams.text.words.weight[N_WORDS].clone()
    torch.manual_seed(8)
    shape = TowersShape(**TOWER, text_layers=1, text_ff=8, text_tokens=9)
    tower = TextTower(shape, N_WORDS).eval().requires_grad_(False)
    made.start_text(tower)
    with torch.no_grad():
        wanted = tower.states(ids, ~present)
        torch.testing.assert_close(made.streams.words(ids, present)[present], wanted[present])
    assert torch.equal(made.streams.text.words.weight[N_WORDS], drawn)
    assert all(weight.requires_grad for weight in made.streams.parameters())
    assert not any(weight.requires_grad for weight in tower.parameters())
    with pytest.raises(ValueError, match="with a text side"):
        interface(0).start_text(tower)


def test_left_out_patches_are_not_seen() -> None:
    made = interface()
    pixels = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    every = torch.arange(9).expand(2, -1)
    with torch.no_grad():
        seen = made.see(pixels)["contrastive"]
    torch.testing.assert_close(made.see_patches(pixels, every), seen)
    nothing = made.see_patches(pixels, every[:, :0])
    assert nothing.shape == (2, 1, 16)
    assert torch.equal(nothing[0], nothing[1]), "its class token has seen no image"
    assert not nothing.requires_grad
