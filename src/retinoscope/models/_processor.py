"""Opens processors that handle images with PIL, even if their video part cannot be opened."""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoProcessor,
    AutoTokenizer,
    AutoVideoProcessor,
    PreTrainedConfig,
    ProcessorMixin,
)

# Older versions of the library need torchvision for this name, although its PIL form does not.
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available

from ._foreign_code import NO_CODE

_PARTS = {"image_processor", "tokenizer", "video_processor"}


def open_processor(name: str, config: PreTrainedConfig) -> Any:
    """Opens what `AutoProcessor` opens, with the plain PIL image processor.

    It needs no torchvision, and layouts describe its geometry, including the resampling kernel.
    The video part needs torchvision; without it the processor is built without that part, which
    images do not use.

    Raises:
        Exception: whatever the library raises for a processor that does not load.
    """
    known: Any = PROCESSOR_MAPPING
    kind = known.get(type(config), None)
    if kind is None or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(name, backend="pil", **NO_CODE)
    names = kind.get_attributes()
    if not set(names) <= _PARTS:
        raise ValueError(f"{kind.__name__} has parts for {', '.join(sorted(set(names) - _PARTS))}")
    video = None
    if is_torchvision_available():
        video = AutoVideoProcessor.from_pretrained(name, **NO_CODE)
    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(name, backend="pil", **NO_CODE),
        "tokenizer": AutoTokenizer.from_pretrained(name, **NO_CODE),
        "video_processor": video,
    }
    settings, _ = kind.get_processor_dict(name)
    class_ = kind if video is not None else _without_video(kind)
    return class_.from_args_and_dict([parts[part] for part in names], settings)


def _without_video(kind: type[ProcessorMixin]) -> Any:
    """A subclass of `kind` that can be created without its video part."""

    def check(self: ProcessorMixin, name: str, given: object) -> object:
        if name == "video_processor" and given is None:
            return None
        return kind.check_argument_for_proper_class(self, name, given)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})
