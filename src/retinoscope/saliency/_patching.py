"""Attribution patching: every single-token ablation at once, to first order."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import arguments
from ..engine import Ablate, Run
from ..engine.fill import Fill
from ..errors import InputError
from ..tokens import LogitGradient, TokenSet, visual
from ._draw import draw_tokens
from ._rank import RankCorrelation, rank_correlation

if TYPE_CHECKING:
    import pyarrow
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST = 3


@dataclass(frozen=True, eq=False)
class AttributionPatching:
    """The first-order estimate of how ablating each visual token alone changes a logit.

    A negative number means that the logit falls when the token is ablated, so the token speaks for
    the target. All numbers are in logits; with `versus` they are changes of the difference of two
    logits, which equals the log odds of the two tokens.

    Attributes:
        run: the clean run.
        target, versus: token ids; the measured quantity is logit(target) or logit(target) -
            logit(versus).
        fill: the replacement of an ablated token.
        estimates: (n,) float32, one per visual token of all images, in order.
        sampled: (m,) ascending indices in `estimates` of the tokens that were also ablated exactly.
        exact: (m,) float32, their exact effects.
        rank_correlation: between estimates and exact effects over the sample.
        path: path of the engine that computed the exact effects; see `Effects`.
    """

    run: Run = field(repr=False)
    target: int
    versus: int | None
    fill: Fill
    estimates: Float[Tensor, " token"] = field(repr=False)
    sampled: Int[Tensor, " sample"] = field(repr=False)
    exact: Float[Tensor, " sample"] = field(repr=False)
    rank_correlation: RankCorrelation
    path: str

    def to_frame(self) -> pyarrow.Table:
        """Returns a table with one row per visual token.

        Columns: image, index (among that image's visual tokens), position (in the decoder's
        sequence), row and column (null without a place in a grid), estimate, and exact (null unless
        sampled). The table's metadata has the rank correlation, the target, and the path.
        """
        import pyarrow as pa

        images = self.run.images
        grids = [(image.layout.rows, image.layout.columns) for image in images]
        n = len(self.estimates)
        exact: list[float | None] = [None] * n
        for index, value in zip(self.sampled.tolist(), self.exact.tolist(), strict=True):
            exact[index] = value
        rows, columns = (np.concatenate(kind) for kind in zip(*grids, strict=True))
        table = pa.table(
            {
                **self.run.sequence.columns([p for image in images for p in image.positions]),
                "row": pa.array(rows, pa.int64(), mask=rows < 0),
                "column": pa.array(columns, pa.int64(), mask=columns < 0),
                "estimate": pa.array(self.estimates.tolist(), pa.float32()),
                "exact": pa.array(exact, pa.float32()),
            }
        )
        return table.replace_schema_metadata({"retinoscope": json.dumps(self._facts())})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes `to_frame` as Parquet and returns the path.

        Raises:
            InputError: the name does not end in .parquet, or the file cannot be written.
        """
        from pyarrow import parquet

        goal = Path(path)
        if goal.suffix != ".parquet":
            raise InputError(f"expected a file name that ends in .parquet, got {goal.name!r}")
        try:
            parquet.write_table(self.to_frame(), goal)
        except OSError as error:
            raise InputError(
                f"{goal}: cannot be written ({error}): choose another place"
            ) from error
        return goal

    def plot(self, image: int = 0, ax: Axes | None = None) -> Figure:
        """Draws the estimates over one image, with the rank correlation as the title.

        Args:
            image: index of the image in the prompt.
            ax: where to draw; a new figure if None.

        Raises:
            InputError: there is no such image, or its tokens have no location in it.
        """
        images = self.run.images
        if not 0 <= image < len(images):
            raise InputError(f"expected images from 0 to {len(images) - 1}, got {image}")
        start = sum(len(other) for other in images[:image])
        text = self.run.adapter.vocabulary.text
        logit = f"logit of {text(self.target).strip()!r}"
        if self.versus is not None:
            logit += f" minus {text(self.versus).strip()!r}"
        correlation = self.rank_correlation
        drawn = draw_tokens(
            self.run.prompt.images[image],
            images[image].boxes,
            self.estimates[start : start + len(images[image])].cpu().numpy(),
            ax,
        )
        drawn.bar.set_label(f"estimated change of the {logit}\nwhen the token is ablated")
        drawn.axes.set_title(
            f"rank correlation with {correlation.n} exact ablations: {correlation.value:.2f} "
            f"({correlation.low:.2f} to {correlation.high:.2f})",
            fontsize="small",
        )
        return drawn.figure

    def _facts(self) -> dict[str, object]:
        correlation = self.rank_correlation
        return {
            "target": self.target,
            "versus": self.versus,
            "fill": repr(self.fill),
            "path": self.path,
            "rank_correlation": {
                "value": _number(correlation.value),
                "low": _number(correlation.low),
                "high": _number(correlation.high),
                "p": _number(correlation.p),
                "n": correlation.n,
                "method": correlation.method,
                "reason": correlation.reason,
            },
        }


