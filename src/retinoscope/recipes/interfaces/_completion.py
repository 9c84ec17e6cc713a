"""What two streams complete, match and look at in held-out scenes, one row per scene and condition.

Every measure has its control in the same rows: another scene's partner, or another scene's objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from ...data.scenes import SceneOptions, draw_arrays, scene_texts
from ...encoders.captions import caption_ids
from ...encoders.small_tower import drawn_patches
from ...interfaces import SemanticCompletion, TowersShape, TwoStreams, to_pixels
from .._captions import Captions, drawn_words
from ._scl import SclStage
from ._world import OPTIONS

RATIOS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of an image's patches, or of a caption's words, that are hidden."""
CANDIDATES = 16
"""How many of the nearest before the fusion are ranked anew by it."""
_BATCH = 64


@dataclass(frozen=True, eq=False)
class ScenePool:
    """Held-out scenes.

    Attributes:
        images: as drawn.
        tokens: the tower's, class token first.
        captions: of the scenes.
        cover: share of each patch that objects cover.
    """

    images: UInt8[np.ndarray, "scene height width 3"]
    tokens: Float[Tensor, "scene token width"]
    captions: Captions
    cover: Float[Tensor, "scene patch"]

    def __len__(self) -> int:
        return len(self.images)


@torch.no_grad()
def draw_pool(
    interface: SemanticCompletion, n: int, seed: int, options: SceneOptions = OPTIONS
) -> ScenePool:
    """Draws scenes 0..n-1 of `seed` and looks at them with the interface's tower."""
    patch, grid = interface.shape.patch, interface.shape.grid
    images, covers, captions = [], [], []
    for index in range(n):
        image, label, _ = draw_arrays(index, seed, options)
        images.append(image)
        covers.append((label > 0).reshape(grid, patch, grid, patch).mean((1, 3)).ravel())
        captions.append(scene_texts(index, seed, options)[0])
    drawn = np.stack(images)
    ids = caption_ids(captions, TowersShape.text_tokens)
    ids = ids[:, : int((ids != 0).sum(1).max())]
    return ScenePool(
        drawn,
        _in_batches(n, lambda rows: interface.see(to_pixels(drawn[rows]))["contrastive"]),
        Captions(ids, ids != 0),
        torch.from_numpy(np.stack(covers)).float(),
    )


@torch.no_grad()
def retrieval(
    interface: SemanticCompletion, stage: SclStage, pool: ScenePool, candidates: int = CANDIDATES
) -> pl.DataFrame:
    """Finds each image's caption, and each caption's image, in the pool.

    Returns:
        "scene"; "query" ("image" or "text"); "contrast_rank" among all and "rank" after the fusion
        has ranked the `candidates` nearest anew (0 is the best; null if the answer is not among
        them); "contrast_right" and "right". Scenes with the same caption answer for one another.
    """
    streams, captions = interface.streams.eval(), pool.captions
    words = streams.words(captions.ids, captions.present)
    scores = stage.scores(pool.tokens, words)
    same = (captions.ids[:, None] == captions.ids[None]).all(-1)
    k = min(candidates, len(pool))
    chosen = {"image": _nearest(scores, k), "text": _nearest(scores.T, k)}
    images, texts = (chosen["image"] | chosen["text"].T).nonzero(as_tuple=True)

    def matched(rows: slice) -> Tensor:
        text = texts[rows]
        fused = streams(
            pool.tokens[images[rows]], words[text], captions.present[text], n_image=1, n_text=1
        )
        logits = stage.pairs.match_logits(fused)
        return logits[:, 1] - logits[:, 0]

    matches = torch.full_like(scores, -torch.inf)
    matches[images, texts] = _in_batches(len(images), matched)
    ways = {"image": (scores, matches), "text": (scores.T, matches.T)}
    frames = []
    for query, (contrast, match) in ways.items():
        first = _rank(contrast, same)
        among = match.masked_fill(~chosen[query], -torch.inf)
        rank = _rank(among, same)
        found = (same & chosen[query]).any(1)
        columns = {
            "scene": np.arange(len(pool)),
            "contrast_rank": first.numpy(),
            "rank": [int(r) if there else None for r, there in zip(rank, found, strict=True)],
            "contrast_right": (first == 0).numpy(),
            "right": ((rank == 0) & found).numpy(),
        }
        frames.append(pl.DataFrame(columns).with_columns(query=pl.lit(query)))
    return pl.concat(frames)


