"""The blocks of a vision tower: found by their shape, read by temporary hooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ..errors import CapabilityError
from ..models import hooked

_HOLDERS = (nn.ModuleList, nn.Sequential)


def find_blocks(root: nn.Module, outside: nn.Module | None = None) -> list[nn.Module]:
    """Finds the blocks of the tower in `root`: its largest list of modules of one type.

    Args:
        outside: a module to skip, such as the decoder.

    Raises:
        CapabilityError: no such list.
    """
    skipped = set() if outside is None else {id(module) for module in outside.modules()}
    best: list[nn.Module] = []
    most = 0
    for module in root.modules():
        if id(module) in skipped or not isinstance(module, _HOLDERS) or not len(module):
            continue
        children = list(module)
        size = sum(parameter.numel() for child in children for parameter in child.parameters())
        if size > most and len({type(child) for child in children}) == 1:
            best, most = children, size
    if not best:
        raise CapabilityError(
            f"{type(root).__name__} has no list of blocks of one type, so its layers are unknown"
        )
    return best


@contextmanager
def watching(blocks: Sequence[nn.Module]) -> Iterator[list[Float[Tensor, "..."]]]:
    """Records during a pass what the first block receives, and what each block returns.

    A tower that runs several times adds to the list each time; without blocks it stays empty.
    """
    recorded: list[Tensor] = []

    def first(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        recorded.append(args[0] if args else kwargs["hidden_states"])

    def after(_: nn.Module, __: Any, output: Any) -> None:
        recorded.append(output[0] if isinstance(output, tuple) else output)

    with hooked(blocks[:1], before=first), hooked(blocks, after=after):
        yield recorded
