"""Greedy generation with interventions active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..arguments import whole
from ._prompt import refuse_longer
from ._steps import Steps

if TYPE_CHECKING:
    from ._run import Run


@dataclass(frozen=True, eq=False)
class Generation:
    """What the model wrote greedily.

    Attributes:
        text: without special tokens, stripped.
        token_ids: (m,) with the end token where it came.
        logits: (m, vocab) float32, row i is what token i was chosen from; None if not kept.
    """

    text: str
    token_ids: Int[Tensor, " step"]
    logits: Float[Tensor, "step vocab"] | None = field(repr=False)
    _run: Run = field(repr=False)

    def run(self) -> Run:
        """The clean pass over the prompt and what was written, `positions["generated"]` filled."""
        run = self._run
        run.require_current()
        return run.vlm.run(run.prompt, continuation=self.token_ids.tolist())


@dataclass(frozen=True, eq=False)
class Generations:
    """What the model wrote, one item per condition."""

    items: tuple[Generation, ...]

    @property
    def texts(self) -> list[str]:
        return [item.text for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Generation:
        return self.items[index]

    def __iter__(self) -> Iterator[Generation]:
        return iter(self.items)


def end_tokens(run: Run) -> frozenset[int]:
    """The ids after which generation stops."""
    model = run.adapter.model
    found: Any = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if found is None:
        found = getattr(run.adapter.tokenizer, "eos_token_id", None)
    if found is None:
        return frozenset()
    return frozenset([found] if isinstance(found, int) else found)


def check_length(run: Run, max_new_tokens: int) -> None:
    """Raises `InputError` unless at least one token is asked for, and all fit the context."""
    whole(max_new_tokens, "max_new_tokens", 1)
    refuse_longer(run.adapter, run.inputs, max_new_tokens)


@torch.no_grad()
def continue_greedily(
    run: Run,
    logits: Float[Tensor, "batch vocab"],
    steps: Steps,
    max_new_tokens: int,
    keep_logits: bool,
) -> list[Generation]:
    """Goes on from the logits of the prompt's last position.

    Finished conditions leave the batch.
    """
    ends = end_tokens(run)
    alive = list(range(len(logits)))
    ids: list[list[int]] = [[] for _ in alive]
    kept: list[list[Tensor]] = [[] for _ in alive]
    for step in range(max_new_tokens):
        chosen = logits.argmax(-1)
        for place, (row, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            ids[row].append(token)
            if keep_logits:
                kept[row].append(logits[place])
        going = [place for place, row in enumerate(alive) if ids[row][-1] not in ends]
        if not going or step + 1 == max_new_tokens:
            break
        if len(going) < len(alive):
            steps.keep(going)
            alive = [alive[place] for place in going]
            chosen = chosen[going]
        logits = steps.next(chosen)
    return [_finished(run, row, kept[i]) for i, row in enumerate(ids)]


def _finished(run: Run, ids: Sequence[int], kept: Sequence[Tensor]) -> Generation:
    text = run.adapter.tokenizer.decode(ids, skip_special_tokens=True).strip()
    logits = torch.stack(list(kept)) if kept else None
    return Generation(text, torch.tensor(ids), logits, run)
