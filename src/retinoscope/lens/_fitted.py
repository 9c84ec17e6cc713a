"""Kinds of lens that were fitted to a model, and refuse any other."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any
from weakref import ReferenceType, ref

from ..models import Adapter, ModelState
from ._card import Card
from ._kinds import Kind


class FittedLens(Kind):
    """A kind with a card that says what it was fitted to."""

    _checked: ReferenceType[ModelState] | None = None

    @property
    @abstractmethod
    def card(self) -> Card:
        """The model it belongs to, and how it was fitted."""

    def check(self, adapter: Adapter) -> None:
        """Refuses a model that the lens was not fitted to; see `Card.check`."""
        state = adapter.watch.last
        if self._checked is None or self._checked() is not state:
            self.card.check(adapter)
            self._checked = ref(state)

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: not that a model of this one was checked."""
        return {**vars(self), "_checked": None}
