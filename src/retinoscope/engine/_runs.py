"""`Runs`: several prompts about the same images, with a shared prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, overload

from ..arguments import several, wholes
from ..errors import InputError
from ..tokens import TokenSet
from ._base_run import RunT
from ._effects import Effects, execution_for
from ._interventions import Ablate, Condition, Intervention, Knockout, Patch
from ._resolve import resolve_all
from ._shared_prefix import SharedPrefix


@dataclass(frozen=True, eq=False, repr=False)
class Runs(Sequence[RunT]):
    """Clean passes of several prompts. Made by `vlm.run_many(image, prompts)`.

    The prompts form a tree: their common start (the images and the text before the first
    difference) is computed once, and each prompt adds its own rest.

    Attributes:
        items: the runs.
        shared: number of leading positions that all prompts share; 0 if each was run by itself.
    """

    items: tuple[RunT, ...]
    shared: int

    @overload
    def __getitem__(self, index: int) -> RunT: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RunT, ...]: ...
    def __getitem__(self, index: int | slice) -> RunT | tuple[RunT, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[RunT]:
        return iter(self.items)

    def only(self, indices: Sequence[int]) -> Runs[RunT]:
        """Some of the runs, which still share what all of them share.

        Raises:
            InputError: there is no such run.
        """
        chosen = wholes(indices, "runs", 0, len(self) - 1)
        return Runs(tuple(self.items[index] for index in chosen), self.shared)

    def counterfactuals(
        self,
        conditions: Sequence[Condition] | Callable[[RunT], Sequence[Condition]],
        *,
        exact: Literal["incremental", "reference"] = "incremental",
        memory: str | int | None = None,
        batch_size: int | None = None,
    ) -> tuple[Effects[RunT], ...]:
        """Every prompt under interventions; the shared prefix of conditions is computed once, too.

        Args:
            conditions: as for `run.counterfactuals`, with token sets of any of these runs inside
                the shared positions (those of an image, say); or a function that returns the
                conditions of each run.
            exact, memory, batch_size: as for `run.counterfactuals`.

        Raises:
            InputError: as for `run.counterfactuals`, or a token set reaches past the shared
                positions.
            CapabilityError: as for `run.counterfactuals`.
        """
        if callable(conditions):
            by_run = [several(conditions(run), "conditions") for run in self.items]
        else:
            given = several(conditions, "conditions")
            by_run = [tuple(self._of(one, run) for one in given) for run in self.items]
        resolved = [
            resolve_all(run, of_run) for run, of_run in zip(self.items, by_run, strict=True)
        ]
        execution = execution_for(self.items[0].vlm, exact, memory, batch_size)
        prefix = None
        if self.shared and execution.path == "incremental":
            prefix = SharedPrefix(self.shared, [run._clean for run in self.items], resolved)
        return tuple(
            Effects(run, conditions, of_run, execution, prefix)
            for run, conditions, of_run in zip(self.items, by_run, resolved, strict=True)
        )

    def _of(self, condition: Condition, run: RunT) -> Condition:
        """Returns the same condition with its token sets on `run`."""
        if isinstance(condition, Sequence):
            return [self._moved(edit, run) for edit in condition]
        return self._moved(condition, run)

    def _moved(self, edit: Intervention, run: RunT) -> Intervention:
        if isinstance(edit, Ablate):
            return replace(edit, tokens=self._set(edit.tokens, run))
        if isinstance(edit, Patch):
            return replace(edit, positions=self._set(edit.positions, run))
        if isinstance(edit, Knockout):
            target = edit.target
            moved = target if isinstance(target, str) else self._set(target, run)
            return replace(edit, source=self._set(edit.source, run), target=moved)
        return edit

    def _set(self, tokens: TokenSet, run: RunT) -> TokenSet:
        # Anything that is not a token set is refused by `resolve`.
        if not isinstance(tokens, TokenSet) or tokens.sequence is run.sequence:
            return tokens
        if not any(tokens.sequence is other.sequence for other in self.items):
            raise InputError("expected token sets of these runs, got one of another run")
        if tokens.positions and tokens.positions[-1] >= self.shared:
            raise InputError(
                f"expected token sets within the {self.shared} positions that the prompts share, "
                f"got position {tokens.positions[-1]}: pass a function of the run instead"
            )
        inside = {position for position in tokens.universe if position < self.shared}
        return TokenSet(run.sequence, tokens.positions, frozenset(inside | set(tokens.positions)))

    def __repr__(self) -> str:
        return f"Runs({len(self)} prompts that share {self.shared} positions)"
