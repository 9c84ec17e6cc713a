"""`Method`: one way to make saliency maps, declared alike for models of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from ._heat_map import HeatMap

if TYPE_CHECKING:
    from ..engine.fill import Fill

M = TypeVar("M")
"""The kind of model: `VLM`, `TwoTower` or `Matcher`."""
Unit = Literal["score", "share"]


def by_name(*methods: Method[M]) -> dict[str, Method[M]]:
    """Returns a table of methods by name."""
    return {method.name: method for method in methods}


def middle(depth: int) -> int:
    """Returns the middle one of `depth` layers."""
    return depth // 2


def allowed(model: Any) -> None:
    """A `refusal` that refuses no model."""


@dataclass(frozen=True)
class Method(Generic[M]):
    """One method for models of one kind, as studies call it.

    `METHODS[name](run, target, ...)` for a VLM, `contrastive.METHODS[name](two, image, text, ...)`,
    `matching.METHODS[name](model, processor, image, text, ...)`.

    Attributes:
        name: as in the table and in `HeatMap.method`.
        function: the method itself, with all its settings.
        what: description in a few words.
        unit: scale of its values: the target's score, or shares from 0 to 1.
        depth: returns how many layers of a model its `layer` counts, from 0; None if it takes no
            layer.
        reads_at: returns the default layer for so many layers, if one must be given.
        fills: name of the setting that takes a fill, or None.
        seeded: whether it takes a seed.
        steps: name of the setting that makes it more accurate and more expensive, or None.
        usual: value of that setting in a study.
        intervenes: whether it runs the model under interventions, to which `Goal.exact` applies.
        refusal: returns the reason why a model does not support it; None if it does.
    """

    name: str
    function: Callable[..., HeatMap]
    what: str
    unit: Unit = "score"
    depth: Callable[[M], int] | None = None
    reads_at: Callable[[int], int] | None = None
    fills: str | None = None
    seeded: bool = False
    steps: str | None = None
    usual: int | None = None
    intervenes: bool = False
    refusal: Callable[[M], str | None] = allowed

    def layers_of(self, model: M, chosen: Iterable[int] | None = None) -> tuple[int | None, ...]:
        """Returns the layers to which the method can be applied; (None,) if it takes none.

        Args:
            model: the model.
            chosen: only those of these that the model has.
        """
        if self.depth is None:
            return (None,)
        every = range(self.depth(model))
        return tuple(every if chosen is None else sorted(set(chosen) & set(every)))

    def usual_layers(self, model: M) -> tuple[int | None]:
        """Returns the default layer; None for the method's own choice."""
        if self.depth is None or self.reads_at is None:
            return (None,)
        return (self.reads_at(self.depth(model)),)

    def __call__(
        self,
        *explained: Any,
        layer: int | None = None,
        fill: Fill | None = None,
        steps: int | None = None,
        seed: int = 0,
        **more: Any,
    ) -> HeatMap:
        """Makes the map of one target; arguments that the method does not take are ignored.

        Args:
            explained: what the function explains. Give several methods of a VLM the same
                `resolve(run, target)` as their target, so that they share passes.
            layer: from 0 up to `depth`; None for the method's own choice (a mean or the last,
                mostly).
            fill: replacement of tokens, if the method takes one.
            steps: `usual` if None.
            seed: seed, if the method takes one.
            more: other settings of the function.

        Raises as the method itself does.
        """
        settings = (
            ("layer" if self.depth else None, layer),
            (self.fills, fill),
            ("seed" if self.seeded else None, seed),
            (self.steps, self.usual if steps is None else steps),
        )
        taken = {name: value for name, value in settings if name is not None}
        return self.function(*explained, **taken, **more)
