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
    """A kind's table."""
    return {method.name: method for method in methods}


def middle(depth: int) -> int:
    """The layer in the middle of so many."""
    return depth // 2


def allowed(model: Any) -> None:
    """Refuses no model."""


@dataclass(frozen=True)
class Method(Generic[M]):
    """One method of a kind's table, as a study calls it.

    `METHODS[name](run, target, ...)` of a VLM, `contrastive.METHODS[name](two, image, text, ...)`,
    `matching.METHODS[name](model, processor, image, text, ...)`.

    Attributes:
        name: as in the table and in `HeatMap.method`.
        function: the method itself, with all its own settings.
        what: in one sentence.
        unit: what its values are on the scale of: the target's score, or shares from 0 to 1.
        depth: how many layers of a model its `layer` counts, from 0; None if it takes no layer.
        reads_at: at which of so many layers it is read where it must be given one and nobody chose.
        fills: the name of the setting that a fill goes to, or None.
        seeded: whether it takes a seed.
        steps: the name of the setting that makes it better and dearer, or None; and
        usual: its value in a study.
        intervenes: whether it runs the model under interventions, which `Goal.exact` is about.
        refusal: gives the reason why a model does not allow it; None if it does.
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
        """The layers that the method can be applied to; (None,) where it takes none.

        Args:
            chosen: only those of these that it has.
        """
        if self.depth is None:
            return (None,)
        every = range(self.depth(model))
        return tuple(every if chosen is None else sorted(set(chosen) & set(every)))

    def usual_layers(self, model: M) -> tuple[int | None]:
        """The layer where nobody chose any; None is the method's own choice."""
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
        """The map of one target; of these arguments those that a method lacks are not passed on.

        Args:
            explained: what its function explains. Give several methods of a VLM one
                `resolve(run, target)` as their target, so that they share passes.
            layer: from 0 up to `depth`; None is the method's own choice (a mean or the last,
                mostly).
            steps: `usual` if None.
            more: other settings of its function.

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
