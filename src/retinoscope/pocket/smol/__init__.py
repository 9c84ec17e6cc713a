"""`smol`: a small VLM made of two frozen pretrained models and a trained adapter between them.

Language model: SmolLM2-135M-Instruct; vision tower: EfficientNet-Lite0. `fetch` downloads both
once; `build` assembles them as an ordinary `LlavaForConditionalGeneration`.
`retinoscope.recipes.smol` trains the adapter. Importing this registers the tower with
`transformers`.
"""

from .adapter import AdapterWeights, read_adapter
from .language import open_language
from .model import assemble, vision_state
from .opened import MODELS, NAMES, build, folder, is_adapter, scores
from .parts import (
    CACHE_VARIABLE,
    LANGUAGE,
    PARTS,
    VISION,
    WeightsFile,
    cache_folder,
    fetch,
    part_file,
)
from .tower import LiteConfig, LiteTower, register

__all__ = [
    "CACHE_VARIABLE",
    "LANGUAGE",
    "MODELS",
    "NAMES",
    "PARTS",
    "VISION",
    "AdapterWeights",
    "LiteConfig",
    "LiteTower",
    "WeightsFile",
    "assemble",
    "build",
    "cache_folder",
    "fetch",
    "folder",
    "is_adapter",
    "open_language",
    "part_file",
    "read_adapter",
    "register",
    "scores",
    "vision_state",
]

register()
