"""LaVIT's tokenizer: what is kept, merged, coded and rebuilt."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from retinoscope.errors import InputError
from retinoscope.interfaces.codes import (
    CodeDecoder,
    DynamicTokenizer,
    Merger,
    Selector,
    SharedAttention,
    TokenizerShape,
    kept_first,
)

SHAPE = TokenizerShape(patches=20, width=16, heads=2, ff=16, n_codes=12, d_code=4)


@pytest.fixture
def tokenizer() -> DynamicTokenizer:
    torch.manual_seed(0)
    made = DynamicTokenizer(SHAPE).eval()
    many = torch.randn(60, 20, 16) * 2 + 1
    made.standardise(many)
    made.calibrate(many)
    return made


def some(n: int = 5) -> torch.Tensor:
    return torch.randn(n, 20, 16, generator=torch.Generator().manual_seed(1)) * 2 + 1


def test_with_shares_of_0_and_1_it_is_masked_attention() -> None:
    torch.manual_seed(0)
    layer = SharedAttention(16, 2)
    queries, read = torch.randn(3, 5, 16), torch.randn(3, 7, 16)
    share = (torch.rand(3, 5, 7) < 0.6).float()
    share[..., 0] = 1
    heads = [
        part.unflatten(-1, (2, 8)).transpose(1, 2)
        for part in (layer.query(queries), layer.key(read), layer.value(read))
    ]
    plain = F.scaled_dot_product_attention(*heads, attn_mask=share[:, None].bool())
    expected = layer.out(plain.transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(queries, read, share), expected, atol=1e-4, rtol=1e-4)


def test_the_gradient_of_a_share_says_what_a_hidden_key_would_change() -> None:
    torch.manual_seed(0)
    layer = SharedAttention(16, 2)
    share = torch.tensor([[[1.0, 0.0, 1.0]]]).requires_grad_()
    layer(torch.randn(1, 1, 16), torch.randn(1, 3, 16), share).sum().backward()
    assert share.grad is not None
    assert bool((share.grad.abs() > 1e-4).all())


def test_a_kept_patch_reads_kept_ones_before_it_and_all_dropped_ones() -> None:
    torch.manual_seed(0)
    merger = Merger(16, 2, 16, 2).eval()
    patches = some(1)
    keep = torch.zeros(1, 20)
    keep[0, [2, 7, 11]] = 1
    with torch.no_grad():
        before = merger(patches, keep)

        def moved(patch: int) -> list[int]:
            other = patches.clone()
            other[0, patch] = torch.randn(16)
            apart = (merger(other, keep) - before)[0].abs().amax(-1)
            return [place for place in (2, 7, 11) if apart[place] > 1e-4]

        assert moved(7) == [7, 11]
        assert moved(15) == [2, 7, 11]


def test_draws_keep_about_as_many_as_the_scores_say_and_never_none() -> None:
    torch.manual_seed(0)
    selector, patches = Selector(16), some(200)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        expected = selector(patches)[..., 0].exp().mean()
        keep = selector.sampled(patches, generator)
    assert set(keep.unique().tolist()) == {0.0, 1.0}
    assert keep.mean() == pytest.approx(float(expected), abs=0.03)
    with torch.no_grad():
        selector.score[-1].bias.copy_(torch.tensor([-50.0, 50.0]))
        assert selector.sampled(patches, generator).sum(1).tolist() == [1.0] * 200


@pytest.mark.parametrize("share", [1 / 12, 1 / 3, 0.5, 1.0])
def test_the_share_kept_is_the_one_that_was_asked_for(tokenizer, share: float) -> None:
    torch.manual_seed(0)
    many = torch.randn(60, 20, 16) * 2 + 1
    torch.manual_seed(0)
    keep = tokenizer.select(many, share)
    assert keep.float().mean() == pytest.approx(share, abs=0.05)
    assert torch.equal(keep, tokenizer.select(many, share))
    assert bool(keep.any(1).all())


def test_an_image_on_which_nothing_passes_keeps_its_best_patch(tokenizer) -> None:
    tokenizer.levels.fill_(100.0)
    keep = tokenizer.select(some(), 1 / 3)
    assert keep.sum(1).tolist() == [1] * 5
    assert torch.equal(keep.float().argmax(1), tokenizer.scores(some()).argmax(1))


def test_kept_ones_come_first_in_reading_order() -> None:
    home, mask = kept_first(torch.tensor([[0, 1, 0, 1], [1, 1, 1, 0]]).bool())
    assert home.tolist() == [[1, 3, 0], [0, 1, 2]]
    assert mask.tolist() == [[True, True, False], [True, True, True]]


def test_an_image_has_the_same_codes_in_any_batch(tokenizer) -> None:
    patches = some()
    together = tokenizer.encode(patches, 1 / 3)
    lengths = together.mask.sum(1)
    assert len(lengths.unique()) > 1
    for row, length in enumerate(lengths.tolist()):
        alone = tokenizer.encode(patches[row : row + 1], 1 / 3)
        assert alone.mask.all()
        assert alone.codes[0].tolist() == together.codes[row, :length].tolist()
        assert alone.home[0].tolist() == together.home[row, :length].tolist()
        rebuilt = tokenizer.decode(alone.codes, alone.mask)
        padded = tokenizer.decode(together.codes, together.mask)[row]
        torch.testing.assert_close(rebuilt[0], padded, atol=1e-4, rtol=1e-4)


def test_codes_are_the_nearest_of_the_book(tokenizer) -> None:
    keep = tokenizer.select(some(), 1 / 3)
    vectors = tokenizer.vectors(some(), keep.float())
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(5, 20))
    apart = torch.cdist(vectors.flatten(0, 1), tokenizer.book)
    assert torch.equal(tokenizer.nearest(vectors).flatten(), apart.argmin(1))


def test_in_training_the_decoder_sees_what_it_will_see() -> None:
    """Masked in the whole row, or gathered: the same codes at the same ranks."""
    torch.manual_seed(0)
    decoder = CodeDecoder(20, 4, 16, 2, 16, 2).eval()
    vectors = torch.randn(2, 20, 4)
    keep = torch.zeros(2, 20)
    keep[0, [1, 5, 6]], keep[1, [0, 3, 19]] = 1, 1
    home, mask = kept_first(keep.bool())
    gathered = vectors.gather(1, home[..., None].expand(-1, -1, 4))
    with torch.no_grad():
        torch.testing.assert_close(
            decoder(vectors, keep), decoder(gathered, mask.float()), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize(
    ("codes", "mask", "said"),
    [
        ([[1, 12]], [[True, True]], "codes from 0 to 11, got 12"),
        ([[1, -1]], [[True, True]], "got -1"),
        ([[0, 0]], [[False, False]], "got an empty sequence"),
        ([[0] * 21], [[True] * 21], "at most 20 codes, one per patch, got 21"),
    ],
)
def test_sequences_that_are_none_are_refused(tokenizer, codes, mask, said: str) -> None:
    with pytest.raises(InputError, match=said):
        tokenizer.decode(torch.tensor(codes), torch.tensor(mask))


def test_a_share_of_nothing_is_refused(tokenizer) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1, got 0"):
        tokenizer.select(some(), 0)
