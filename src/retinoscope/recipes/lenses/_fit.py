"""Fits a lens to a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ... import arguments
from ...arguments import one_of
from ...data import Sample
from ...engine import VLM
from ...errors import CapabilityError, InputError
from ...lens import FITTED, At, Contextual, FittedKind, LinearLens
from ._contexts import build_contexts, captions
from ._linear import LinearFit
from ._prompts import FitPrompts
from ._settings import Progress, Settings


def fit(
    kind: FittedKind,
    vlm: VLM,
    data: Sequence[Sample] | Sequence[str],
    *,
    at: At | Literal["all"] = "text",
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    corpus: str | None = None,
    progress: Progress | None = None,
    **more: Any,
) -> LinearLens | Contextual:
    """Fits a lens to a model, for `run.lens(kind=...)`.

    With `out`, it can be interrupted at any time: the same call continues from its last checkpoint,
    and only reads the lens once it is finished.

    Args:
        kind: "jacobian", "tuned" or "contextual".
        vlm: the model.
        data: samples, of which the images are taken, each with a question and the model's own
            greedy answer (contextual: with their captions as answers); or texts.
        at: positions of the fitted states: "text", "visual" or, for a tuned lens, "all".
        out: FILE.safetensors, or a folder for a contextual lens, which needs one.
        seed: see `Settings`.
        corpus: the name of the data in the lens's card.
        progress: see `Progress`.
        more: further `Settings`.

    Raises:
        InputError: no or unsuitable data, impossible settings, or a lens of other settings in
            `out`.
        CapabilityError: the model does not support this.
        StudyError: the disk is full; what is finished is kept.
        KeyboardInterrupt: interrupted; what is finished is in `out`.
    """
    one_of(kind, FITTED, "kind")
    settings = Settings(at=at, seed=arguments.seed(seed), **more)
    one_of(at, ("text", "visual", "all") if kind == "tuned" else ("text", "visual"), "at")
    place = None if out is None else arguments.path(out)
    if kind == "contextual":
        return _contextual(vlm, data, settings, place, progress)
    if place is not None and place.suffix != ".safetensors":
        raise InputError(f"expected a file name that ends in .safetensors, got {place.name!r}")
    if kind == "tuned" and settings.shard is not None:
        raise CapabilityError("shards of a tuned lens cannot be merged: fit one lens to all data")
    prompts = FitPrompts.of(vlm, data, settings.question, settings.new_tokens)
    if at == "visual" and not prompts.images:
        raise InputError("expected samples with images for at='visual', got texts")
    vlm.state()
    job = LinearFit(kind, prompts, settings, corpus, place, progress)
    return job.finished() or job.done(job.jacobian() if kind == "jacobian" else job.tuned())


def _contextual(
    vlm: VLM,
    data: Sequence[Sample] | Sequence[str],
    settings: Settings,
    out: Path | None,
    progress: Progress | None,
) -> Contextual:
    if out is None:
        raise InputError("expected a folder (out=...) for the index of a contextual lens, got none")
    if settings.at != "text":
        raise InputError("expected at='text': a contextual lens holds states of texts")
    prompts = FitPrompts.of(vlm, data, settings.question, settings.new_tokens)
    texts = prompts.texts
    question = None if texts is not None else settings.question
    if texts is None:
        texts = captions([item for item in data if isinstance(item, Sample)])
    return build_contexts(
        vlm,
        settings.part(texts),
        out,
        question=question,
        text_layers=settings.text_layers,
        width=settings.width,
        seed=settings.seed,
        memory=settings.memory,
        progress=progress,
    )
