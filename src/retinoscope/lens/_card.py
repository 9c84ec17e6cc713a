"""What a fitted lens belongs to and how it was fitted; kept in its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from typing import Any, Literal

from ..arguments import checked_fields
from ..errors import InputError
from ..models import Adapter, described, digest_of
from ..store import fingerprint_json

_PACKAGE = "retinoscope"

At = Literal["text", "visual"]
"""Positions whose states a lens was fitted on."""


@dataclass(frozen=True)
class Card:
    """The model, the data and the settings of a fitted lens.

    None stands for what a file of another package does not say.

    Attributes:
        kind: the kind of lens.
        model: name of the model.
        fingerprint: of what the lens depends on; see `decoder_fingerprint`.
        dtype: in which the model computed.
        d_model: width of the residual stream.
        n_layers: blocks of the decoder.
        layers: the fitted layers, numbered as in `run.hidden`.
        n_prompts: number of prompts.
        at: positions of the fitted states; None for all.
        corpus: name of the prompts' source.
        corpus_hash: of the prompts.
        settings: everything else that the result depends on, as JSON.
        version: of retinoscope.
    """

    kind: str
    d_model: int
    layers: tuple[int, ...]
    model: str | None = None
    fingerprint: str | None = None
    dtype: str | None = None
    n_layers: int | None = None
    n_prompts: int | None = None
    at: At | None = None
    corpus: str | None = None
    corpus_hash: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    def __post_init__(self) -> None:
        checked_fields(self)

    @classmethod
    def of(cls, adapter: Adapter, kind: str, layers: tuple[int, ...], **more: Any) -> Card:
        """The card of a lens that is fitted now, by this version, to this model."""
        return cls(
            kind=kind,
            d_model=adapter.d_model,
            layers=layers,
            fingerprint=decoder_fingerprint(adapter),
            dtype=str(adapter.dtype).removeprefix("torch."),
            n_layers=adapter.n_layers,
            version=version(_PACKAGE),
            **more,
        )

    def to_json(self) -> str:
        """One line of JSON, the same for equal cards."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Reads what `to_json` wrote.

        Raises:
            InputError: anything else.
        """
        try:
            facts = json.loads(text)
            if not isinstance(facts, dict):
                raise TypeError
            unknown = sorted(facts.keys() - {entry.name for entry in fields(cls)})
            if unknown:
                raise InputError(
                    f"expected the card of a lens, got one with {unknown[0]!r}: it was written by "
                    f"retinoscope {facts.get('version')}, this is {version(_PACKAGE)}"
                )
            card = cls(**{**facts, "layers": tuple(facts["layers"])})
            if not isinstance(card.settings, dict):
                raise TypeError
            return card
        except (ValueError, TypeError, KeyError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("expected the card of a lens, got other metadata") from error

    def check(self, adapter: Adapter) -> None:
        """Refuses a model that the lens was not fitted to.

        Raises:
            InputError: another width, number of layers or target, or other weights.
        """
        last = adapter.n_layers - 1
        target = self.settings.get("target_layer", last)
        for what, expected, got in (
            ("d_model", self.d_model, adapter.d_model),
            ("n_layers", self.n_layers or adapter.n_layers, adapter.n_layers),
        ):
            if expected != got:
                raise InputError(
                    f"this {self.kind} lens was fitted to a model with {what} {expected}, got "
                    f"one with {got}: use its own model, or fit a lens to this one"
                )
        if target != last:
            raise InputError(
                f"this {self.kind} lens leads to the output of block {target}, expected the last "
                f"block, {last}: only lenses to the final state can be read"
            )
        outside = [layer for layer in self.layers if not 0 <= layer <= last]
        if outside:
            raise InputError(
                f"this {self.kind} lens has layer {outside[0]}, expected layers 0 to {last} of "
                "this model: use the lens's own model"
            )
        if self.fingerprint not in (None, decoder_fingerprint(adapter)):
            dtype = str(adapter.dtype).removeprefix("torch.")
            other = f" ({self.dtype}; this one is {dtype})" if dtype != self.dtype else ""
            raise InputError(
                f"this {self.kind} lens was fitted to other weights"
                f"{f' of {self.model}' if self.model else ''}{other}: use them, or fit a lens to "
                "this model with `retinoscope fit-lens`"
            )


def merged(cards: Sequence[Card]) -> Card:
    """The card of the lens of all prompts together, from the cards of lenses of parts of them.

    Raises:
        InputError: the same cases as in `Jacobian.merge`.
    """
    if not cards or not all(card.n_prompts for card in cards):
        raise InputError("expected lenses with a known number of prompts each, got none or unknown")
    first = cards[0]
    for card in cards[1:]:
        one, other = _compared(first), _compared(card)
        differing = [name for name in one if one[name] != other[name]]
        if differing:
            name = differing[0]
            raise InputError(
                f"expected parts of one fit, got lenses with different {name}: {one[name]} and "
                f"{other[name]}"
            )
    shards = [card.settings.get("shard") for card in cards]
    settings = {name: value for name, value in first.settings.items() if name != "shard"}
    total = sum(card.n_prompts or 0 for card in cards)
    corpora = [(card.corpus, card.corpus_hash) for card in cards]
    if any(shards):
        n = len(shards)
        if len(set(corpora)) > 1 or sorted(map(str, shards)) != sorted(
            f"{k}/{n}" for k in range(1, n + 1)
        ):
            got = ", ".join(map(str, shards))
            raise InputError(f"expected all shards of one set of prompts, each once, got {got}")
        return replace(first, n_prompts=total, settings=settings)
    known = [hashed for _, hashed in corpora if hashed]
    if len(set(known)) < len(known):
        raise InputError("expected lenses of different prompts, got the same prompts twice")
    return replace(
        first,
        n_prompts=total,
        corpus=" + ".join(dict.fromkeys(str(name) for name, _ in corpora)),
        corpus_hash=fingerprint_json(sorted(known)) if len(known) == len(cards) else None,
    )


def _compared(card: Card) -> dict[str, Any]:
    """What all parts of one fit share."""
    facts = asdict(card)
    for name in ("n_prompts", "corpus", "corpus_hash", "version"):
        del facts[name]
    facts["settings"] = {k: v for k, v in card.settings.items() if k != "shard"}
    return facts


def decoder_fingerprint(adapter: Adapter) -> str:
    """32 hexadecimal digits of the decoder: configuration, blocks, norm, embedding and head.

    Names of weights count from the decoder, so that the model around it does not matter. Weights
    are as of the model's last look; the same ones in another dtype have another fingerprint.
    """
    content = adapter.watch.content_at_last_look()
    names = {id(module): name for name, module in adapter.model.named_modules()}
    parts: list[object] = [described(adapter.text_config)]
    for module in (adapter.language_model, adapter.embedding, adapter.unembedding):
        start = f"{names[id(module)]}."
        parts.append(
            sorted(
                (name.removeprefix(start), digest)
                for name, digest in content.items()
                if name.startswith(start)
            )
        )
    return digest_of(parts)
