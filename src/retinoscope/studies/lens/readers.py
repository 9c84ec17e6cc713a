"""The kinds of lens of a study, fitted where they have to be, and what they read in an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from jaxtyping import Int

from ...data import Sample
from ...errors import InputError
from ...lens import At, FittedKind, FittedLens, Kind, LinearLens, kind_of, load
from ...recipes.lenses import fit
from ...sources import open_source, source_of
from ...store import Json, fingerprint_array, fingerprint_json
from .._executor import Tell
from .._readable import sample_fingerprint
from .._study import seed_of
from .options import FITTED, LABELS, LensOptions

if TYPE_CHECKING:
    from ...engine import VLM, Run

_FIT_ON = 64
"""Number of scenes that lenses are fitted on, by default."""


@dataclass(frozen=True, eq=False)
class TopWords:
    """The nearest word of each visual token, by one kind of lens.

    Attributes:
        layers: the layers that the kind reads.
        ids: the words' token ids.
    """

    layers: tuple[int, ...]
    ids: Int[np.ndarray, "layer token"]

    def row(self, layer: int) -> int:
        """The row of `ids` that belongs to a layer."""
        return self.layers.index(layer)

    def at(self, layer: int) -> Int[np.ndarray, " token"]:
        return self.ids[self.row(layer)]


@dataclass(frozen=True, eq=False)
class LensFits:
    """Where the fitted lenses of a study come from.

    Attributes:
        samples: images to fit to, other than those studied.
        prompts: how many of them the tuned and the Jacobian lens are fitted to.
        given: lenses fitted before to the model as it is, by kind.
        seed: seed of the fits.
        at: positions of the states to which the Jacobian lens is fitted; the tuned lens is
            fitted to all.
        folder: where fitted lenses are kept, and found again when a run goes on; a study has its
            own in its run directory.
    """

    samples: Sequence[Sample] = ()
    prompts: int = 8
    given: Mapping[str, Kind] = field(default_factory=dict)
    seed: int = 0
    at: At = "text"
    folder: Path | None = None

    def require(self, kinds: Sequence[str]) -> None:
        """Raises `InputError` for a kind with neither samples to fit it to nor a file."""
        for kind in kinds:
            if kind in FITTED and kind not in self.given and not len(self.samples):
                raise InputError(
                    f"expected images to fit the {LABELS[kind]} on, other than those studied, got "
                    "none: name them with --fit-on DATA (fits=LensFits(samples)), or give a file "
                    f"of `retinoscope fit-lens {kind}` with --lenses"
                )

    def require_others(self, kinds: Sequence[str], studied: Sequence[Sample]) -> None:
        """Raises `InputError` if lenses would be fitted to an image that is studied."""
        if not {*kinds} & {*FITTED} or not len(self.samples):
            return
        used = self.samples if "contextual" in kinds else self.samples[: self.prompts]
        known = {fingerprint_array(np.asarray(sample.image)): sample.id for sample in used}
        for sample in studied:
            same = known.get(fingerprint_array(np.asarray(sample.image)))
            if same is not None:
                raise InputError(
                    f"expected to fit lenses on images that are not studied, got {same}, the same "
                    f"image as {sample.id} of those studied: name other data with --fit-on"
                )

    def recorded(self, kinds: Sequence[str]) -> Json:
        """What the results depend on; part of a run's identity."""
        if not {*kinds} & {*FITTED}:
            return None
        samples = [sample_fingerprint(sample) for sample in self.samples]
        return {
            "samples": fingerprint_json(samples),
            "prompts": self.prompts,
            "at": self.at,
            "given": {name: _said_of(kind) for name, kind in sorted(self.given.items())},
            "seed": self.seed,
        }

    def kinds(self, names: Sequence[str], vlm: VLM, weights: str, tell: Tell) -> dict[str, Kind]:
        """Returns the kinds for one model, fitted to that very model.

        Args:
            names: the kinds; one that would have to be fitted without samples is left out.
            vlm: the model.
            weights: "trained" for the model as it is, to which the lenses that were given belong.
            tell: called with the progress of each fit.

        Raises:
            InputError: a lens that was given belongs to another model.
        """
        given = self.given if weights == "trained" else {}
        for kind in given.values():
            if isinstance(kind, FittedLens):
                vlm.state()
                kind.check(vlm.adapter)
        return {
            name: given[name] if name in given else self._kind(name, vlm, weights, tell)
            for name in names
            if name in given or name not in FITTED or len(self.samples)
        }

    def _at(self, name: str) -> At | Literal["all"]:
        """Where a lens is fitted: a control's, as the lens that it is the control of."""
        given = self.given.get(name)
        if isinstance(given, LinearLens):
            return given.card.at or ("all" if name == "tuned" else "text")
        if name == "tuned":
            return "all"
        return self.at if name == "jacobian" else "text"

    def _kind(self, name: str, vlm: VLM, weights: str, tell: Tell) -> Kind:
        if name not in FITTED:
            return kind_of(name)
        samples = self.samples if name == "contextual" else self.samples[: self.prompts]
        out = None
        if self.folder is not None:
            # A worker on another machine does not have the run directory.
            self.folder.mkdir(parents=True, exist_ok=True)
            ending = "" if name == "contextual" else ".safetensors"
            out = self.folder / f"{weights.replace(' ', '-')}-{name}{ending}"

        def progress(done: int, total: int, what: str) -> None:
            tell(f"fitting the {LABELS[name]} ({weights}): {done} of {total}, {what}")

        return fit(
            cast(FittedKind, name),
            vlm,
            samples,
            at=self._at(name),
            out=out,
            seed=self.seed,
            progress=progress,
        )


