"""The mean visual token as a stage of its own: taken once, kept in a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..data import Sample
from ..engine import fill
from ..errors import InputError
from ..store import RunDirectory, fingerprint_json, new_manifest
from ..studies import describe_model, sample_fingerprint

if TYPE_CHECKING:
    from ..engine import VLM

NAME = "mean"


def mean_token(vlm: VLM, samples: Sequence[Sample], out: Path) -> fill.Mean:
    """The mean visual token over `samples`, or what `out` holds of it.

    Raises:
        InputError: an image that cannot be read, or `out` holds that of another model or data.
    """
    source = getattr(samples, "fingerprint", None)
    if source is None:
        source = fingerprint_json([sample_fingerprint(sample) for sample in samples])
    manifest = new_manifest(
        study=NAME,
        parameters={},
        model=describe_model(vlm),
        data={"fingerprint": str(source), "samples": len(samples)},
        seeds={},
        dtype=str(vlm.dtype).removeprefix("torch."),
        device=str(vlm.device),
    )
    with RunDirectory.open(out, manifest, schema=1) as directory:
        try:
            found = directory.read_tensors(NAME)
        except InputError:
            done = fill.mean(vlm, samples, cache=False)
            counts = torch.tensor([done.n_images, done.n_tokens])
            directory.write_tensors(NAME, {"vector": done.vector, "counts": counts})
            return done
    images, tokens = (int(count) for count in found["counts"])
    vector = torch.from_numpy(found["vector"].copy())
    return fill.Mean(vector, images, tokens, vlm.adapter.image_weights())
