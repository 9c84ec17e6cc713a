"""Code that comes with a model or a run is never run, and a run never chooses what is loaded."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import retinoscope as rs
from retinoscope.cli import main
from retinoscope.errors import CapabilityError, RetinoscopeError
from retinoscope.models import open_tower
from retinoscope.studies import LogitLens

CODE = """
from pathlib import Path
from transformers import PreTrainedConfig
Path({marker!r}).write_text("ran")
class Own(PreTrainedConfig):
    model_type = "own"
"""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once foreign code ran; every question on the terminal is answered y."""
    monkeypatch.setattr("builtins.input", lambda *prompt: "y")
    return tmp_path / "marker"


@pytest.fixture
def foreign(tiny_folder: Path, tmp_path: Path, marker: Path) -> Path:
    """A model folder whose config.json names code of its own."""
    folder = tmp_path / "foreign"
    shutil.copytree(tiny_folder, folder)
    (folder / "own.py").write_text(CODE.format(marker=str(marker)))
    _set(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"})
    return folder


def _set(file: Path, **values: object) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize("opened", [rs.load, rs.encoders.load, open_tower])
def test_a_model_that_needs_code_is_refused(opened: object, foreign: Path, marker: Path) -> None:
    with pytest.raises(CapabilityError, match=r"own\.py") as error:
        opened(str(foreign))  # type: ignore[operator]
    assert str(foreign) in str(error.value)
    assert "\n" not in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("processor_config.json", {"AutoProcessor": "own.Own"}),
        ("preprocessor_config.json", {"AutoImageProcessor": "own.Own"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["own.Own", None]}),
    ],
)
def test_a_processor_that_needs_code_is_never_run(
    file: str, entry: dict[str, object], foreign: Path, tiny_folder: Path, marker: Path
) -> None:
    shutil.copy(tiny_folder / "config.json", foreign / "config.json")
    _set(foreign / file, auto_map=entry, processor_class="Own", tokenizer_class="Own")
    # The library's own classes may do without that code; what they make of it is not ours to say.
    with suppress(RetinoscopeError):
        assert type(rs.load(str(foreign)).processor).__module__.startswith("transformers.")
    assert not marker.exists()


def test_a_kernel_of_the_hub_is_refused(foreign: Path, tiny_folder: Path) -> None:
    shutil.copy(tiny_folder / "config.json", foreign / "config.json")
    _set(foreign / "config.json", attn_implementation="somebody/kernel")
    with pytest.raises(CapabilityError, match="somebody/kernel"):
        rs.load(str(foreign))


