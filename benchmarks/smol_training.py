"""What products in 8-bit integers save in smol's training on a CPU.

A decoder of SmolLM2-135M's shape passes gradients back to its visual tokens, in float32 and in
8-bit integers. Random weights: times do not depend on them. Prints a table in Markdown.

    python -m benchmarks.smol_training --repeats 3 --threads 1
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace

import torch
from transformers import LlamaModel

from retinoscope.recipes.smol._int8 import in_int8

from ._bench import Way, alternate, options_for
from ._models import SHAPES, decoder_config

SCENES, TOKENS = 4, 304


def main() -> None:
    options = options_for(__doc__ or "", "smol_training", repeats=3)
    with ExitStack() as stack:
        exact, rounded = decoder(options.size), decoder(options.size)
        stack.enter_context(in_int8(rounded))
        x = torch.randn(SCENES, TOKENS, exact.config.hidden_size)
        steps = alternate(
            {
                "float32": Way(lambda _: step(exact, x)),
                "8-bit integers": Way(lambda _: step(rounded, x)),
            },
            options,
        )
    print(f"{options.threads} threads, medians of {options.repeats} in turns\n")
    print("| | seconds | times as fast |\n|---|---|---|")
    first = steps["float32"].total
    for way, timing in steps.items():
        seconds = timing.total / SCENES
        print(f"| adapter step, a scene, {way} | {seconds:.2f} | {first / timing.total:.2f} |")


def decoder(size: str) -> LlamaModel:
    """A frozen decoder of the language model's shape; of two blocks for `size` "small"."""
    shape = SHAPES["135m"]
    config = decoder_config(replace(shape, layers=2) if size == "small" else shape)
    return LlamaModel(config).eval().requires_grad_(False)


def step(language: LlamaModel, x: torch.Tensor) -> torch.Tensor:
    """Forward, and back to what went in."""
    into = x.detach().requires_grad_(True)
    out = language(inputs_embeds=into, use_cache=False).last_hidden_state
    return torch.autograd.grad(out.sum(), into)[0]


if __name__ == "__main__":
    sys.exit(main())
