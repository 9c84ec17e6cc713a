"""Greedy generation with interventions active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ._base_run import RunT
from ._greedy import Greedy
from ._steps import Steps


@dataclass(frozen=True, eq=False)
class Generation(Generic[RunT]):
    """What the model wrote greedily.

    Attributes:
        text: without special tokens, stripped.
        token_ids: (m,) including the end token if it was generated.
        logits: (m, vocab) float32; row i holds the model's logits for token i, before
            generation_config changes them (by a repetition penalty, say); None if not kept.
    """

    text: str
    token_ids: Int[Tensor, " step"]
    logits: Float[Tensor, "step vocab"] | None = field(repr=False)
    _run: RunT = field(repr=False)

    def run(self) -> RunT:
        """Runs the prompt and the answer without interventions; fills `positions["generated"]`."""
        self._run.require_current()
        return self._run.with_continuation(self.token_ids.tolist())


@dataclass(frozen=True, eq=False)
class Generations(Generic[RunT]):
    """Greedy answers, one per condition."""

    items: tuple[Generation[RunT], ...]

    @property
    def texts(self) -> list[str]:
        return [item.text for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Generation[RunT]:
        return self.items[index]

    def __iter__(self) -> Iterator[Generation[RunT]]:
        return iter(self.items)


@torch.no_grad()
def continue_greedily(
    run: RunT,
    logits: Float[Tensor, "batch vocab"],
    steps: Steps,
    rule: Greedy,
    max_new_tokens: int,
    keep_logits: bool,
) -> list[Generation[RunT]]:
    """Continues from the logits of the prompt's last position.

    Finished conditions leave the batch.
    """
    alive = list(range(len(logits)))
    ids: list[list[int]] = [[] for _ in alive]
    kept: list[list[Tensor]] = [[] for _ in alive]
    for step in range(max_new_tokens):
        chosen = rule.choose(logits, [ids[row] for row in alive])
        for place, (row, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            ids[row].append(token)
            if keep_logits:
                kept[row].append(logits[place])
        going = [place for place, row in enumerate(alive) if ids[row][-1] not in rule.ends]
        if not going or step + 1 == max_new_tokens:
            break
        if len(going) < len(alive):
            steps.keep(going)
            alive = [alive[place] for place in going]
            chosen = chosen[going]
        logits = steps.next(chosen)
    return [_finished(run, row, kept[i]) for i, row in enumerate(ids)]


def _finished(run: RunT, ids: Sequence[int], kept: Sequence[Tensor]) -> Generation[RunT]:
    text = run.adapter.tokenizer.decode(ids, skip_special_tokens=True).strip()
    logits = torch.stack(list(kept)) if kept else None
    return Generation(text, torch.tensor(ids), logits, run)
