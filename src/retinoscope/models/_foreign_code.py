"""Code that comes with a model is never run: a model that needs it is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from ..errors import CapabilityError

NO_CODE: dict[str, Any] = {"trust_remote_code": False}
"""Passed to every `from_pretrained`: left out, the library asks on the terminal, and a "y" that
is piped in runs the code."""

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
        f"{name}: expected a model that the library itself has classes for, got one that needs "
        f"code of its own ({needed}), which is never run here: read it at {where}; save the model "
        "for a class of transformers, or load it yourself and give its objects to "
        "load(model=..., processor=...)"
    )


def refuse_kernels(name: str, config: PreTrainedConfig) -> None:
    """Raises CapabilityError for a configuration that names a kernel on the Hub: that is code."""
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
    """The Python files that the folder's settings name, in their order."""
    found: dict[str, None] = {}
    for settings in _SETTINGS:
        try:
            content = json.loads((folder / settings).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        named = content.get("auto_map") if isinstance(content, dict) else None
        for value in named.values() if isinstance(named, dict) else ():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str):
                    # "other/repository--module.Class", or "module.Class" of this one.
                    repository, split, rest = one.rpartition("--")
                    file = f"{rest.split('.')[0]}.py"
                    found[f"{repository}/{file}" if split else file] = None
    return list(found)
