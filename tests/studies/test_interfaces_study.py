"""Interfaces side by side: the audit where the truth is known, and the study on tiny models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import LlamaConfig

import retinoscope as rs
from retinoscope.data import Question, Scenes
from retinoscope.data.scenes import VARIED
from retinoscope.engine import VLM
from retinoscope.errors import InputError
from retinoscope.interfaces import (
    INTERFACES,
    InterfaceConfig,
    InterfaceForConditionalGeneration,
    interface_processor,
    interface_tokenizer,
    packaged_names,
)
from retinoscope.reporting import compose
from retinoscope.studies import InterfaceComparison
from retinoscope.studies.interfaces import study as study_module
from retinoscope.studies.interfaces.asked import measure_of
from retinoscope.studies.interfaces.audit import AuditRules, ObjectAudit, audit_objects
from retinoscope.studies.interfaces.best_words import best_words
from retinoscope.studies.interfaces.edits import _one_each
from retinoscope.studies.interfaces.options import NAMES, USUAL, InterfacesOptions, condition
from retinoscope.studies.interfaces.pairs import pairs
from retinoscope.studies.interfaces.pictures import outline_of
from retinoscope.tokens import region_cover

ANY = AuditRules(changed=0.0, token_share=0.125)
SAMPLES = Scenes(3, seed=5, options=VARIED)


def made(name: str, layers: int, **settings: Any) -> VLM:
    """A random interface on scenes of full size; without layers its tower sees single patches."""
    words = interface_tokenizer()
    ids = {f"{one}_token_id": getattr(words, f"{one}_token_id") for one in ("pad", "bos", "eos")}
    decoder = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        **ids,
    )
    tower = {"width": 16, "layers": layers, "heads": 2, "ff": 16}
    image = words.convert_tokens_to_ids("<image>")
    assert isinstance(image, int)
    config = InterfaceConfig(name, {"tower": tower, "ff": 24, **settings}, decoder, image)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = InterfaceForConditionalGeneration(config).eval()
    model.config.name_or_path = f"/tiny/{name}"
    return rs.load(model=model, processor=interface_processor(model.interface.n_tokens))


@pytest.fixture(scope="module")
def exact() -> VLM:
    return made("projector", layers=0)


@pytest.fixture(scope="module")
def queries() -> VLM:
    return made("qformer", layers=1, heads=2)


def audited(vlm: VLM, index: int, rules: AuditRules) -> tuple[Any, list[ObjectAudit]]:
    sample = SAMPLES[index]
    run = vlm.run(vlm.prompt(sample.image, "Describe this image."))
    bare = {item: SAMPLES.without(index, item) for item in range(len(sample.objects))}
    return run, audit_objects(vlm, run, bare, sample.image, rules)


def test_of_single_patches_those_change_that_the_object_covers(exact: VLM) -> None:
    """The declared boxes are exact here: AUC 1, and no other token changes at all."""
    seen = 0
    for index in range(3):
        run, audits = audited(exact, index, ANY)
        for audit in audits:
            covered = run.image.cover(audit.mask) > 0
            assert np.array_equal(audit.changed, covered)
            assert not audit.change[~covered].any()
            assert audit.by == "boxes"
            assert audit.columns["auc"] == 1.0
            assert audit.columns["n_changed"] == covered.sum() > 0
            assert (audit.columns["rank"] or 0) > 0.9
            seen += 1
    assert seen > 5


def test_of_queries_it_counts_where_they_looked(queries: VLM) -> None:
    run, audits = audited(queries, 0, AuditRules(0.5, 0.25))
    origin = run.soft_origin()
    for audit in audits:
        assert audit.by == "attention"
        cover = region_cover(audit.mask, origin.layout.size, origin.layout.boxes)
        assert audit.declared == pytest.approx(origin.weights.numpy() @ cover, abs=1e-6)
        largest = audit.change.max()
        assert np.array_equal(audit.changed, audit.change > 0.5 * largest)


def test_sets_have_one_size_and_random_ones_are_others() -> None:
    change = np.array([0.0, 0.9, 0.1, 0.8, 0.0, 0.0, 0.0, 0.0])
    declared = np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    distance = np.array([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    rules = AuditRules(0.5, 0.25)
    audit = ObjectAudit(0, np.ones((2, 2), bool), change, declared, "boxes", distance, rules)
    sets = audit.sets(np.random.default_rng(0))
    assert sets["changed"] == (1, 3)
    # Of tokens that are declared alike, the nearest.
    assert sets["declared"] == (1, 2)
    assert len(sets["random"]) == 2
    assert not {*sets["random"]} & {1, 2, 3}
    assert audit.columns["auc"] == pytest.approx(0.75)
    few = replace(audit, rules=AuditRules(0.5, 0.5), change=change[:4], declared=declared[:4])
    assert "random" not in replace(few, distance=distance[:4]).sets(np.random.default_rng(0))
    unknown = replace(audit, declared=None, by="none")
    assert unknown.columns["auc"] is None
    assert [*unknown.sets(np.random.default_rng(0))] == ["changed", "random"]


def test_an_object_that_changes_every_token_has_no_auc() -> None:
    alike = np.ones(4)
    audit = ObjectAudit(0, np.ones((2, 2), bool), alike, alike, "boxes", alike, ANY)
    assert audit.columns["auc"] is None
    assert audit.columns["rank"] is None
    assert audit.columns["concentration"] == 0.25


@pytest.mark.parametrize(
    ("kind", "answer", "measure"),
    [
        ("polling", "yes", "present"),
        ("polling", "no", "absent"),
        ("polling-adversarial", "no", "absent-adversarial"),
        ("count-kind", "two", "count-kind"),
    ],
)
def test_questions_belong_to_measures(kind: str, answer: str, measure: str) -> None:
    assert measure_of(Question("Is there a car in this image?", answer, kind)) == measure


def test_kinds_of_questions_take_turns_among_objects() -> None:
    sample = next(one for one in Scenes(20, seed=5) if len(one.objects) > 3)
    asks = [ask for _, ask in study_module.AskedScene(sample, [20.0] * 9, ()).asks()]
    chosen = _one_each(asks)
    assert [*chosen] == list(range(len(sample.objects)))
    for about, item in chosen.items():
        assert asks[item].objects == (about,)
        assert asks[item].kind in ("color", "kind", "relation")
    assert len({asks[item].kind for item in chosen.values()}) > 1


def test_an_outline_encloses_the_mask() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 2:4] = True
    lines = {tuple(line) for line in outline_of(mask)}
    assert lines == {(2, 1, 4, 1), (2, 3, 4, 3), (2, 1, 2, 3), (4, 1, 4, 3)}


@pytest.fixture(scope="module")
def results(exact: VLM, queries: VLM, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("interfaces") / "run"
    study = InterfaceComparison(exact, SAMPLES, others=(queries,), n_examples=1)
    return study.run(out)


def test_every_question_of_every_scene_is_asked_of_both(results: Any) -> None:
    rows = pl.from_arrow(results.table)
    assert isinstance(rows, pl.DataFrame)
    assert results.errors() == []
    assert rows["interface"].unique(maintain_order=True).to_list() == ["projector", "qformer"]
    asked = sum(len(sample.questions) for sample in SAMPLES)
    kinds = sum(len({one.name for one in sample.objects}) for sample in SAMPLES)
    for _, some in rows.group_by("interface"):
        assert some["measure"].count() == asked + kinds + len(SAMPLES)
        assert some["declared_by"].count() == sum(len(sample.objects) for sample in SAMPLES)
        lens = some.filter(pl.col("word") == "name")
        assert lens["top1"].list.len().unique().to_list() == [4]
        cuts = some.filter(pl.col("edit") == "knockout")
        assert {*cuts["token_set"]} == {"declared", "changed", "random", "visual"} or not len(cuts)
    # Yes on an absent kind counts, and is wrong.
    absent = rows.filter(pl.col("measure") == "absent")
    assert ((absent["said"] == "yes") == (absent["score"] == 1)).all()
    color = rows.filter(pl.col("measure") == "color")
    assert ((color["said"] == color["answer"]) == (color["score"] == 1)).all()


def test_sizes_are_those_of_the_drawn_radius(results: Any) -> None:
    rows = pl.from_arrow(results.table)
    assert isinstance(rows, pl.DataFrame)
    small = {
        (sample.id, one.name): one.area < 300
        for sample in SAMPLES
        for one in sample.objects
        if [other.name for other in sample.objects].count(one.name) == 1
    }
    found = rows.filter((pl.col("measure") == "caption-recall") & pl.col("size").is_not_null())
    assert len(found) == 2 * len(small)
    for sample, name, size in found.select("sample", "answer", "size").iter_rows():
        assert (size == "small") == small[sample, name]


def test_the_report_has_the_tables_and_says_what_is_absent(results: Any) -> None:
    report = compose(results.path)
    (section,) = report.sections
    names = [table.name.rsplit("-", 1)[-1] for table in section.tables]
    assert names[:5] == ["questions", "sizes", "hallucination", "audit", "experiments"]
    assert all(table.rows for table in section.tables)
    (finding,) = report.findings
    assert finding.outcome == "too few"
    assert any(note.startswith("Not in these scenes") for note in section.notes)
    page = report.write().read_text("utf-8")
    assert page.count("<h2>The ") == 1
    assert "changes without it" in page


def test_scenes_without_variety_leave_groups_out_in_one_line(exact: VLM, tmp_path: Path) -> None:
    InterfaceComparison(exact, rs.data.scenes(2, seed=3), max_objects=0).run(tmp_path / "run")
    (section,) = compose(tmp_path / "run").sections
    names = [table.name for table in section.tables]
    assert not any(name.endswith(("sizes", "pairs", "windows")) for name in names)
    (absent,) = (note for note in section.notes if note.startswith("Not in these scenes"))
    assert "position in the image" in absent
    assert "small objects" in absent


def test_a_run_goes_on_and_has_the_same_bytes(
    results: Any, exact: VLM, queries: VLM, tmp_path: Path
) -> None:
    study = InterfaceComparison(exact, SAMPLES, others=(queries,), n_examples=1)

    def stop(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.run(tmp_path / "run", stop)
    again = study.run(tmp_path / "run")
    whole = (results.path / "results.parquet").read_bytes()
    assert (again.path / "results.parquet").read_bytes() == whole
    with pytest.raises(InputError, match="token_share"):
        replace(study, token_share=0.25).run(tmp_path / "run")


def test_the_reference_path_gives_the_same_answers(exact: VLM, tmp_path: Path) -> None:
    tables = []
    for path in ("incremental", "reference"):
        study = InterfaceComparison(exact, SAMPLES[:1], exact=path, n_examples=0)
        table = pl.from_arrow(study.run(tmp_path / path).table)
        assert isinstance(table, pl.DataFrame)
        tables.append(table.filter(pl.col("edit").is_not_null()))
    one, other = tables
    assert len(one) == len(other)
    for name in ("edit", "token_set", "window", "said"):
        assert one[name].to_list() == other[name].to_list()
    for name in ("probability_before", "probability_after"):
        assert one[name].to_list() == pytest.approx(other[name].to_list(), abs=1e-5)


def test_what_fails_in_one_interface_does_not_cost_the_others(
    exact: VLM, queries: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def audit(vlm: VLM, *rest: Any) -> list[ObjectAudit]:
        if vlm is queries:
            raise InputError("tokens whose number depends on the image")
        return audit_objects(vlm, *rest)

    monkeypatch.setattr(study_module, "audit_objects", audit)
    study = InterfaceComparison(exact, SAMPLES[:2], others=(queries,), max_objects=0)
    done = study.run(tmp_path / "run")
    assert [why for _, why in done.errors()] == ["tokens whose number depends on the image"] * 2
    assert done.failures() == []
    assert {row["interface"] for row in done.summary().to_pylist()} == {"projector"}


def test_bad_input_is_one_clear_line(exact: VLM, queries: VLM) -> None:
    for samples, match in (
        (rs.data.squares(3), "which can be drawn again without an object"),
        (list(SAMPLES), "which can be drawn again without an object"),
        (Scenes(3, seed=24100018, options=VARIED), "choose another with --data-seed"),
    ):
        with pytest.raises(InputError, match=match):
            InterfaceComparison(exact, samples)
    with pytest.raises(InputError, match=r"expected different interfaces, got .*projector twice"):
        InterfaceComparison(exact, SAMPLES, others=(queries, exact))
    with pytest.raises(InputError, match="token_share"):
        InterfaceComparison(exact, SAMPLES, token_share=0.7)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("qformer", "pocket", "./qformer"), ("interface:qformer", "pocket", "./qformer")),
        (NAMES, tuple(f"interface:{name}" for name in NAMES)),
    ],
)
def test_bare_names_are_interfaces(given: Sequence[str], expected: Sequence[str]) -> None:
    options = InterfacesOptions(interfaces=tuple(given))
    options.check()
    first, rest = options.resolved("")
    assert (first, *rest.interfaces) == tuple(expected)
    assert {*NAMES} == {*INTERFACES}
    assert [f"interface:{name}" for name in USUAL] == list(packaged_names())


@pytest.mark.parametrize("given", [(), ("scl", "scl"), ("scl", "interface:scl")])
def test_interfaces_to_compare_are_different_ones(given: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="expected one or more different interfaces"):
        InterfacesOptions(interfaces=given).check()


def test_pairs_are_over_the_same_questions() -> None:
    rows = pl.DataFrame(
        [
            {"sample": f"s{s}", "item": i, "interface": name, "measure": "color", "size": size}
            | {"score": float(name == "a" or (s + i) % 2 == 0)}
            for s in range(8)
            for i, size in ((0, "small"), (1, "large"))
            for name in ("a", "b")
            if (name, s) != ("b", 7)
        ]
    )
    found = {record["size"]: record for record in pairs(rows)}
    assert found["all"]["n"] == 14
    assert found["all"]["a_share"] == 1.0
    assert found["all"]["difference"] == pytest.approx(0.5)
    assert found["all"]["difference_p"] == found["all"]["difference_p_corrected"] < 0.05
    assert found["small"]["n_samples"] == 7


def test_the_layer_is_chosen_on_other_images() -> None:
    """Every image has its own best layer by chance: on the others it is no better."""
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        [
            {"sample": f"s{s}", "item": 0, "interface": "a", "word": "name", "token_set": source}
            | {"top1": (rng.random(9) < (chance if source == "changed" else 0.1)).astype(float)}
            | {"reciprocal": np.full(9, 0.5)}
            for s in range(40)
            for source, chance in (("changed", np.eye(9)[6] * 0.9 + 0.1), ("random", None))
        ]
    ).with_columns(pl.col("top1", "reciprocal").cast(pl.List(pl.Float64)))
    found = {record["measure"]: record for record in best_words(rows)}
    assert found["top1"]["chosen"] == "6"
    assert found["top1"]["value"] == 1.0
    assert found["top1"]["control"] < 0.3
    assert found["top1"]["difference_p"] < 0.01
    assert found["reciprocal"]["difference"] == 0


def test_an_edit_in_words() -> None:
    assert condition({"edit": "ablation", "token_set": "changed"}) == (
        "really changed tokens replaced"
    )
    cut = {"window": "all", "first_layer": 0, "last_layer": 3}
    assert condition({"edit": "knockout", "token_set": "visual", **cut}) == (
        "all visual tokens to last, all"
    )
