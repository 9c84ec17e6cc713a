"""`retinoscope reproduce neo2024` on the pocket model and a tiny LLaVA, scenes as COCO."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from retinoscope.cli import main
from retinoscope.curation import Curated
from retinoscope.data import coco, export_coco, scenes
from retinoscope.errors import CapabilityError, InputError
from retinoscope.reproduce import (
    Once,
    OpenedData,
    ReproductionPlan,
    compose_neo2024,
    neo2024,
    read_questions,
)
from retinoscope.studies import TokenAblation, open_results, paper_numbers
from retinoscope.tokens.released import released_tokens

BOUNDS = [
    *("--min-area", "100", "--max-area", "6000", "--at-most", "5"),
    *("--lens-min-area", "100", "--lens-max-area", "6000"),
]
SMALL = [*BOUNDS, "--limit", "3", "--gradient-steps", "3", "--sizes", "5", "20", "--examples", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scenes as COCO; every one has a car or a dog in the words that the tiny model knows."""
    return export_coco(scenes(12, seed=3), tmp_path_factory.mktemp("data") / "coco")


def table(out: Path, name: str) -> list[dict[str, str]]:
    with (out / "tables" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def pocket(folder, tmp_path_factory):
    """One reproduction with the pocket model in both modes."""
    out = tmp_path_factory.mktemp("pocket") / "run"
    given = ["reproduce", "neo2024", "pocket", f"coco:{folder}", "--out", str(out)]
    code = main([*given, *SMALL, "--caption-tokens", "24"])
    assert code == 0
    return out, given


def test_every_number_of_the_paper_stands_beside_ours(pocket):
    out, _ = pocket
    rows = table(out, "neo2024-table-1")
    columns = ("task", "token_set", "rings", "n_drawn", "is_control")
    known = {
        tuple(str(n.row.get(name, "")) for name in columns): n.value
        for n in paper_numbers("ablation")
    }
    found = {tuple(r[name] for name in columns): float(r["paper"]) for r in rows if r["paper"]}
    assert found == known
    ours = [r for r in rows if r["rings"] == "1"]
    assert len(ours) == 3
    assert sum(bool(r["paper_mode_n"]) and bool(r["corrected_mode_n"]) for r in ours) >= 2
    cuts = table(out, "neo2024-table-2")
    paths = {(r["token_set"] + r["rings"], r["target"], r["window"]): r for r in cuts}
    assert len(paths) == 36
    assert float(paths["object1", "last", "all"]["paper"]) == 0.67
    assert paths["object0", "last", "early"]["paper"] == ""
    page = (out / "report.html").read_text("utf-8")
    assert "not known" in page
    assert "71.79% [R]" in page
    assert "Not in either mode" in page


def test_the_studies_behind_it_have_the_modes_rules(pocket):
    out, _ = pocket
    paper, corrected = (open_results(out / mode / "captions") for mode in ("paper", "corrected"))
    ours = paper.manifest["parameters"], corrected.manifest["parameters"]
    assert ours[0]["gradient_target"] == "paper"
    assert "gradient_target" not in ours[1]
    assert ours[0]["mean"] == ours[1]["mean"]
    assert ours[0]["mean"]["images"] == 12
    modes = [
        open_results(out / m / "knockout").manifest["parameters"]["mode"]
        for m in ("paper", "corrected")
    ]
    assert modes == ["paper", "corrected"]
    counts = Curated.load(out / "curation" / "paper" / "objects")
    assert [f["settings"].get("mode") for f in counts.filters[-2:]] == ["paper", "paper"]
    assert counts.limit == 3


def test_differences_are_listed_and_measured(pocket):
    out, _ = pocket
    rows = {r["what"]: r for r in table(out, "neo2024-differences")}
    assert len(rows) > 15
    assert all(r["paper"] and r["corrected"] and r["effect"] for r in rows.values())
    measured = {what for what, row in rows.items() if row["measured"]}
    assert {
        "Caption: when an object counts as named",
        "Yes/no: when an answer is yes",
        "Curation: the crop",
        "Curation: the hallucination filter",
        "Which tokens are the object's",
        "Knockout: what is reported",
        "The mean visual token",
    } <= measured
    yes = rows["Yes/no: when an answer is yes"]["measured"]
    baseline = open_results(out / "paper" / "captions").extras()["baseline"].to_pylist()
    polled = next(r for r in baseline if r["task"] == "polling" and r["mode"] == "paper")
    assert f"{100 * polled['accuracy']:.0f}% under the released rule" in yes


def test_given_again_it_changes_nothing_and_goes_on(pocket, capsys, monkeypatch):
    out, given = pocket
    command = [*given, *SMALL, "--caption-tokens", "24"]
    files = ["report.html", "paper/captions/results.parquet", "curation/lens/curation.json"]
    before = {name: (out / name).read_bytes() for name in files}
    shutil.rmtree(out / "corrected" / "knockout")
    (out / "report.html").unlink()
    ran = []
    whole = TokenAblation._rows
    monkeypatch.setattr(TokenAblation, "_rows", lambda *a, **k: ran.append(1) or whole(*a, **k))
    assert main(command) == 0
    assert ran == []
    for name in files[1:]:
        assert (out / name).read_bytes() == before[name]
    assert (out / "corrected" / "knockout" / "results.parquet").exists()
    assert table(out, "neo2024-table-2")
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert main([*command, "--seed", "2"]) == 2
    assert "different: seed" in capsys.readouterr().err


def test_its_report_is_written_again_with_the_papers_numbers(pocket):
    out, _ = pocket
    files = ["report.html", "tables/neo2024-table-1.csv", "tables/neo2024-table-2.csv"]
    before = {name: (out / name).read_bytes() for name in files}
    for name in files:
        (out / name).unlink()
    assert main(["report", str(out)]) == 0
    assert {name: (out / name).read_bytes() for name in files} == before


def test_a_damaged_plan_is_one_line_and_leaves_the_report(pocket, tmp_path, capsys):
    out, _ = pocket
    copy = shutil.copytree(out, tmp_path / "run")
    before = (copy / "report.html").read_bytes()
    for content in ("{", "[]", "3"):
        (copy / "reproduce.json").write_text(content)
        assert main(["report", str(copy)]) == 2
        error = capsys.readouterr().err.strip()
        assert "Traceback" not in error
        assert len(error.splitlines()) == 1
        assert (copy / "report.html").read_bytes() == before


def test_a_tiny_random_llava_saved_to_disk(tiny_folder, folder, tmp_path):
    out = tmp_path / "run"
    data = ["reproduce", "neo2024", str(tiny_folder), f"coco:{folder}", "--out", str(out)]
    main([*data, *SMALL, "--caption-tokens", "8", "--mode", "corrected", "--untrained"])
    plan = json.loads((out / "reproduce.json").read_text())
    # A random model names nothing, so that nothing passes the hallucination filter.
    assert "corrected/objects" in plan["notes"]
    assert not (out / "paper").exists()
    assert open_results(out / "corrected" / "questions").n_samples == 3
    lens = open_results(out / "lens" / "lens").table.to_pylist()
    assert {r["weights"] for r in lens} == {"trained", "untrained"}
    page = (out / "report.html").read_text("utf-8")
    assert "left out" in page
    assert "none right" in page or "not run" in page


def test_nothing_that_passes_is_refused(tiny, folder, tmp_path):
    plan = ReproductionPlan(
        min_area=1, max_area=2, lens_min_area=1, lens_max_area=2, mode="corrected"
    )
    with pytest.raises(InputError, match="nothing to study"):
        neo2024(tiny, OpenedData(lambda: coco(folder)), tmp_path / "run", plan)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(InputError, match="holds other files"):
        neo2024(tiny, OpenedData(lambda: coco(folder)), tmp_path / "other", plan)
    with pytest.raises(InputError, match="expected a reproduction"):
        compose_neo2024(tmp_path / "other")


def test_wrong_use_is_told_before_the_model_is_loaded(folder, tmp_path, capsys):
    given = ["reproduce", "neo2024", "no/model", "--out", str(tmp_path / "x")]
    assert main([*given[:3], "coco:nowhere", *given[3:]]) == 2
    assert "nowhere" in capsys.readouterr().err
    asked = tmp_path / "q.json"
    asked.write_text("[1]")
    assert main([*given[:3], f"coco:{folder}", *given[3:], "--questions", str(asked)]) == 2
    assert "questions by image id" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_authors_questions_ask_about_the_kept_object(folder, tmp_path):
    file = tmp_path / "clean_questions.json"
    file.write_text(json.dumps({"1": ["What is on the grass?"], "2": []}))
    assert read_questions(file) == {"1": ["What is on the grass?"]}
    opened = OpenedData(lambda: coco(folder), file)
    samples = opened()
    first = samples[0]
    assert [(q.answer, q.about) for q in first.questions] == [
        (obj.name, (index,)) for index, obj in enumerate(first.objects)
    ]
    assert samples[1].questions == ()
    assert samples.fingerprint != coco(folder).fingerprint


def test_data_is_opened_once_here_and_again_elsewhere(folder):
    opened = OpenedData(Once(partial(coco, folder)))
    assert opened() is opened()
    there = pickle.loads(pickle.dumps(opened))
    assert there() is not opened()
    assert there().fingerprint == opened().fingerprint


def test_masks_in_paper_mode_select_the_released_tokens(tiny, folder, tmp_path):
    from retinoscope.reproduce._geometry import masks_of

    samples = coco(folder)[:3]
    file = tmp_path / "masks.json"
    masks_of(tiny, samples, file)
    marked = OpenedData(lambda: samples, masks=file)()
    for sample, changed in zip(samples, marked, strict=True):
        image = tiny.run(tiny.prompt(sample.image, "Describe this image.")).image
        for obj, mark in zip(sample.objects, changed.objects, strict=True):
            wanted = np.flatnonzero(released_tokens(obj, sample.image.size, 7))
            assert image.covering(mark.mask).positions == image.at(wanted).positions
    facts = json.loads(file.read_text())
    assert facts["shared"] <= min(facts["tokens_exact"], facts["tokens_released"])
    stamp = file.stat().st_mtime_ns
    masks_of(tiny, samples, file)
    assert file.stat().st_mtime_ns == stamp
    with pytest.raises(CapabilityError, match="0 pixels"):
        masks_of(tiny, [type(samples[0])("x", samples[0].image.resize((5, 5)))], tmp_path / "no")


def test_paper_mode_asks_the_first_question_of_an_image_only(pocket):
    out, _ = pocket
    for study in ("questions", "knockout"):
        asked = {}
        for mode in ("paper", "corrected"):
            rows = open_results(out / mode / study).table.to_pylist()
            asked[mode] = {(r["sample"], r["item"]) for r in rows}
        per_image = [sample for sample, _ in asked["paper"]]
        assert len(per_image) == len(set(per_image)) <= len(asked["corrected"])
