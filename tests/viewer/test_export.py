"""The static export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.cli import main
from retinoscope.errors import InputError
from retinoscope.sources import source_of
from retinoscope.viewer import export_view
from retinoscope.viewer._json import unpacked

pytestmark = pytest.mark.usefixtures("stub_page")


def read(page: Path, key: str) -> dict:
    """A document as a script hands it over."""
    head, body = (page.parent / "data" / f"{key}.js").read_text("ascii").split("\n", 1)
    assert head.startswith("// ")
    start = f"retinoscopeData({json.dumps(key)},"
    assert body.startswith(start)
    return json.loads(body.removeprefix(start).removesuffix(");\n"))


@pytest.fixture(scope="module")
def page(runs: Path, pocket: rs.VLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from retinoscope.viewer import _page

    stub = Path(__file__).parent / "stub"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_page, "STATIC", stub)
        out = tmp_path_factory.mktemp("view")
        path, capabilities = export_view(runs, out, load=lambda name: pocket, n_lens=2)
    assert all(one.ok for one in capabilities)
    return path


def test_the_page_names_only_files_that_are_there(page: Path) -> None:
    manifest = read(page, "manifest")
    assert manifest["mode"] == "static"
    assert [study["name"] for study in manifest["studies"]] == ["ablation", "lens", "knockout"]
    for sample in manifest["samples"]:
        document = read(page, f"sample-{sample['index']}")
        assert document["id"] == sample["id"]
        with Image.open(page.parent / document["image"]["src"]) as image:
            assert image.size == (document["image"]["width"], document["image"]["height"])
        assert (page.parent / sample["thumb"]).is_file()
        for kind in ("lens", "attention"):
            there = (page.parent / "data" / f"{kind}-{sample['index']}.js").exists()
            assert there == document["has"][kind] == (sample["index"] < 2)
    html = page.read_text()
    assert 'data-mode="static"' in html
    assert "http" not in html
    assert "<style" not in html
    assert html.count("<script") == 1


def test_an_exported_lens_is_the_runs(page: Path, pocket: rs.VLM, scenes: list) -> None:
    sample, lens = read(page, "sample-1"), read(page, "lens-1")
    run = pocket.run(pocket.prompt(scenes[1].image, sample["prompt"]["text"]))
    wanted = run.lens(top_k=5, positions=lens["positions"])
    assert unpacked(lens["values"]) == pytest.approx(wanted.probs.numpy(), abs=1e-6)
    assert sample["prompt"]["tokens"] == run.tokens
    assert unpacked(sample["visual"]["boxes"]) == pytest.approx(run.image.boxes)


def test_an_export_has_the_kinds_that_are_asked_for(
    runs: Path, pocket: rs.VLM, scenes: list, tmp_path: Path
) -> None:
    kinds = ("embedding", "logit")
    page, _ = export_view(runs, tmp_path, load=lambda name: pocket, n_lens=1, kinds=kinds)
    run = pocket.run(pocket.prompt(scenes[0].image, read(page, "sample-0")["prompt"]["text"]))
    for key, kind in (("lens-0", "embedding"), ("lens-0-logit", "logit")):
        lens = read(page, key)
        wanted = run.lens(5, lens["positions"], kind=kind)
        assert (lens["kind"], lens["unit"]) == (kind, wanted.unit)
        assert unpacked(lens["values"]) == pytest.approx(wanted.values.numpy(), abs=1e-6)
    assert [one["name"] for one in read(page, "manifest")["lenses"] if one["ok"]] == [*kinds]
    # With the logit lens alone, the page says what it lacks and how to get it.
    page, _ = export_view(runs, tmp_path, load=lambda name: pocket, n_lens=1)
    lenses = {one["name"]: one for one in read(page, "manifest")["lenses"]}
    assert read(page, "lens-0")["kind"] == "logit"
    assert "--kinds" in lenses["embedding"]["why"]


def test_it_goes_on_where_it_stopped_and_writes_only_what_changed(
    runs: Path, pocket: rs.VLM, tmp_path: Path
) -> None:
    said: list[str] = []

    def stop(done: int, total: int, what: str) -> None:
        said.append(what)
        if what == "sample-1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_view(runs, tmp_path, load=lambda name: pocket, n_lens=1, progress=stop)
    assert not (tmp_path / "data" / "manifest.js").exists()

    def go(n_lens: int) -> list[str]:
        said.clear()
        export_view(
            runs,
            tmp_path,
            load=lambda name: pocket,
            n_lens=n_lens,
            progress=lambda done, total, what: said.append(what),
        )
        return [what for what in said[1:] if not what.endswith("(kept)")]

    assert go(1) == ["sample-2", "sample-3", "manifest"]
    assert go(1) == []
    (tmp_path / "images" / "3.jpg").unlink()
    (tmp_path / "data" / "table-lens.js").write_text("// cut off")
    assert go(1) == ["table-lens", "sample-3"]
    # Only the sample that now has a lens is made anew, and what names how many have one.
    changed = go(2)
    assert "sample-1" in changed
    assert {"sample-0", "sample-2", "sample-3"} & set(changed) == set()
    assert not list(tmp_path.rglob(".tmp-*"))


def test_without_the_model_it_says_what_is_missing(runs: Path, tmp_path: Path) -> None:
    path, capabilities = export_view(runs, tmp_path, load=None)
    found = {one.name: one for one in capabilities}
    assert found["images"].ok
    assert found["tables"].ok
    for name in ("layout", "lens", "attention"):
        assert not found[name].ok
        assert "--no-model" in found[name].why
    sample = read(path, "sample-0")
    assert (sample["visual"], sample["has"]["lens"]) == (None, False)
    assert sample["objects"]
    assert sample["rows"]


@pytest.mark.filterwarnings("ignore::retinoscope.errors.UnknownWordsWarning")
def test_another_model_and_other_data_are_refused(
    runs: Path, tmp_path: Path, pocket: rs.VLM
) -> None:
    path, capabilities = export_view(
        runs,
        tmp_path,
        load=lambda name: rs.load("pocket-none"),
        data=rs.data.scenes(4, seed=9),
    )
    found = {one.name: one for one in capabilities}
    assert "could not be opened again" in found["images"].why
    assert not found["lens"].ok
    # What the study kept as a picture is shown all the same.
    sample = read(path, "sample-0")
    assert sample["visual"]["n"] == len(pocket.run(pocket.prompt(_first(), "x")).image)
    assert (path.parent / sample["image"]["src"]).is_file()
    assert read(path, "sample-3")["image"] is None


def _first() -> Image.Image:
    return rs.data.scenes(1)[0].image


def test_a_model_that_cannot_be_loaded_is_a_reason(runs: Path, tmp_path: Path) -> None:
    def load(name: str) -> rs.VLM:
        raise InputError(f"no {name}")

    _, capabilities = export_view(runs, tmp_path, load=load)
    why = {one.name: one.why for one in capabilities}
    assert why["lens"] == "the model pocket could not be loaded: no pocket"


def test_older_runs_name_no_data_but_scenes_are_found(runs: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(runs / "lens", old)
    manifest = json.loads((old / "run.json").read_text())
    assert manifest["data"].pop("source") == source_of(rs.data.scenes(4))
    (old / "run.json").write_text(json.dumps(manifest))
    (old / "samples.json").unlink()
    _, capabilities = export_view(old, load=None)
    assert {one.name: one.ok for one in capabilities}["images"]
    assert (old / "view" / "index.html").is_file()


def test_names_from_data_stay_text(runs: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    bad = "</script><img src=x onerror=alert(1)>\u2028../../x"
    folder = tmp_path / "bad"
    shutil.copytree(runs / "lens", folder)
    table = pq.read_table(folder / "results.parquet")
    names = pa.array([bad] * table.num_rows)
    table = table.set_column(table.column_names.index("sample"), "sample", names)
    pq.write_table(table, folder / "results.parquet")
    path, _ = export_view(folder, load=None)
    assert read(path, "manifest")["samples"][0]["title"] == bad
    raw = (path.parent / "data" / "manifest.js").read_text("ascii")
    assert raw.count("\n") == 2
    inside = {f.relative_to(folder).parts[0] for f in folder.rglob("*")}
    assert not [name for name in inside if name == "x"]
    assert "img" not in path.read_text()


def test_no_study_and_no_front_end_are_one_line(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json"):
        export_view(tmp_path, load=None)
    from retinoscope.viewer import _page

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_page, "STATIC", tmp_path)
        with pytest.raises(InputError, match=r"lacks the page's viewer\.js"):
            export_view(runs, tmp_path / "x", load=None)
    assert not (tmp_path / "x").exists()


def test_the_command_says_where_the_page_is(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page"
    code = main(["view", str(runs / "lens"), "--out", str(out), "--no-model", "--lens", "0"])
    said = capsys.readouterr().out
    assert code == 0
    assert f"view: {out / 'index.html'}" in said
    assert "no lens: the model was left out" in said
    assert main(["view", str(runs), "--out", str(out), "--lens", "-1"]) == 2