def attribution_patching(
    run: Run,
    target: str | int,
    fill: Fill,
    *,
    versus: str | int | None = None,
    sample: int = 32,
    seed: int = 0,
) -> AttributionPatching:
    """Estimates how ablating each visual token alone changes a logit of the last position.

    One forward and one backward pass give all n estimates,

        estimate_i = (fill_i - embedding_i) . d logit / d embedding_i,

    in logits; negative where the ablation lowers the logit. They are exact for a model that is
    linear in the token between its embedding and the fill, which no decoder is. So `sample` tokens
    are also ablated exactly, one at a time, and the result includes the rank correlation. The
    sample is uniform, without replacement: choosing it by the estimates, so that it has high and
    low ones, would inflate the correlation.

    Zeros are a poor fill here: blocks begin with a norm that removes a token's scale, so the slope
    along `0 - embedding` is small up to the point where the norm jumps.

    Args:
        run: the run.
        target: a word, of which the first piece is used, or a token id.
        fill: the replacement of an ablated token, as in `Ablate`.
        versus: another word or token id, whose logit is subtracted from the target's.
        sample: number of tokens to ablate exactly, at least 3; all if there are not more.
        seed: seed of the sample and of the interval.

    Raises:
        InputError: an unknown word, one token twice, `fill` is not a fill, fewer than 3 tokens, a
            sample below 3, or the run has no image.
        CapabilityError: the model does not allow gradients.

    Source: Nanda 2023, "Attribution Patching: Activation Patching At Industrial Scale"; Syed et al.
    2023 (arXiv 2310.10348), section 3; when it fails: Kramar et al. 2024 (arXiv 2403.00745).
    """
    n = _checked(run, fill, sample, seed)
    logit = LogitGradient(run, target, versus)
    change = fill.values(run, logit.places).to(logit.embeddings) - logit.embeddings
    estimates = (change.float() * logit.here.gradients[0].float()).sum(-1)
    chosen = np.random.default_rng(seed).choice(n, min(sample, n), replace=False)
    chosen.sort()
    exact, path = _ablated(run, logit, fill, chosen)
    sampled = torch.from_numpy(chosen).to(estimates.device)
    return AttributionPatching(
        run=run,
        target=logit.target,
        versus=logit.versus,
        fill=fill,
        estimates=estimates,
        sampled=sampled,
        exact=exact,
        rank_correlation=rank_correlation(
            estimates[sampled].cpu().numpy(), exact.cpu().numpy(), seed=seed
        ),
        path=path,
    )


def _checked(run: Run, fill: Fill, sample: int, seed: int) -> int:
    """Returns the number of visual tokens; raises as `attribution_patching` does."""
    if not isinstance(fill, Fill):
        raise InputError(f"expected a fill such as fill.zero(), got a {type(fill).__name__}")
    n = len(visual(run))
    arguments.whole(sample, "a sample of tokens", _LEAST)
    arguments.seed(seed)
    if n < _LEAST:
        raise InputError(
            f"expected at least {_LEAST} visual tokens, which a rank correlation needs, got {n}"
        )
    return n


def _ablated(
    run: Run, logit: LogitGradient, fill: Fill, chosen: Int[np.ndarray, " sample"]
) -> tuple[Float[Tensor, " sample"], str]:
    """Returns the exact change of the logit for each of these tokens, and the engine's path."""
    # The empty condition is the clean run, computed on the same path.
    effects = run.counterfactuals(
        [(), *(Ablate(_one(run, logit.places[index]), fill) for index in chosen)]
    )
    logits = effects.logits[:, logit.target]
    if logit.versus is not None:
        logits = logits - effects.logits[:, logit.versus]
    return logits[1:] - logits[0], effects.path[-1]


def _one(run: Run, position: int) -> TokenSet:
    return TokenSet.of(run.sequence, [position])


def _number(value: float) -> float | None:
    """Replaces NaN, which JSON lacks, by None."""
    return None if np.isnan(value) else value
