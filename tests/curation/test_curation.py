"""Counts at each step, files that can be shared, and runs that survive."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from stand_in import Model, sample

from retinoscope.answers.tasks import PromptOptions, studied_objects
from retinoscope.cli import main
from retinoscope.curation import (
    Area,
    AtMost,
    Curated,
    Curation,
    First,
    Hallucination,
    OneInstance,
    SurvivesCrop,
)
from retinoscope.data import coco, export_coco, scenes
from retinoscope.errors import InputError, StudyError
from retinoscope.store import read_results
from retinoscope.studies import open_results

FILTERS = (OneInstance(), Area(50, 200), AtMost(3), First(), SurvivesCrop(), Hallucination())
FILES = ("curation.json", "results.parquet")


def pictures(n=24):
    """Of six: two to keep, one each with two cars, a car too large, nothing, and too many."""
    made = []
    for number in range(n):
        x = 2 + number % 20
        things = [
            [("car", x, 2, 10)],
            [("car", x, 2, 10), ("fish", 30, 30, 12)],
            [("car", x, 2, 10), ("car", 40, 40, 10)],
            [("car", x, 2, 20)],
            [],
            [("car", x, 2, 10), ("fish", 30, 30, 12), ("dog", 50, 50, 9), ("dog", 2, 50, 9)],
        ][number % 6]
        made.append(sample(number, *things))
    return made


def test_counts_at_each_step(tmp_path):
    curated = Curation(Model(), pictures(), FILTERS).run(tmp_path / "run")
    assert [(c.images, c.objects) for c in curated.counts] == [
        *((24, 40), (16, 24), (12, 20), (8, 12), (8, 8), (8, 8), (8, 8)),
    ]
    assert [one.index for one in curated.kept] == [i for i in range(24) if i % 6 < 2]
    assert curated.kept[0].objects[0].reasons == {
        "one-instance": "1 of car",
        "area": "100 pixels",
        "at-most": "1 annotations",
        "first": "number 1 of 1",
        "survives-crop": "4 of 64 tokens",
        "hallucination": "named",
    }
    table = str(curated).splitlines()
    assert len(table) == 8
    assert table[1].split() == ["all", "images", "24", "40"]
    rows = read_results(tmp_path / "run").to_pylist()
    assert {row["dropped"] for row in rows} == {None, "one-instance", "area", "at-most"}


def test_a_file_read_again_is_the_same_and_applies(tmp_path):
    samples = pictures()
    curated = Curation(Model(), samples, FILTERS).run(tmp_path / "run")
    again = Curated.load(tmp_path / "run" / "curation.json")
    assert again == curated == Curated.load(tmp_path / "run")
    assert again.content == curated.content
    chosen = again.apply(samples)
    assert len(chosen) == len(chosen[:100]) == 8
    both = chosen[1]
    assert [obj.name for obj in both.objects] == ["car"]
    assert [obj.name for obj in both.others] == ["fish"]
    assert [q.kind for q in both.questions] == ["polling", "color"]
    assert chosen.fingerprint != chosen[:2].fingerprint


def test_other_data_is_refused(tmp_path):
    samples = pictures()
    curated = Curation(None, samples, FILTERS[:4]).run(tmp_path / "run")
    assert curated.model is None
    with pytest.raises(InputError, match="other data"):
        curated.apply(samples[:-1])

    class Source(list):
        fingerprint = "same"

    curated = Curation(None, Source(samples), FILTERS[:4]).run(tmp_path / "named")
    moved = curated.apply(Source(reversed(samples)))
    with pytest.raises(InputError, match="'drawn-0' as sample 0"):
        moved[0]
    renamed = replace(samples[0], objects=())
    with pytest.raises(InputError, match="object 0 of 'drawn-0' as 'car'"):
        curated.apply(Source([renamed, *samples[1:]]))[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "expected JSON"),
        ("{}", "expected a curation"),
        ('{"format": "retinoscope-curation", "version": 9}', "version 9"),
        ('{"format": "retinoscope-curation", "version": 1}', "damaged"),
    ],
)
def test_damaged_files_are_refused(content, words, tmp_path):
    (tmp_path / "curation.json").write_text(content)
    with pytest.raises(InputError, match=words):
        Curated.load(tmp_path / "curation.json")
    with pytest.raises(InputError, match="cannot be read"):
        Curated.load(tmp_path / "nothing.json")


def test_limit_stops_and_a_larger_one_goes_on(tmp_path):
    samples = pictures()
    some = Curation(Model(), samples, FILTERS, limit=3).run(tmp_path / "run")
    assert [one.index for one in some.kept] == [0, 1, 6]
    assert some.examined == 7
    assert "stopped at 3 kept images, after 7 of 24" in str(some)
    model = Model()
    more = Curation(model, samples, FILTERS, limit=8).run(tmp_path / "run")
    assert len(more.kept) == 8
    # Two runs each for the five images that were left: a caption, and one of the replaced image.
    assert model.runs == 10
    back = Curation(Model(), samples, FILTERS, limit=3).run(tmp_path / "run")
    assert back.content == some.content
    with pytest.raises(InputError, match="belongs to another run"):
        Curation(Model(), samples, FILTERS[:2]).run(tmp_path / "run")


def killed(folder, samples, at, step):
    """Runs it in a child that dies by SIGKILL at sample `at`, or at a write, at `step` of it."""
    child = os.fork()
    if child == 0:
        left = [step]

        def die(*_, replace=os.replace, **__):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(*_, **__)

        def progress(done, total, what):
            if done == at:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            os.replace = die
            Curation(Model(), samples, FILTERS).run(folder, progress)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_kill_anywhere_gives_the_same_bytes(tmp_path):
    samples = pictures()
    Curation(Model(), samples, FILTERS).run(tmp_path / "whole")
    whole = [(tmp_path / "whole" / name).read_bytes() for name in FILES]
    for number, (at, step) in enumerate([(3, 0), (17, 0), (24, 0), (0, 1), (0, 2), (0, 3), (0, 4)]):
        folder = tmp_path / f"cut-{number}"
        assert killed(folder, samples, at, step) == -signal.SIGKILL, (at, step)
        Curation(Model(), samples, FILTERS).run(folder)
        assert [(folder / name).read_bytes() for name in FILES] == whole


def test_a_failing_sample_is_a_row_and_can_be_tried_again(tmp_path):
    samples = pictures()

    class Torn(list):
        fingerprint, broken = "same", True

        def __getitem__(self, index):
            if Torn.broken and index in (1, 3):
                raise OSError("torn")
            return super().__getitem__(index)

    curated = Curation(Model(), Torn(samples), FILTERS).run(tmp_path / "run")
    assert (curated.failed, len(curated.kept), curated.counts[0].images) == (2, 7, 24)
    assert "2 images failed" in str(curated)
    rows = [r for r in read_results(tmp_path / "run").to_pylist() if r["error"]]
    assert [(r["sample"], r["error"]) for r in rows] == [
        *(("sample 1", "OSError: torn"), ("sample 3", "OSError: torn"))
    ]
    Torn.broken = False
    again = Curation(Model(), Torn(samples), FILTERS).run(tmp_path / "run", retry_failed=True)
    whole = Curation(Model(), Torn(samples), FILTERS).run(tmp_path / "whole")
    assert again.content == whole.content


def test_nothing_that_can_be_judged_is_an_error(tmp_path):
    class Torn(list):
        fingerprint = "torn"

        def __getitem__(self, index):
            raise OSError("torn")

    with pytest.raises(StudyError, match=r"none of the samples.*OSError: torn"):
        Curation(Model(), Torn(pictures(3)), FILTERS).run(tmp_path / "few")
    with pytest.raises(StudyError, match="max_failures"):
        Curation(Model(), Torn(pictures()), FILTERS).run(tmp_path / "many")


def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "run"
    for curation, words in (
        (Curation(None, pictures(), FILTERS), "needs a model"),
        (Curation(None, [], FILTERS[:1]), "at least one sample"),
        (Curation(None, pictures(), ()), "at least one filter"),
    ):
        with pytest.raises(InputError, match=words):
            curation.run(out)
    with pytest.raises(InputError, match="limit"):
        Curation(None, pictures(), FILTERS[:1], limit=0)
    assert not out.exists()


def test_other_objects_count_in_the_studies():
    (whole,) = pictures(2)[1:]
    from retinoscope.curation._curated import restricted

    one = restricted(whole, [0])
    assert studied_objects(one, PromptOptions()) == (0,)
    assert studied_objects(one, PromptOptions(max_instances=1)) == ()
    twin = restricted(sample(0, ("car", 2, 2, 9), ("car", 40, 40, 9)), [0])
    assert studied_objects(twin, PromptOptions()) == ()


def test_drawn_scenes_are_named_as_on_the_command_line(tmp_path):
    curated = Curation(None, scenes(3), (OneInstance(),)).run(tmp_path / "run")
    assert curated.data["name"] == "scenes:3"


def test_coco_keeps_polygons_and_a_curation_applies_to_its_folder(tmp_path):
    export_coco(scenes(6), tmp_path / "coco")
    file = tmp_path / "coco" / "annotations" / "instances.json"
    content = json.loads(file.read_text())
    first = content["annotations"][0]
    x, y, width, height = first["bbox"]
    first["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    file.write_text(json.dumps(content))
    samples = coco(tmp_path / "coco")
    assert len(samples[0].objects[0].polygons[0]) == 8
    assert samples[1].objects[0].polygons == ()
    curated = Curation(None, samples, (OneInstance(), First())).run(tmp_path / "run")
    assert curated.data["name"] == "coco:coco"
    (tmp_path / "coco").rename(tmp_path / "elsewhere")
    there = curated.apply(coco(tmp_path / "elsewhere"))
    assert len(there) == len(curated.kept) == 6
    assert np.asarray(there[5].image).shape == (144, 144, 3)


def test_the_commands(tiny_folder, tmp_path, capsys):
    out = tmp_path / "cur"
    given = [str(tiny_folder), "scenes:8"]
    bounds = ["--min-area", "100", "--max-area", "4000", "--at-most", "4", "--limit", "3"]
    assert main(["curate", *given, "--out", str(out), *bounds]) == 0
    printed = capsys.readouterr().out
    assert "exactly one instance of the category" in printed
    assert printed.splitlines()[-1] == f"curation: {out / 'curation.json'}"
    kept = Curated.load(out)
    assert len(kept.kept) == 3
    study = tmp_path / "lens"
    file = str(out / "curation.json")
    main(["lens", *given, "--out", str(study), "--curation", file, "--no-untrained"])
    results = open_results(study)
    assert {r["sample"] for r in results.table.to_pylist()} == {one.id for one in kept.kept}
    other = ["lens", str(tiny_folder), "scenes:9", "--out", str(tmp_path / "x")]
    assert main([*other, "--curation", file]) == 2
    assert "other data" in capsys.readouterr().err
