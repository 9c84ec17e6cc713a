"""The interventions, each describing one change.

Interventions applied together act in one order: `Ablate` at the decoder's input, then block by
block `Knockout` inside the block and `Patch` on its output. Two that would set the state of one
position at one layer are refused; knockouts may overlap, an edge is then blocked once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..arguments import wholes
from ..errors import InputError
from ..tokens import TokenSet, VisualTokens, require_run
from ._base_run import BaseRun
from .fill import Fill, zero

Target: TypeAlias = TokenSet | Literal["last", "generated", "last+generated"]
TARGETS = ("last", "generated", "last+generated")


@dataclass(frozen=True, eq=False)
class Ablate:
    """Replaces the decoder's input at `tokens`, before its first layer.

    Attributes:
        tokens: the tokens whose embeddings are replaced.
        fill: the replacement: `fill.mean(vlm, samples)`, `fill.zero()`, `fill.noise(seed)` or
            `fill.donor(run)`.

    Source: Neo et al. 2024, section 3.
    """

    tokens: TokenSet
    fill: Fill = field(default_factory=zero)

    def __post_init__(self) -> None:
        _refuse_others(self.tokens, "the tokens to ablate")
        if not isinstance(self.fill, Fill):
            raise InputError(f"expected a fill such as fill.zero(), got {_named(self.fill)}")


@dataclass(frozen=True, eq=False)
class Knockout:
    """Blocks attention from the queries at `target` to the keys at `source`.

    Edges are blocked before the softmax, so the remaining weights of a row add up to 1.

    Attributes:
        source: the keys to hide.
        target: the queries from which they are hidden: a token set; "last", only the last position
            of the prompt; "generated", the positions that the model generates; or
            "last+generated", both.
        layers: 0-based decoder blocks, one or several; None for all.
        heads: 0-based query heads, one or several; None for all.

    Source: Geva et al. 2023; Neo et al. 2024, section 4.2.
    """

    source: TokenSet
    target: Target
    layers: Iterable[int] | int | None = None
    heads: Iterable[int] | int | None = None

    def __post_init__(self) -> None:
        _refuse_others(self.source, "the source of a knockout")
        # Store tuples: an iterator would be empty at its second use.
        for name in ("layers", "heads"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, wholes(value, name))
        if isinstance(self.target, str):
            if self.target not in TARGETS:
                raise InputError(
                    f"expected a token set or one of {', '.join(TARGETS)} as target, got "
                    f"{self.target!r}"
                )
        else:
            _refuse_others(self.target, "the target of a knockout")


@dataclass(frozen=True, eq=False)
class Patch:
    """Replaces the residual stream by a donor run's.

    Only the state is replaced: what the model adds to these positions after later blocks
    (DeepStack) stays this run's. `Ablate` with `fill.donor(run)` inserts another image's tokens
    with everything that belongs to them.

    Attributes:
        positions: the positions to overwrite.
        layers: the layers, one or several, numbered as in `run.hidden`: 0 is the decoder's input, L
            the output of the last block.
        donor: the run that provides the states; of any model of the same width.
        donor_positions: the positions of these states; None for the same positions of a donor of
            the same length.
        donor_layers: the layers of these states, one for each of `layers` and in their order; None
            for the same layers.

    Source: Meng et al. 2022 (causal tracing); Ghandeharioun et al. 2024, section 3 (a donor of
    another length, layer or model).
    """

    positions: TokenSet
    layers: Iterable[int] | int
    donor: BaseRun
    donor_positions: TokenSet | None = None
    donor_layers: Iterable[int] | int | None = None

    def __post_init__(self) -> None:
        _refuse_others(self.positions, "the positions to patch")
        if self.donor_positions is not None:
            _refuse_others(self.donor_positions, "donor_positions")
        require_run(self.donor, "a run as donor")
        layers = wholes(self.layers, "layers")
        if self.donor_layers is None:
            # It stays None, or `replace(patch, layers=...)` would keep the donor's old ones.
            object.__setattr__(self, "layers", tuple(dict.fromkeys(layers)))
            return
        pairs = _paired(layers, wholes(self.donor_layers, "donor_layers"))
        object.__setattr__(self, "layers", tuple(pairs))
        object.__setattr__(self, "donor_layers", tuple(pairs.values()))


Intervention: TypeAlias = Ablate | Knockout | Patch
Condition: TypeAlias = Intervention | Sequence[Intervention]


def _paired(layers: Sequence[int], donor_layers: Sequence[int]) -> dict[int, int]:
    """Returns the donor's layer for each layer."""
    if len(donor_layers) != len(layers):
        raise InputError(
            f"expected one donor layer for each of {len(layers)} layers, got {len(donor_layers)}"
        )
    pairs: dict[int, int] = {}
    for layer, donor_layer in zip(layers, donor_layers, strict=True):
        if pairs.setdefault(layer, donor_layer) != donor_layer:
            raise InputError(
                f"expected one donor layer for layer {layer}, got {pairs[layer]} and {donor_layer}"
            )
    return pairs


def _refuse_others(tokens: object, what: str) -> None:
    if not isinstance(tokens, TokenSet):
        whole_image = ": its .tokens are one" if isinstance(tokens, VisualTokens) else ""
        raise InputError(f"expected a token set as {what}, got {_named(tokens)}{whole_image}")


def _named(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
