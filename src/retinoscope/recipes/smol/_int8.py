"""Products with frozen matrices in 8-bit integers: halves the time of training on a CPU."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...errors import CapabilityError

_LARGEST = 127


@contextmanager
def in_int8(language: Any) -> Iterator[None]:
    """Computes the products with a frozen decoder's matrices in 8-bit integers, within the context.

    Rows of the input and columns of the matrix are scaled one by one (Dettmers et al. 2022,
    LLM.int8, section 2), and so are gradients in the backward pass. Both are approximations:
    measure results outside. Blocks are compiled, since the rest of their work would otherwise cost
    as much as the products.

    Args:
        language: a decoder whose `layers` hold `nn.Linear` without bias, on a CPU.

    Raises:
        CapabilityError: the decoder is on another device, is trained itself, or has biases.
    """
    blocks: nn.ModuleList = language.layers
    swapped: list[tuple[nn.Module, str, nn.Linear]] = []
    for block in blocks:
        for parent in block.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.Linear):
                    swapped.append((parent, name, child))
    for *_, linear in swapped:
        require_cpu(linear.weight.device)
        _require_frozen(linear)
    whole = list(blocks)
    try:
        for parent, name, linear in swapped:
            setattr(parent, name, Int8Linear(linear.weight))
        for number, block in enumerate(whole):
            blocks[number] = torch.compile(block, dynamic=True)  # type: ignore[assignment]
        yield
    finally:
        for number, block in enumerate(whole):
            blocks[number] = block
        for parent, name, linear in swapped:
            setattr(parent, name, linear)


def require_cpu(device: torch.device) -> None:
    """Raises CapabilityError unless the device is the CPU."""
    if device.type != "cpu":
        raise CapabilityError(
            f"8-bit products run on CPUs only, got a model on {device}: train without them"
        )


def require_compiler() -> None:
    """Raises CapabilityError if there is no compiler for PyTorch to use."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    compiler = os.environ.get("CXX", usual)
    if shutil.which(compiler) is None:
        raise CapabilityError(
            f"8-bit products need a C++ compiler, got no {compiler} here: install it, "
            "name another in CXX, or train without them"
        )


def _require_frozen(linear: nn.Linear) -> None:
    if linear.weight.requires_grad or linear.bias is not None:
        raise CapabilityError(
            "8-bit products need frozen matrices without biases, got others: train without them"
        )


class Int8Linear(nn.Module):
    """`x @ weight.T` in 8-bit integers; gradients flow to x alone."""

    forth: Tensor
    forth_scale: Tensor
    back: Tensor
    back_scale: Tensor

    def __init__(self, weight: Float[Tensor, "out inp"]) -> None:
        super().__init__()
        forth, forth_scale = _rounded(weight)
        back, back_scale = _rounded(weight.T.contiguous())
        self.register_buffer("forth", forth.T)
        self.register_buffer("forth_scale", forth_scale.T.contiguous())
        self.register_buffer("back", back.T)
        self.register_buffer("back_scale", back_scale.T.contiguous())

    def forward(self, x: Float[Tensor, "*batch inp"]) -> Float[Tensor, "*batch out"]:
        return _Product.apply(x, self.forth, self.forth_scale, self.back, self.back_scale)  # type: ignore[return-value]


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        forth: Tensor,
        forth_scale: Tensor,
        back: Tensor,
        back_scale: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(back, back_scale)
        return _product(x, forth, forth_scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _product(gradients[0], *ctx.saved_tensors), None, None, None, None


def _product(
    x: Float[Tensor, "*batch inp"], matrix: Int[Tensor, "inp out"], scale: Float[Tensor, "1 out"]
) -> Float[Tensor, "*batch out"]:
    rows, row_scale = _rounded(x.reshape(-1, x.shape[-1]))
    return (torch._int_mm(rows, matrix).float() * row_scale * scale).view(*x.shape[:-1], -1)


def _rounded(
    x: Float[Tensor, "row column"],
) -> tuple[Int[Tensor, "row column"], Float[Tensor, "row 1"]]:
    """Returns rows as integers from -127 to 127, and each row's scale."""
    scale = x.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
    return (x / scale).round().to(torch.int8), scale