NO_FITS = LensFits()


def _said_of(kind: Kind) -> str:
    if not isinstance(kind, FittedLens):
        return repr(kind)
    said = kind.card.to_json()
    if isinstance(kind, LinearLens) and kind.card.corpus_hash is None:
        # Files of other packages do not say enough to tell two of them apart.
        tensors = (*kind.matrices.values(), *kind.biases.values())
        said += " " + fingerprint_json([fingerprint_array(one.numpy()) for one in tensors])
    return said


def top_words(run: Run, kinds: Mapping[str, Kind]) -> dict[str, TopWords]:
    """Returns the nearest word of each of the image's tokens, by each kind."""
    words = {}
    for name, kind in kinds.items():
        lens = run.lens(top_k=1, positions=run.image.tokens, kind=kind)
        words[name] = TopWords(lens.layers, lens.ids[..., 0].cpu().numpy())
    return words


def fits_of(options: LensOptions, samples: Sequence[Sample], seed: int) -> LensFits:
    """Opens the files and the data of the fitted kinds.

    Raises:
        InputError: a file of a kind that is not asked for, two of one kind, or data that cannot be
            opened.
    """
    needed = {*options.kinds} & {*FITTED}
    if not needed and not options.lenses:
        return NO_FITS
    given: dict[str, Kind] = {}
    for kind in map(load, options.lenses):
        if kind.name in given:
            raise InputError(f"expected one {LABELS[kind.name]} in --lenses, got two: choose one")
        given[kind.name] = kind
    if unused := given.keys() - needed:
        raise InputError(
            f"--lenses has a {LABELS[min(unused)]}, which --kinds does not name: add it there"
        )
    source = source_of(samples)
    drawn = source is not None and str(source["spec"]).startswith("scenes:")
    fit_on = options.fit_on or (f"scenes:{_FIT_ON}" if drawn and needed - given.keys() else "")
    # Scenes of another seed than the study's are other scenes.
    other = open_source(fit_on, seed_of(seed, "fitted lenses")) if needed and fit_on else ()
    return LensFits(other, options.fit_prompts, given, seed, options.fit_at)