def test_commands_refuse_in_one_line(
    foreign: Path, marker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (
        ["doctor", str(foreign)],
        ["ablate", str(foreign), "scenes:1", "--out", str(tmp_path / "out")],
        ["serve", str(foreign)],
    ):
        assert main(command) != 0
        said = capsys.readouterr()
        assert "own.py" in said.err + said.out
        assert "Traceback" not in said.err
    assert not marker.exists()


@pytest.fixture(scope="module")
def lens_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "lens"
    LogitLens(rs.load("pocket"), rs.data.scenes(2), n_examples=1, untrained=False).run(folder)
    return folder


def test_a_run_chooses_neither_model_nor_folder(
    lens_run: Path,
    foreign: Path,
    marker: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from retinoscope.viewer import _page, _reopen

    monkeypatch.setattr(_page, "STATIC", Path(__file__).parents[1] / "viewer" / "stub")
    opened: list[str] = []
    monkeypatch.setattr(_reopen, "reopen_source", lambda source: opened.append(str(source)))
    run = shutil.copytree(lens_run, tmp_path / "run")
    manifest = json.loads((run / "run.json").read_text())
    manifest["model"]["name"] = str(foreign)
    manifest["data"]["source"] = {"spec": f"outside:folder:{Path.home()}", "limit": 2}
    (run / "run.json").write_text(json.dumps(manifest))
    assert main(["view", str(run), "--lens", "0"]) == 0
    said = capsys.readouterr().out
    assert f"--model {foreign}" in said
    assert "--data" in said
    assert not opened
    assert main(["report", str(run)]) == 0
    assert main(["view", str(run), "--lens", "0", "--model", str(foreign)]) == 0
    assert "own.py" in capsys.readouterr().out
    assert not marker.exists()


def test_a_packaged_model_and_drawn_scenes_are_opened(
    lens_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from retinoscope.viewer import _page

    monkeypatch.setattr(_page, "STATIC", Path(__file__).parents[1] / "viewer" / "stub")
    assert main(["view", str(lens_run), "--out", str(tmp_path / "page"), "--lens", "1"]) == 0
    assert "no lens" not in capsys.readouterr().out
    assert (tmp_path / "page" / "data" / "lens-0.js").is_file()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Clients of the pages that `retinoscope serve` would serve."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra 'serve'")
    testing = pytest.importorskip("fastapi.testclient", reason="needs httpx")
    from retinoscope.viewer import _page

    monkeypatch.setattr(_page, "STATIC", Path(__file__).parents[1] / "viewer" / "stub")
    found: list[Any] = []

    def run(server: Any, sockets: list[Any]) -> None:
        for one in sockets:
            one.close()
        client = testing.TestClient(
            server.config.app, base_url="http://127.0.0.1", raise_server_exceptions=False
        )
        found.append(client)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return found


def _edited(run: Path, folder: Path, **fields: dict[str, object]) -> Path:
    """A copy of a run whose manifest says otherwise."""
    copy = Path(shutil.copytree(run, folder))
    manifest = json.loads((copy / "run.json").read_text())
    for name, values in fields.items():
        manifest[name].update(values)
    (copy / "run.json").write_text(json.dumps(manifest))
    return copy


def test_serve_loads_only_what_its_command_names(
    lens_run: Path,
    foreign: Path,
    marker: Path,
    tmp_path: Path,
    served: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Someone else's run names a model with code, and a folder of pictures: neither is opened."""
    from retinoscope.cli import _view

    loaded: list[str] = []
    load = _view.load_model
    monkeypatch.setattr(
        _view, "load_model", lambda name, how: loaded.append(name) or load(name, how)
    )
    secret = tmp_path / "secret"
    secret.mkdir()
    rs.data.scenes(1)[0].image.save(secret / "scene-0-000000.png")
    run = _edited(
        lens_run,
        tmp_path / "run",
        model={"name": str(foreign)},
        data={"source": {"spec": f"folder:{secret}"}},
    )
    assert main(["serve", "pocket", str(run), "--port", "0"]) == 0
    assert loaded == ["pocket"]
    assert not marker.exists()
    (client,) = served
    with client:
        manifest = client.get("/api/manifest").json()
        assert manifest["model"]["name"] == "pocket"
        why = {one["name"]: one["why"] for one in manifest["capabilities"]}
        assert "--data" in why["images"]
        document = client.get("/api/data/sample-1").json()
        assert (document["image"], document["prompt"]) == (None, None)
        assert client.get("/api/samples/images/1.jpg").status_code == 404
        # The picture that the study itself kept is shown, and the model on the page works.
        assert client.get("/api/samples/images/0.jpg").status_code == 200
        asked = client.post("/api/ask", json={"image": "sample-0", "question": "What is it?"})
        assert asked.status_code == 200
    assert not marker.exists()


def test_serve_does_not_show_another_models_run_as_its_own(
    lens_run: Path, tmp_path: Path, served: list[Any]
) -> None:
    run = _edited(lens_run, tmp_path / "run", model={"fingerprint": "0" * 64})
    command = ["serve", "pocket", str(run), "--port", "0"]
    assert main(command) == 2
    # Without the mark of its run, as versions of before wrote it.
    table = pq.read_table(run / "results.parquet")
    pq.write_table(table.replace_schema_metadata(None), run / "results.parquet")
    assert main(command) == 0
    (client,) = served
    with client:
        document = client.get("/api/data/sample-0").json()
        assert document["prompt"] is None
        assert "has changed since" in document["note"]
        assert client.get("/api/data/lens-0").status_code == 404


@pytest.mark.parametrize("spec", ["scenes:2000000000", "color:grounded:2000000000"])
def test_a_run_does_not_choose_how_much_is_drawn(
    spec: str, lens_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], served: list[Any]
) -> None:
    """All are read where the run kept no fingerprints: that took for ever."""
    data = {"source": {"spec": spec, "seed": 0}, "samples": 2_000_000_000}
    run = _edited(lens_run, tmp_path / "run", data=data)
    (run / "samples.json").unlink(missing_ok=True)
    assert main(["view", str(run), "--lens", "0", "--no-model"]) == 0
    assert f"--data {spec}" in capsys.readouterr().out
    assert main(["serve", "pocket", str(run), "--port", "0"]) == 0
    (client,) = served
    with client:
        assert f"--data {spec}" in client.get("/api/data/sample-1").json()["note"]
