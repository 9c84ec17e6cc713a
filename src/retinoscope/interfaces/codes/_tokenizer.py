"""LaVIT's dynamic tokenizer: as many discrete tokens as an image needs.

Source: Jin et al. 2024, "Unified Language-Vision Pretraining in LLM with Dynamic Discrete Visual
Tokenization" (LaVIT, arXiv 2309.04669), section 3.1. Two things are our own. After training, a
patch is kept where its score lies above a threshold that was calibrated on training images: the
same image always gives the same tokens (the release draws them anew in each call), and the share
kept can be chosen. And the decoder is masked by the same shares as the merger, so that gradients
also tell what it would gain from a patch that was dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ._decoder import CodeDecoder
from ._merger import Merger
from ._selector import Selector

_LEVELS = 200


@dataclass(frozen=True)
class TokenizerShape:
    """Sizes of a tokenizer.

    Attributes:
        patches, width: of the tower.
        heads, ff: of its blocks.
        merging, decoding: their numbers.
        n_codes, d_code: of the codebook.
    """

    patches: int = 81
    width: int = 128
    heads: int = 4
    ff: int = 256
    merging: int = 1
    decoding: int = 2
    n_codes: int = 512
    d_code: int = 16


@dataclass(frozen=True, eq=False)
class CodeSequences:
    """The tokens of images, those that are there first.

    Attributes:
        codes: numbers in the codebook; 0 where there is none.
        mask: True for each token that is there.
        home: the patch that each token stands for; 0 where there is none.
    """

    codes: Int[Tensor, "batch token"]
    mask: Bool[Tensor, "batch token"]
    home: Int[Tensor, "batch token"]


class DynamicTokenizer(nn.Module):
    """Keeps some patches, merges the others into them, and gives each kept one a code."""

    def __init__(self, shape: TokenizerShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.selector = Selector(width)
        self.merger = Merger(width, shape.heads, shape.ff, shape.merging)
        self.to_code = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Linear(width, shape.d_code)
        )
        self.decoder = CodeDecoder(
            shape.patches, shape.d_code, width, shape.heads, shape.ff, shape.decoding
        )
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.register_buffer("levels", torch.zeros(_LEVELS + 1))
        book = F.normalize(torch.randn(shape.n_codes, shape.d_code), dim=-1)
        self.register_buffer("book", book)
        self.mean: Tensor
        self.deviation: Tensor
        self.levels: Tensor
        self.book: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> DynamicTokenizer:
        """Stays in float32, as in the release: rounding would choose other patches."""

        def kept(tensor: Tensor) -> Tensor:
            done = fn(tensor)
            return done.float() if done.is_floating_point() else done

        return super()._apply(kept, recurse)

    # Before any training

    @torch.no_grad()
    def standardise(self, patches: Float[Tensor, "image patch width"]) -> None:
        """Takes mean and deviation of each entry from training images."""
        flat = patches.flatten(0, 1)
        self.mean.copy_(flat.mean(0))
        self.deviation.copy_(flat.std(0).clamp(min=1e-3))

    @torch.no_grad()
    def calibrate(self, patches: Float[Tensor, "image patch width"]) -> None:
        """Takes the scores that thresholds are chosen from; call it once training is over."""
        scores = self.scores(patches).flatten()
        shares = torch.linspace(0, 1, _LEVELS + 1, device=scores.device)
        self.levels.copy_(scores.quantile(shares))

    # Parts

    def standard(
        self, patches: Float[Tensor, "batch patch width"]
    ) -> Float[Tensor, "batch patch width"]:
        return (patches.float() - self.mean) / self.deviation

    def scores(self, patches: Float[Tensor, "batch patch width"]) -> Float[Tensor, "batch patch"]:
        """The log-probability that each patch is kept."""
        return self.selector(self.standard(patches))[..., 0]

    def select(
        self, patches: Float[Tensor, "batch patch width"], share: float
    ) -> Bool[Tensor, "batch patch"]:
        """True for each kept patch: `share` of all patches of the calibration, at least one here.

        Raises:
            InputError: a share outside (0, 1].
        """
        if not 0 < share <= 1:
            raise InputError(f"expected a share of patches above 0 and at most 1, got {share}")
        scores = self.scores(patches)
        place = torch.tensor((1 - share) * _LEVELS, device=scores.device)
        low, high = self.levels[place.floor().long()], self.levels[place.ceil().long()]
        keep = scores > low + (place - place.floor()) * (high - low)
        best = F.one_hot(scores.argmax(1), scores.shape[1]).bool()
        return torch.where(keep.any(1, keepdim=True), keep, best)

    def vectors(
        self, patches: Float[Tensor, "batch patch width"], keep: Float[Tensor, "batch patch"]
    ) -> Float[Tensor, "batch patch d_code"]:
        """Unit vectors of merged patches, before they are rounded to codes."""
        return F.normalize(self.to_code(self.merger(self.standard(patches), keep)), dim=-1)

    def nearest(self, vectors: Float[Tensor, "*batch d_code"]) -> Int[Tensor, "*batch"]:
        """The code nearest to each unit vector."""
        return (vectors @ self.book.T).argmax(-1)

    # Use

    @torch.no_grad()
    def encode(self, patches: Float[Tensor, "batch patch width"], share: float) -> CodeSequences:
        """The codes of images, in reading order.

        Args:
            patches: the tower's, without a class token.
            share: of all patches, on average over the images of the calibration.
        """
        keep = self.select(patches, share)
        home, mask = kept_first(keep)
        codes = self.nearest(self.vectors(patches, keep.float())).gather(1, home)
        return CodeSequences(codes.masked_fill(~mask, 0), mask, home.masked_fill(~mask, 0))

    @torch.no_grad()
    def decode(
        self, codes: Int[Tensor, "batch token"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch patch width"]:
        """The features of all patches of an image that these codes describe.

        Raises:
            InputError: a number beyond the codebook, an empty sequence, or one that is longer than
                an image has patches.
        """
        longest = int(mask.sum(1).max())
        if not bool(mask.any(1).all()):
            raise InputError("expected at least one code for each image, got an empty sequence")
        if longest > self.shape.patches:
            raise InputError(
                f"expected at most {self.shape.patches} codes, one per patch, got {longest}"
            )
        beyond = codes[mask & ((codes < 0) | (codes >= self.shape.n_codes))]
        if len(beyond):
            raise InputError(
                f"expected codes from 0 to {self.shape.n_codes - 1}, got {int(beyond[0])}: they "
                "belong to another codebook"
            )
        return self.decoder(self.book[codes.masked_fill(~mask, 0)], mask.float())


def kept_first(
    keep: Bool[Tensor, "batch patch"],
) -> tuple[Int[Tensor, "batch token"], Bool[Tensor, "batch token"]]:
    """The kept patches of each image in reading order, and which entries of the table there are."""
    longest = int(keep.sum(1).max())
    order = (~keep).int().argsort(dim=1, stable=True)[:, :longest]
    return order, keep.gather(1, order)
