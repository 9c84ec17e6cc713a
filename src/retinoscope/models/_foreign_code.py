"""Code that comes with a model is never run: models that need it are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from ..errors import CapabilityError

NO_CODE: dict[str, Any] = {"trust_remote_code": False}
"""Passed to every `from_pretrained`; without it the library asks on the terminal, and a "y" from a
pipe runs the code."""

_SETTINGS = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
)


def foreign_code(name: str, error: Exception) -> CapabilityError | None:
    """The refusal, if `error` is the library's own about code that comes with the model `name`."""
    if "trust_remote_code" not in str(error):
        return None
    where = str(Path(name).absolute()) if Path(name).is_dir() else f"https://hf.co/{name}"
    files = _named_files(Path(name))
    needed = ", ".join(files) if files else "the files that its auto_map names"
    return CapabilityError(
        f"{name}: expected a model of a class in transformers, got one that needs code of its own "
        f"({needed}), which is never run here: read it at {where}; save the model for a class of "
        "transformers, or load it yourself and pass its objects to "
        "load(model=..., processor=...)"
    )


def refuse_kernels(name: str, config: PreTrainedConfig) -> None:
    """Raises CapabilityError for a configuration that names a kernel on the Hub, which is code."""
    parts = [config, *(part for part in vars(config).values() if is_config(part))]
    for part in parts:
        for key in ("_attn_implementation", "_experts_implementation"):
            chosen = getattr(part, key, None)
            if isinstance(chosen, str) and "/" in chosen:
                raise CapabilityError(
                    f"{name}: its config.json asks for the kernel {chosen!r}, which is code from "
                    "the Hub and is never run here: remove that entry"
                )


def is_config(value: object) -> bool:
    """Whether a value of a configuration is a configuration itself."""
    return isinstance(value, PreTrainedConfig)


def _named_files(folder: Path) -> list[str]:
    """The Python files that the folder's settings name, in order."""
    files: dict[str, None] = {}
    for settings in _SETTINGS:
        try:
            content = json.loads((folder / settings).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        auto_map = content.get("auto_map") if isinstance(content, dict) else None
        for value in auto_map.values() if isinstance(auto_map, dict) else ():
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str):
                    # "other/repository--module.Class", or "module.Class" of this one.
                    repository, split, rest = name.rpartition("--")
                    file = f"{rest.split('.')[0]}.py"
                    files[f"{repository}/{file}" if split else file] = None
    return list(files)
