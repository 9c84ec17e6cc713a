"""run.json: what was run, and whether another command is the same run."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from pydantic_core import from_json

from retinoscope.arguments import checked
from retinoscope.errors import InputError
from retinoscope.store._atomic import write_bytes
from retinoscope.store._fingerprint import Json, canonical_json, fingerprint_json, plain
from retinoscope.store._schema import MANIFEST_BYTES, check_manifest

MANIFEST_NAME = "run.json"
FORMAT = 1

IDENTITY = ("study", "parameters", "model", "data", "seeds", "dtype", "schema")
"""Fields in every manifest; results that differ in any of them must not be mixed."""

CIRCUMSTANCES = ("command", "versions", "device", "threads", "created", "resumed", "format")
"""Fields in which a resumed run may differ from its start."""

_PACKAGES = ("retinoscope", "torch", "transformers", "numpy", "pillow", "pyarrow", "scipy")


def new_manifest(
    *,
    study: str,
    parameters: Mapping[str, object],
    model: Mapping[str, object] | str,
    data: Mapping[str, object] | str,
    seeds: Mapping[str, int] | int,
    dtype: str,
    device: str,
    command: str | None = None,
) -> dict[str, Json]:
    """Builds a manifest, with versions, command line and time filled in.

    Args:
        study: the study's name, such as `"ablation"`.
        parameters: everything that affects the results besides model, data, seeds and dtype.
        model: a fingerprint, or a mapping with `"fingerprint"`, of which only that entry identifies
            the run, so that a folder may be renamed.
        data: likewise, of the data set.
        seeds: the seed, or one per purpose.
        dtype: of the model's weights and activations, such as `"float32"`.
        device: recorded, but not part of the run's identity.
        command: the command line; by default that of this process.

    Raises:
        InputError: a value without a JSON form.
    """
    fields: dict[str, object] = {
        "study": study,
        "command": " ".join(sys.argv) if command is None else command,
        "parameters": parameters,
        "model": model,
        "data": data,
        "seeds": seeds,
        "dtype": dtype,
        "device": device,
        # The last bits of sums depend on the number of threads.
        "threads": torch.get_num_threads() if (torch := sys.modules.get("torch")) else None,
        "versions": installed_versions(),
        "created": now(),
    }
    return cast(dict[str, Json], plain(fields, "manifest"))


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect results."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def complete(manifest: Mapping[str, object], schema: int) -> dict[str, Json]:
    """The manifest as written: plain JSON, with schema and format, its identity checked.

    Raises:
        InputError: a field of the identity is missing, or a value has no JSON form.
    """
    fields = cast(dict[str, Json], plain(dict(manifest), "manifest"))
    fields["schema"] = schema
    fields["format"] = FORMAT
    fields.setdefault("created", now())
    missing = [name for name in IDENTITY if name not in fields]
    if missing:
        raise InputError(
            f"the manifest lacks {', '.join(missing)}; expected {', '.join(IDENTITY[:-1])} "
            "(retinoscope.store.new_manifest fills in the rest)"
        )
    study = fields["study"]
    if not isinstance(study, str) or not study:
        raise InputError(f"the manifest's study must be a name, got {study!r}")
    return fields


def mark_of(manifest: Mapping[str, object]) -> str:
    """A fingerprint of the manifest's identity, which every part of the run carries."""
    kept = {n: _identity_of(v) for n, v in manifest.items() if n not in CIRCUMSTANCES}
    return fingerprint_json({n: v for n, v in kept.items() if v is not None})


def _identity_of(value: object) -> object:
    """A value without the parts that `differences` ignores."""
    if not isinstance(value, Mapping):
        return value
    if "fingerprint" in value:
        return value["fingerprint"]
    return {k: part for k, v in value.items() if (part := _identity_of(v)) is not None}


def differences(new: Mapping[str, Json], stored: Mapping[str, Json]) -> list[str]:
    """The differences between two runs, one text per option: `seeds.study (there: 1, here: 2)`.

    Models and data are shown by name, never by fingerprint.
    """
    names = [n for n in dict.fromkeys([*IDENTITY, *stored, *new]) if n not in CIRCUMSTANCES]
    return [text for name in names for text in _differences(name, new.get(name), stored.get(name))]


def _differences(name: str, here: Json, there: Json) -> list[str]:
    if canonical_json(_identity(here)) == canonical_json(_identity(there)):
        return []
    if isinstance(here, dict) and isinstance(there, dict) and "fingerprint" not in here:
        return [
            text
            for key in dict.fromkeys([*here, *there])
            for text in _differences(f"{name}.{key}", here.get(key), there.get(key))
        ]
    new, stored = _short(here), _short(there)
    if new == stored:
        return [f"{name} ({new} has changed since)"]
    return [f"{name} (there: {stored}, here: {new})"]


@checked
def read_manifest(path: str | Path) -> dict[str, Json]:
    """Reads `run.json` in the run directory `path`.

    Raises:
        InputError: no such folder, not a run directory, an unreadable or a newer manifest.
    """
    folder = Path(path)
    file = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise InputError(f"expected a run directory, but {folder} is not a folder")
    try:
        size = file.stat().st_size
        if size > MANIFEST_BYTES:
            raise InputError(
                f"{file}: expected at most {MANIFEST_BYTES >> 20} MiB, got {size >> 20} MiB: "
                "restore the file"
            )
        content = from_json(file.read_bytes(), allow_inf_nan=False)
    except FileNotFoundError:
        raise InputError(
            f"expected a run directory, but {folder} has no {MANIFEST_NAME}; "
            "give the folder that a study wrote with --out"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"{file} is not JSON ({error}); restore it, or give another output folder"
        ) from None
    if not isinstance(content, dict) or any(name not in content for name in IDENTITY):
        raise InputError(
            f"{file} was not written by retinoscope (expected the fields {', '.join(IDENTITY)}); "
            "give another folder"
        )
    if content.get("format") != FORMAT:
        raise InputError(
            f"{file} has format {content.get('format')!r}, this version reads {FORMAT}; "
            "use the version of retinoscope that wrote it, or another folder"
        )
    check_manifest(content, file)
    return content


def write_manifest(folder: Path, manifest: Mapping[str, Json]) -> None:
    """Writes `run.json` whole; raises what `atomic_file` raises."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(folder / MANIFEST_NAME, text.encode("utf-8"))


def _identity(value: Json) -> Json:
    if isinstance(value, dict) and "fingerprint" in value:
        return value["fingerprint"]
    return value


def _short(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict) and "fingerprint" in value:
        return _named(value)
    text = canonical_json(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _named(value: Mapping[str, Json]) -> str:
    """A model or a data set by its name, the latter with its number of samples."""
    source = value.get("source")
    spec = source.get("spec") if isinstance(source, dict) else None
    name = value.get("name") or spec or "samples given in Python"
    seed = source.get("seed") if isinstance(source, dict) else None
    counts = [f"{value[what]} {what}" for what in ("samples", "images") if what in value]
    seeds = [f"seed {seed}"] if seed is not None else []
    return ", ".join([str(name), *counts, *seeds])
