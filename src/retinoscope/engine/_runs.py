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

    The prompts form a tree: what they begin with in common (the images and the text before the
    first difference) is computed once, and each prompt adds its own rest.

    Attributes:
        shared: number of positions that all prompts begin with; 0 if each was run by itself.
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
            InputError: no such run.
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
            conditions: as for `run.counterfactuals`, with token sets of any of these runs that lie
                in the shared part (those of an image, say); or a function that gives the conditions
                of each run.
            exact, memory, batch_size: as for `run.counterfactuals`.

        Raises:
            InputError: also a token set that is not in the shared part.
            CapabilityError: as for `run.counterfactuals`.
        """
        if callable(conditions):
            asked = [several(conditions(run), "conditions") for run in self.items]
        else:
            given = several(conditions, "conditions")
            asked = [tuple(self._of(one, run) for one in given) for run in self.items]
        resolved = [resolve_all(run, one) for run, one in zip(self.items, asked, strict=True)]
        execution = execution_for(self.items[0].vlm, exact, memory, batch_size)
        prefix = None
        if self.shared and execution.path == "incremental":
            prefix = SharedPrefix(self.shared, [run._clean for run in self.items], resolved)
        return tuple(
            Effects(run, conditions, of_run, execution, prefix)
            for run, conditions, of_run in zip(self.items, asked, resolved, strict=True)
        )

    def _of(self, condition: Condition, run: RunT) -> Condition:
        """The same condition with its token sets on `run`."""
        if isinstance(condition, Sequence):
            return [self._moved(one, run) for one in condition]
        return self._moved(condition, run)

    def _moved(self, one: Intervention, run: RunT) -> Intervention:
        if isinstance(one, Ablate):
            return replace(one, tokens=self._set(one.tokens, run))
        if isinstance(one, Patch):
            return replace(one, positions=self._set(one.positions, run))
        if isinstance(one, Knockout):
            target = one.target
            moved = target if isinstance(target, str) else self._set(target, run)
            return replace(one, source=self._set(one.source, run), target=moved)
        return one

    def _set(self, tokens: TokenSet, run: RunT) -> TokenSet:
        # What is no token set at all is refused with the condition's other faults.
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
