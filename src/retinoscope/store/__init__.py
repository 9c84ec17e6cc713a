"""The run directory that a study writes and the report reads; every file is written whole.

    run.json              what was run (`new_manifest`, `read_manifest`)
    parts/*.parquet       finished samples, one row per sample and condition
    tensors/*.safetensors
    results.parquet       all rows, sorted; the same bytes whether or not the run was interrupted

Repeating a command continues where it stopped. A command that differs in anything that affects the
results is refused. See `RunDirectory`.
"""

from retinoscope.store._atomic import files_of_folder, write_bytes
from retinoscope.store._directory import RunDirectory
from retinoscope.store._fingerprint import (
    Json,
    canonical_json,
    fingerprint_array,
    fingerprint_bytes,
    fingerprint_json,
    sample_key,
)
from retinoscope.store._manifest import installed_versions, new_manifest, read_manifest
from retinoscope.store._read import ResultsScan, read_results, scan_results
from retinoscope.store._rows import ROW_KEYS, Row, Scalar, Value
from retinoscope.store._schema import first_fault

__all__ = [
    "ROW_KEYS",
    "Json",
    "ResultsScan",
    "Row",
    "RunDirectory",
    "Scalar",
    "Value",
    "canonical_json",
    "files_of_folder",
    "fingerprint_array",
    "fingerprint_bytes",
    "fingerprint_json",
    "first_fault",
    "installed_versions",
    "new_manifest",
    "read_manifest",
    "read_results",
    "sample_key",
    "scan_results",
    "write_bytes",
]
