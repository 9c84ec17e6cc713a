"""Model families on top of their Hugging Face classes: one `Adapter` each, and its capabilities.

`open_model` loads a model and its processor; `adapter_for` finds the adapter for a model's config.
An adapter knows how images become visual embeddings, where in the image each visual token lies
(`Layout`), how prompts are written, and which modules form the decoder.
"""

from ._adapter import Adapter, Formatted, Inputs
from ._attending import attending, own_attention
from ._capabilities import Capabilities, Capability
from ._clip_geometry import clip_frame
from ._content import described, digest_of, processor_facts, tokenizer_facts
from ._decoder import Decoder
from ._encoded import DeepStack, EncodedImage
from ._entering import entering, hooked, in_turn
from ._families import ADAPTERS
from ._finite import difference, encoded, finite, finite_logits, not_finite
from ._given import check_processor, failed, plain_model
from ._layout import Frame, Layout, SoftOrigin, grid_layout
from ._load import adapter_for, families, open_model
from ._placement import DeviceMap, Quantization, quantized, stored_weights
from ._resized import refuse_large
from ._text import Vocabulary, length_warning_held, pieces_after
from ._tower import is_vlm, open_matching, open_tower
from ._watch import ModelState, Watch, refuse_training, watch_of

__all__ = [
    "ADAPTERS",
    "Adapter",
    "Capabilities",
    "Capability",
    "Decoder",
    "DeepStack",
    "DeviceMap",
    "EncodedImage",
    "Formatted",
    "Frame",
    "Inputs",
    "Layout",
    "ModelState",
    "Quantization",
    "SoftOrigin",
    "Vocabulary",
    "Watch",
    "adapter_for",
    "attending",
    "check_processor",
    "clip_frame",
    "described",
    "difference",
    "digest_of",
    "encoded",
    "entering",
    "failed",
    "families",
    "finite",
    "finite_logits",
    "grid_layout",
    "hooked",
    "in_turn",
    "is_vlm",
    "length_warning_held",
    "not_finite",
    "open_matching",
    "open_model",
    "open_tower",
    "own_attention",
    "pieces_after",
    "plain_model",
    "processor_facts",
    "quantized",
    "refuse_large",
    "refuse_training",
    "stored_weights",
    "tokenizer_facts",
    "watch_of",
]
