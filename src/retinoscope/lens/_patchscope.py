"""Patchscopes: a state is put into another prompt, and the model says what it reads there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ..arguments import text, whole, wholes
from ..errors import InputError
from ..tokens import Position, RunWithStates, TokenSet, require_run
from ._head import VocabularyHead
from ._kinds import Kind
from ._lens import Lens
from ._lens_of import Kernel, lens_of

_TEXT, _PREFILL = "What is this thing?", "It is a"
_SHOWN = 16
"""Tokens of a target prompt in a message."""


class Continuations(Protocol):
    """What a model wrote, one text per condition."""

    @property
    def texts(self) -> list[str]: ...


class Patched(Protocol):
    """A target prompt under patches, one row per state that was put into it."""

    @property
    def last_hidden(self) -> Float[Tensor, "intervention d_model"]: ...
    def generate(self, max_new_tokens: int) -> Continuations: ...


class TargetRun(RunWithStates, Protocol):
    """A run whose states can be replaced by those of another."""

    def patched(
        self,
        position: int,
        layer: int,
        donor: Any,
        donor_layer: int,
        donor_positions: Sequence[int],
        memory: str | int | None = None,
    ) -> Patched: ...


class _SourceRun(RunWithStates, Protocol):
    """A run that knows its model."""

    @property
    def vlm(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Patchscope(Kind):
    """Each state takes the place of a word of another prompt, which the model then continues.

    The lens reads the next token at that prompt's last position; `generate` writes on from there.
    A row costs one pass over the target's positions from the placeholder on, above the layer that
    is patched, so this lens is much slower than those that read a state by itself.

    The paper's target prompts are few-shot: "cat->cat; 135->135; hello->hello; ?", with the state
    in place of "?" (token identity, section 4.1); "Syria: Country in the Middle East, Leonardo
    DiCaprio: American actor, Samsung: South Korean multinational major appliance and consumer
    electronics corporation, x" (entities, section 4.3); and zero-shot ones such as "The capital of
    X is" (section 3.3). The default here is a question in the model's own conversation format,
    since a small vocabulary has neither arrows nor numbers, and a model that was only taught to
    converse does not follow examples:

        vlm.run(vlm.prompt(None, "What is this thing?", prefill="It is a"))

    A prompt of the paper: `target=vlm.run(vlm.prompt(None, text, raw=True)), placeholder="?"`.

    Attributes:
        target: the run of the target prompt, by the same model; None for the default prompt.
        placeholder: the word whose state is replaced: one token of the target (its last occurrence,
            compared without case and spaces).
        layer: the target's layer that is patched, numbered as in `run.hidden`; None for the layer
            that the state comes from.
        memory: maximum memory for a batch of states; see `Run.counterfactuals`.

    Source: Ghandeharioun et al. 2024 (arXiv 2401.06102), section 3.
    """

    name: ClassVar[str] = "patchscope"
    identity: ClassVar[str] = (
        "the placeholder's own state, the target prompt's own distribution; at the last layer of a "
        "placeholder at the end, the logit lens"
    )

    target: TargetRun | None = None
    placeholder: str = "thing"
    layer: int | None = None
    memory: str | int | None = None

    def __post_init__(self) -> None:
        if self.target is not None:
            require_run(self.target, "a run as target")
        if not text(self.placeholder, "placeholder").strip():
            raise InputError("expected a word of the target prompt as placeholder, got none")
        if self.layer is not None:
            whole(self.layer, "layer", 0)

    @torch.no_grad()
    def read(
        self,
        run: RunWithStates,
        positions: Sequence[int],
        layers: Sequence[int],
        top_k: int,
        kernel: Kernel = "torch",
    ) -> Lens:
        """See `Kind.read`.

        Raises:
            InputError: the target is of another model, it has no such token or layer, or as
                `lens_of`.
            CapabilityError: the family takes no prompts without an image, and no target is given;
                or the kernel does not support the model.
        """
        # Layer by layer: what is kept of each is one state per position, as in the logit lens.
        states = [patched.last_hidden for patched in self._patched(run, positions, layers)]
        head = VocabularyHead(run.adapter)
        hidden = torch.stack(states)
        return lens_of(head, hidden, positions, layers, top_k, kernel=kernel, kind=self.name)

    def generate(
        self,
        run: RunWithStates,
        positions: TokenSet | Iterable[int],
        layers: Iterable[int] | int | None = None,
        max_new_tokens: int = 16,
    ) -> tuple[tuple[str, ...], ...]:
        """Returns what the model writes for each state: texts by layer and position, greedily.

        Args:
            run: where the states come from.
            positions: its positions, as in `run.lens`.
            layers: its layers, in any order; None for all.
            max_new_tokens: the most tokens of a text.

        Raises:
            InputError: there is no such position or layer, or as `read`.
            CapabilityError: as `read`, or as `Run.generate`.
        """
        if isinstance(positions, TokenSet):
            if positions.sequence is not run.sequence:
                raise InputError("expected positions of this run, got a token set of another run")
            positions = positions.positions
        places = wholes(positions, "positions", 0, run.sequence.n - 1, Position)
        known = self.layers(run.adapter)
        chosen = known if layers is None else wholes(layers, "layers", 0, known[-1])
        found = self._patched(run, places, chosen)
        return tuple(tuple(patched.generate(max_new_tokens).texts) for patched in found)

    def _patched(
        self, run: RunWithStates, positions: Sequence[int], layers: Sequence[int]
    ) -> Iterable[Patched]:
        """The target prompt with the states of each layer in it."""
        target = self.target or _default_target(run)
        if target.adapter.model is not run.adapter.model:
            raise InputError("expected a target run of the same model, got one of another model")
        place = self._place(target)
        for layer in layers:
            at = layer if self.layer is None else self.layer
            yield target.patched(place, at, run, layer, positions, self.memory)

    def _place(self, target: TargetRun) -> int:
        """The position of the placeholder."""
        texts = target.adapter.vocabulary.texts(target.inputs.input_ids.tolist())
        tokens = [token.strip().casefold() for token in texts]
        wanted = self.placeholder.strip().casefold()
        if wanted not in tokens:
            raise InputError(
                f"expected {self.placeholder!r} as one token of the target prompt, which ends in "
                f"{' | '.join(texts[-_SHOWN:])}: choose one of its tokens as placeholder"
            )
        return len(tokens) - 1 - tokens[::-1].index(wanted)


def _default_target(run: RunWithStates) -> TargetRun:
    vlm = cast(_SourceRun, run).vlm
    return cast(TargetRun, vlm.run(vlm.prompt(None, _TEXT, _PREFILL)))
