"""The parts of a Hugging Face decoder, found under their usual names."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..errors import CapabilityError

_LAYERS = ("layers", "h", "blocks")
_NORMS = ("norm", "final_layer_norm", "final_layernorm", "ln_f")
_ATTENTIONS = ("self_attn", "attention", "attn")


@dataclass(frozen=True, eq=False)
class Decoder:
    """A causal decoder without its head: its layers in order, and the norm after the last."""

    layers: tuple[nn.Module, ...]
    final_norm: nn.Module

    def attention(self, layer: int) -> nn.Module:
        """The attention module of one layer.

        Raises:
            CapabilityError: the layer has none (it is recurrent or convolutional).
        """
        block = self.layers[layer]
        for name in _ATTENTIONS:
            module = getattr(block, name, None)
            if isinstance(module, nn.Module):
                return module
        raise CapabilityError(
            f"layer {layer} ({type(block).__name__}) has no attention module named "
            f"{', '.join(_ATTENTIONS)}: choose other layers"
        )


def find_decoder(model: nn.Module) -> Decoder:
    """Finds the decoder's parts in `model` or in its attribute `decoder`.

    Raises:
        CapabilityError: no list of layers or no final norm under a known name.
    """
    for holder in (model, getattr(model, "decoder", None)):
        if not isinstance(holder, nn.Module):
            continue
        layers = next((x for x in _children(holder, _LAYERS) if isinstance(x, nn.ModuleList)), None)
        norm = next(iter(_children(holder, _NORMS)), None)
        if layers is not None and norm is not None:
            return Decoder(tuple(layers), norm)
    raise CapabilityError(
        f"expected a decoder with a list of layers ({', '.join(_LAYERS)}) and a final norm "
        f"({', '.join(_NORMS)}), got {type(model).__name__}, which needs an adapter of its own"
    )


def _children(holder: nn.Module, names: tuple[str, ...]) -> list[nn.Module]:
    children = (getattr(holder, name, None) for name in names)
    return [child for child in children if isinstance(child, nn.Module)]
