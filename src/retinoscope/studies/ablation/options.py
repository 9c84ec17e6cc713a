"""Options of token ablation; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ..options import Covering, Intervening, ObjectBounds
from ..token_sets import NOTHING, NamedSet

Task = Literal["generative", "polling", "question"]
Mode = Literal["paper", "corrected", "whole-word"]
Fill = Literal["mean", "zero", "noise"]
Condition = Literal["object", "object+1", "object+2", "registers", "random", "gradient", "control"]
TASKS: tuple[Task, ...] = get_args(Task)
MODES: tuple[Mode, ...] = get_args(Mode)
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
SIZES = (5, 10, 20, 40, 60, 100, 250)
"""Sizes of the random and the high-gradient sets in the paper's Table 1, of 576 tokens."""


@dataclass(frozen=True, kw_only=True)
class AblationOptions(ObjectBounds, Covering, Intervening):
    """Replace an object's visual tokens: which correct answers become wrong?

    For every prompt that the model answers correctly, sets of visual tokens are replaced by the
    mean visual token and the prompt is asked again. Each object set is compared with as many random
    tokens outside it.

    For example:

        retinoscope ablate pocket scenes:50 --out runs/ablation

        retinoscope ablate llava-hf/llava-1.5-7b-hf coco:coco --limit 200 --out runs/llava

    Args:
        tasks: prompts to ask: a caption, "Is there a ...?", the data's own questions.
        modes: rules for correct answers; "paper" keeps those of the paper's released code.
        conditions: token sets; random and gradient ones come in each of --sizes, and control adds
            the random controls of the object sets.
        sizes: numbers of tokens of the random and gradient sets.
        fill: what replaces each token.
        gradient_steps: steps of integrated gradients (the paper: 50).
        hallucination_filter: keep an object only if the caption names it, but no longer once its
            pixels are replaced.
        max_questions: maximum number of questions per image.
        prefill: start of the answer to questions that ask for a name (the paper: "It is a").
    """

    tasks: tuple[Task, ...] = TASKS
    modes: tuple[Mode, ...] = MODES
    conditions: tuple[Condition, ...] = CONDITIONS
    sizes: tuple[int, ...] = SIZES
    fill: Fill = "mean"
    gradient_steps: int = 16
    hallucination_filter: bool = False
    max_questions: int | None = None
    prefill: str | None = None


OPTIONS = AblationOptions


def condition(row: Mapping[str, object]) -> str | None:
    """Returns the token set of a row in words; None for the answer before any edit."""
    tokens = NamedSet.of(row)
    return None if tokens.token_set in (None, NOTHING) else tokens.label
