"""The model families with an adapter; the first that accepts a model's config is used."""

from __future__ import annotations

from ._adapter import Adapter
from ._aria import AriaAdapter
from ._blip2 import Blip2Adapter, InstructBlipAdapter
from ._fast_vlm import FastVlmAdapter
from ._gemma3 import Gemma3Adapter
from ._idefics3 import Idefics3Adapter, SmolVLMAdapter
from ._interface import InterfaceAdapter
from ._internvl import InternVLAdapter
from ._kosmos2 import Kosmos2Adapter
from ._lfm2_vl import Lfm2VLAdapter
from ._llava import LlavaAdapter
from ._llava_next import LlavaNextAdapter
from ._llava_onevision import LlavaOnevisionAdapter
from ._mllama import MllamaAdapter
from ._ovis2 import Ovis2Adapter
from ._paligemma import PaliGemmaAdapter
from ._pixtral import Mistral3Adapter, PixtralAdapter
from ._qwen3_vl import Qwen3VLAdapter
from ._qwen_vl import Qwen25VLAdapter, QwenVLAdapter
from ._vipllava import VipLlavaAdapter

ADAPTERS: tuple[type[Adapter], ...] = (
    PixtralAdapter,
    Mistral3Adapter,
    LlavaAdapter,
    VipLlavaAdapter,
    LlavaNextAdapter,
    LlavaOnevisionAdapter,
    QwenVLAdapter,
    Qwen25VLAdapter,
    Qwen3VLAdapter,
    Gemma3Adapter,
    PaliGemmaAdapter,
    Lfm2VLAdapter,
    Idefics3Adapter,
    SmolVLMAdapter,
    InternVLAdapter,
    Blip2Adapter,
    InstructBlipAdapter,
    InterfaceAdapter,
    MllamaAdapter,
    Kosmos2Adapter,
    AriaAdapter,
    Ovis2Adapter,
    FastVlmAdapter,
)
