"""The fit of a linear lens: from its last checkpoint on, and its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError
from ...lens import (
    IMAGE_SKIP,
    TEXT_SKIP,
    At,
    FittedKind,
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
from ._prompts import FitPrompts
from ._settings import Progress, Settings


@dataclass(frozen=True, eq=False)
class LinearFit:
    """One fit of a Jacobian or a tuned lens, which goes on from its last checkpoint.

    Attributes:
        kind: "jacobian" or "tuned".
        prompts: what it is fitted on.
        settings: how.
        corpus: the name of the data in the lens's card.
        out: FILE.safetensors; None to keep the lens in memory alone.
        progress: see `Progress`.
    """

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
    sums = {str(layer): values for layer, values in fit.sums.items()}
    return {**sums, "n_prompts": torch.tensor(fit.n_prompts)}
