"""Visual interfaces: what stands between frozen towers and a language model."""

from ._attention import attention_weights
from ._interface import InterfaceTokens, Seen, VisualInterface
from ._model import MODEL_TYPE, InterfaceConfig, InterfaceForConditionalGeneration, register
from ._qformer import QFormer, Reading, TextInput, reading_mask
from ._systems import INTERFACES, build_interface
from ._tower import TowerShape, build_tower, to_pixels, tower_tokens
from ._vocabulary import interface_processor, interface_tokenizer

__all__ = [
    "INTERFACES",
    "MODEL_TYPE",
    "InterfaceConfig",
    "InterfaceForConditionalGeneration",
    "InterfaceTokens",
    "QFormer",
    "Reading",
    "Seen",
    "TextInput",
    "TowerShape",
    "VisualInterface",
    "attention_weights",
    "build_interface",
    "build_tower",
    "interface_processor",
    "interface_tokenizer",
    "reading_mask",
    "register",
    "to_pixels",
    "tower_tokens",
]

register()
