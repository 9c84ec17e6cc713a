"""The mean visual token as a stage of its own, computed once and kept in a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..data import Sample
from ..engine import fill
from ..errors import InputError
from ..store import RunDirectory, new_manifest
from ..studies import describe_model
from ._data import samples_fingerprint

if TYPE_CHECKING:
    from ..engine import VLM

NAME = "mean"


def mean_token(vlm: VLM, samples: Sequence[Sample], out: Path) -> fill.Mean:
    """Returns the mean visual token over `samples`, read from `out` if it was computed before.

    Raises:
        InputError: an image cannot be read, or `out` belongs to another model or other data.
    """
    manifest = new_manifest(
        study=NAME,
        parameters={},
        model=describe_model(vlm),
        data={"fingerprint": samples_fingerprint(samples), "samples": len(samples)},
        seeds={},
        dtype=str(vlm.dtype).removeprefix("torch."),
        device=str(vlm.device),
    )
    with RunDirectory.open(out, manifest, schema=1) as directory:
        try:
            stored = directory.read_tensors(NAME)
        except InputError:
            mean = fill.mean(vlm, samples, cache=False)
            counts = torch.tensor([mean.n_images, mean.n_tokens])
            directory.write_tensors(NAME, {"vector": mean.vector, "counts": counts})
            return mean
    images, tokens = (int(count) for count in stored["counts"])
    vector = torch.from_numpy(stored["vector"].copy())
    return fill.Mean(vector, images, tokens, vlm.adapter.image_weights())
