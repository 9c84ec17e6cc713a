"""Sources by name, and how `scenes` is both a function and a package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import retinoscope as rs
from retinoscope.errors import InputError


def test_scenes_by_name_are_those_by_function() -> None:
    named, made = rs.sources.open_source("scenes:3", seed=5), rs.data.scenes(3, seed=5)
    assert len(named) == 3
    assert named.fingerprint == made.fingerprint  # type: ignore[attr-defined]
    assert named[2].id == rs.data.scenes(1, seed=5, start=2)[0].id


def test_scenes_take_options() -> None:
    assert all(
        len(s.objects) == 2 and not s.signs
        for s in rs.data.scenes(5, min_objects=2, max_objects=2, signs=0)
    )
    with pytest.raises(InputError):
        rs.data.scenes(1, min_objects=4, max_objects=2)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "scenes",
        "scenes:",
        "scenes:0",
        "scenes:-1",
        "scenes:x",
        "scenes:٣",
        "scenes:" + "9" * 5000,
        *("coco", "coco: ", "photos", "imagenet:here", "SCENES:3", ":3"),
    ],
)
def test_a_bad_name_teaches_the_forms(spec: str) -> None:
    with pytest.raises(InputError, match="scenes:N") as caught:
        rs.sources.open_source(spec)
    assert "\n" not in str(caught.value)


def test_a_bare_folder_is_told_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean folder:"):
        rs.sources.open_source(str(tmp_path))


@pytest.mark.parametrize(
    "code",
    [
        "import retinoscope.data.scenes",
        "from retinoscope.data.scenes import KINDS",
        "from retinoscope.data import scenes; from retinoscope.data.scenes import KINDS",
        "from retinoscope.data.scenes._kinds import KINDS; import retinoscope.data.scenes._font",
        "import importlib; importlib.import_module('retinoscope.data.scenes')",
    ],
)
def test_scenes_stays_a_function_in_any_order_of_imports(code: str) -> None:
    check = (
        "; import retinoscope as rs; assert len(rs.data.scenes(2, seed=0)) == 2"
        "; from retinoscope.data.scenes import KINDS; assert len(KINDS) >= 24"
        "; import sys; assert not {'pyarrow', 'torch', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code + check], check=True)


def test_what_names_a_source_opens_it_again(tmp_path: Path) -> None:
    from PIL import Image

    from retinoscope.data import folder
    from retinoscope.sources import open_source, reopen_source, source_of

    for name in ("a", "b", "c"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    for samples in (
        open_source("scenes:5", 3),
        open_source("scenes:9")[:4],
        open_source("grounded:9", 3)[:4],
        open_source("varied:9", 3)[:4],
        folder(tmp_path)[:2],
    ):
        told = source_of(samples)
        assert told is not None
        assert reopen_source(told).fingerprint == samples.fingerprint  # type: ignore[attr-defined]
    for samples in (
        open_source("scenes:9")[2:],
        open_source("varied:9")[2:],
        rs.data.scenes(3, small=0.5),
        open_source("grounded:9").on_other_ground(),  # type: ignore[attr-defined]
        folder(tmp_path)[1:],
        [1, 2],
    ):
        assert source_of(samples) is None  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'spec'"):
        reopen_source({"seed": 1})