@torch.no_grad()
def completions(
    interface: SemanticCompletion,
    pool: ScenePool,
    ratios: Sequence[float] = RATIOS,
    seed: int = 0,
) -> pl.DataFrame:
    """Looks for the whole scene's token 0 with that of its masked image, or masked caption.

    At ratio 1 an image has only its class token, which has then seen nothing, and a caption only
    its length; only the partner can tell what was there.

    Returns:
        "scene"; "modality" that is masked ("image" or "text"); "ratio" of what is hidden;
        "partner", the whole other modality: of the "same" scene, or of "another"; "rank" of the
        scene's own token, read from the whole of both, among all of the pool (0 is the best);
        "right", whether it is the nearest. What is hidden is the same for both partners.
    """
    streams, captions, n = interface.streams.eval(), pool.captions, len(pool)
    own = torch.arange(n)
    partners = {"same": own, "another": own.roll(1)}
    words = streams.words(captions.ids, captions.present)
    whole = _globals(streams, pool.tokens, words, captions.present)
    frames = []
    for number, ratio in enumerate(ratios):
        generator = torch.Generator().manual_seed(seed + number)
        part = _part(interface, pool, ratio, generator)
        read = captions.without(drawn_words(captions, ratio, generator))
        covered = streams.words(read.ids, read.present)
        for partner, other in partners.items():
            made = {
                "image": _globals(streams, part, words[other], captions.present[other])["image"],
                "text": _globals(streams, pool.tokens[other], covered, read.present)["text"],
            }
            for modality, token in made.items():
                scores = token @ whole[modality].T
                rank = (scores > scores.diagonal()[:, None]).sum(1)
                frame = pl.DataFrame({"scene": own.numpy(), "rank": rank.numpy()})
                frames.append(
                    frame.with_columns(
                        right=pl.col("rank") == 0,
                        modality=pl.lit(modality),
                        ratio=pl.lit(ratio),
                        partner=pl.lit(partner),
                    )
                )
    return pl.concat(frames)


@torch.no_grad()
def attention_inside(interface: SemanticCompletion, pool: ScenePool) -> pl.DataFrame:
    """How much of the attention of the text's token 0 lies on the objects of its scene.

    Attention in the last layer to the patches, which sums to 1; of the head with the most inside,
    as in ALIGN-BENCH (Ji et al. 2023, arXiv 2306.07096).

    Returns:
        "scene"; "inside", the share on its objects; "chance", the share of the area that they
        cover; "inside_another" and "chance_another", the same with the objects of another scene
        (again of the best head: the best of several is above chance by luck alone).
    """
    streams, captions = interface.streams.eval(), pool.captions

    def looked(rows: slice) -> Tensor:
        present = captions.present[rows]
        words = streams.words(captions.ids[rows], present)
        return streams.looks(pool.tokens[rows], words, present)[..., 1:]

    looks = _in_batches(len(pool), looked)
    looks = looks / looks.sum(-1, keepdim=True)
    columns = {"scene": np.arange(len(pool))}
    for name, cover in {"": pool.cover, "_another": pool.cover.roll(1, 0)}.items():
        inside = torch.einsum("shp,sp->sh", looks, cover).amax(1)
        columns |= {f"inside{name}": inside.numpy(), f"chance{name}": cover.mean(1).numpy()}
    return pl.DataFrame(columns)


def _in_batches(n: int, of: Callable[[slice], Tensor]) -> Tensor:
    return torch.cat([of(slice(start, start + _BATCH)) for start in range(0, n, _BATCH)])


def _globals(
    streams: TwoStreams,
    image: Float[Tensor, "scene token width"],
    words: Float[Tensor, "scene word width"],
    present: Bool[Tensor, "scene word"],
) -> dict[str, Float[Tensor, "scene width"]]:
    """Token 0 of both streams, of length 1."""

    def fused(rows: slice) -> Tensor:
        done = streams(image[rows], words[rows], present[rows], n_image=1, n_text=1)
        return torch.stack([done.image[:, 0], done.text[:, 0]], 1)

    both = F.normalize(_in_batches(len(image), fused), dim=-1)
    return {"image": both[:, 0], "text": both[:, 1]}


def _part(
    interface: SemanticCompletion, pool: ScenePool, ratio: float, generator: torch.Generator
) -> Float[Tensor, "scene token width"]:
    """The tower's tokens of images of which it sees all patches but a share."""
    n = interface.shape.patches
    kept = drawn_patches(len(pool), n, 1.0, generator)[:, : round(n * (1 - ratio))]
    return _in_batches(
        len(pool), lambda rows: interface.see_patches(to_pixels(pool.images[rows]), kept[rows])
    )


def _nearest(scores: Float[Tensor, "query other"], k: int) -> Bool[Tensor, "query other"]:
    """True for the `k` best of each query."""
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, scores.topk(k, 1).indices, True)


def _rank(
    scores: Float[Tensor, "query other"], same: Bool[Tensor, "query other"]
) -> Int[Tensor, " query"]:
    """How many others score higher than the best answer."""
    best = scores.masked_fill(~same, -torch.inf).amax(1, keepdim=True)
    return ((scores > best) & ~same).sum(1)
