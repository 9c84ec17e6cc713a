"""Fits a lens to a model, with checkpoints, and joins lenses fitted on parts of the data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ... import arguments
from ...arguments import one_of, several
from ...data import Sample
from ...engine import VLM
from ...errors import CapabilityError, InputError
from ...lens import (
    IMAGE_SKIP,
    TEXT_SKIP,
    At,
    Contextual,
    Jacobian,
    JacobianFit,
    LinearLens,
    Tuned,
    TunedFit,
    decoder_fingerprint,
    load,
    read_card,
)
from ...signals import held_signals
from ...store import Json
from ._checkpoint import Checkpoint
from ._contexts import build_contexts, captions
from ._merge import merge_contexts
from ._prompts import NEW_TOKENS, QUESTION, FitPrompts

FittedKind = Literal["jacobian", "tuned", "contextual"]
KINDS: tuple[FittedKind, ...] = ("jacobian", "tuned", "contextual")

Progress = Callable[[int, int, str], None]
"""Called with what is done, all there is to do, and what was just done."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a lens is fitted.

    Args:
        at: positions of the fitted states: text, visual, or (tuned only) all.
        question: what is asked about each image.
        new_tokens: length of the model's own answer to it.
        skip_first: (jacobian) number of leading positions to leave out: by default 16 of a text and
            1 of a prompt with an image.
        steps: (tuned) number of steps.
        text_layers: (contextual) layers of the texts; by default LatentLens' own.
        width: (contextual) project states at random to this many dimensions; None to keep them.
        seed: of the positions that a step draws (tuned), or of the projection (contextual).
        shard: (k, n) for the k-th of n parts of the data; None for all of it.
        memory: the most that a pass (jacobian) or the states (tuned) take, such as "4GB"; half of
            what is free if None.
    """

    at: At | Literal["all"] = "text"
    question: str = QUESTION
    new_tokens: int = NEW_TOKENS
    skip_first: int | None = None
    steps: int = 250
    text_layers: Sequence[int] | Literal["all"] | None = None
    width: int | None = None
    seed: int = 0
    shard: tuple[int, int] | None = None
    memory: str | int | None = None

    def part(self, data: Sequence[Any]) -> Sequence[Any]:
        """The shard's part of the data.

        Raises:
            InputError: no such shard, or one without data.
        """
        if self.shard is None:
            return data
        k, n = self.shard
        n = arguments.whole(n, "the number of shards", 1)
        k = arguments.whole(k, "shard", 1, n)
        part = data[len(data) * (k - 1) // n : len(data) * k // n]
        if not len(part):
            raise InputError(f"expected data for shard {k}/{n}, got none: make fewer shards")
        return part


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
    one_of(kind, KINDS, "kind")
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
    job = _Job(kind, prompts, settings, corpus, place, progress)
    return job.finished() or job.done(job.jacobian() if kind == "jacobian" else job.tuned())


def merge(
    paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], vlm: VLM | None = None
) -> LinearLens | Contextual:
    """Joins the shards of one fit, writes the result and returns it.

    Args:
        paths: their files or folders; of contextual lenses in the order of the data.
        out: the file or folder of the result.
        vlm: the model, which contextual lenses need.

    Raises:
        InputError: not all shards of one fit, each once.
        CapabilityError: tuned lenses, which cannot be joined.
    """
    places = [arguments.path(path) for path in several(paths, "lenses")]
    if not places:
        raise InputError("expected lenses to merge, got none")
    lenses = [load(place, vlm) for place in places]
    if all(isinstance(lens, Contextual) for lens in lenses):
        if vlm is None:
            raise InputError("expected the model of these contextual lenses, got none: name it")
        return merge_contexts(places, vlm, out)
    linear = [lens for lens in lenses if isinstance(lens, LinearLens)]
    kinds = {type(lens) for lens in lenses}
    if len(kinds) > 1:
        raise InputError(f"expected lenses of one kind, got {', '.join(x.name for x in lenses)}")
    merged = type(linear[0]).merge(linear)
    merged.save(out)
    return merged


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


@dataclass(frozen=True, eq=False)
class _Job:
    """One fit of a linear lens."""

    kind: FittedKind
    prompts: FitPrompts
    settings: Settings
    corpus: str | None
    out: Path | None
    progress: Progress | None

    @property
    def skip_first(self) -> int:
        default = IMAGE_SKIP if self.prompts.images else TEXT_SKIP
        return default if self.settings.skip_first is None else self.settings.skip_first

    @property
    def facts(self) -> dict[str, Json]:
        """What the card says of the settings."""
        given = self.settings
        facts = self.prompts.settings
        if self.kind == "jacobian":
            facts |= {"skip_first": self.skip_first}
        else:
            facts |= {"steps": given.steps, "seed": given.seed}
        return facts if given.shard is None else facts | {"shard": "{}/{}".format(*given.shard)}

    @property
    def identity(self) -> dict[str, Json]:
        """What makes two fits the same."""
        return {
            "kind": self.kind,
            "fingerprint": decoder_fingerprint(self.prompts.vlm.adapter),
            "at": None if self.settings.at == "all" else self.settings.at,
            "corpus_hash": self.prompts.fingerprint,
            "settings": self.facts,
        }

    @property
    def about(self) -> dict[str, Any]:
        """The card's other entries."""
        return {
            "model": self.prompts.vlm.name,
            "corpus": self.corpus,
            "corpus_hash": self.prompts.fingerprint,
            "settings": self.facts,
        }

    @property
    def numbers(self) -> Sequence[int]:
        """The prompts of the shard."""
        return self.settings.part(range(len(self.prompts)))

    def checkpoint(self) -> Checkpoint:
        """Where it is kept how far the fit is."""
        return Checkpoint(self.out, self.identity)

    def finished(self) -> LinearLens | None:
        """The lens, if it is there already.

        Raises:
            InputError: there is another one.
        """
        if self.out is None or not self.out.exists():
            return None
        card, wanted = asdict(read_card(self.out)), self.identity
        found = {name: card[name] for name in wanted}
        settings = found["settings"]
        found["settings"] = {name: settings.get(name) for name in self.facts}
        if "shard" in settings and "shard" not in self.facts:
            found["settings"]["shard"] = settings["shard"]
        self.checkpoint().require(found, self.out)
        lens = load(self.out, self.prompts.vlm)
        assert isinstance(lens, LinearLens)
        return lens

    def done(self, lens: LinearLens) -> LinearLens:
        """Writes the finished lens."""
        if self.out is not None:
            lens.save(self.out)
            self.checkpoint().remove()
        return lens

    def jacobian(self) -> Jacobian:
        given, numbers = self.settings, self.numbers
        at: At = "visual" if given.at == "visual" else "text"
        fit = JacobianFit(
            self.prompts.vlm.adapter, at=at, skip_first=self.skip_first, memory=given.memory
        )
        checkpoint = self.checkpoint()
        first, tensors = checkpoint.read()
        if first:
            n = int(tensors.pop("n_prompts"))
            fit.restore({int(layer): sums for layer, sums in tensors.items()}, n)
        with held_signals() as ended:
            for done in range(first, len(numbers)):
                run = self.prompts.run(numbers[done])
                if fit.sources(run):
                    fit.add(run)
                self._report(done + 1, len(numbers), f"{fit.n_prompts} prompts")
                stop = ended()
                checkpoint.write(done + 1, lambda: _sums(fit), now=stop)
                if stop:
                    break
        if not fit.n_prompts:
            raise InputError(
                f"expected prompts with {at} tokens after the first {self.skip_first} positions, "
                f"got none among {len(numbers)}: take longer texts, or a smaller skip_first"
            )
        return fit.lens(**self.about)

    def tuned(self) -> Tuned:
        given, numbers = self.settings, self.numbers
        fit = TunedFit(
            self.prompts.vlm.adapter,
            at=given.at,
            seed=given.seed,
            steps=given.steps,
            memory=given.memory,
        )
        every = len(numbers) + given.steps
        for done, number in enumerate(numbers, 1):
            run = self.prompts.run(number)
            if fit.sources(run):
                fit.add(run)
            self._report(done, every, "states")
        checkpoint = self.checkpoint()
        begin = checkpoint.read()
        with held_signals() as ended:

            def keep(step: int, state: Callable[[], dict[str, Any]]) -> None:
                stop = ended()
                checkpoint.write(step, state, now=stop)
                if stop:
                    raise KeyboardInterrupt

            return fit.train(
                begin=begin if begin[0] else None,
                checkpoint=keep,
                progress=lambda step, _, loss: self._report(
                    len(numbers) + step, every, f"loss {loss:.3f}"
                ),
                **self.about,
            )

    def _report(self, done: int, every: int, what: str) -> None:
        if self.progress is not None:
            self.progress(done, every, what)


def _sums(fit: JacobianFit) -> dict[str, Any]:
    from torch import tensor

    sums = {str(layer): values for layer, values in fit.sums.items()}
    return {**sums, "n_prompts": tensor(fit.n_prompts)}
