"""Numbers and choices that cannot be are refused by one line, where they are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float

import retinoscope as rs
from retinoscope import arguments, grouping, saliency, stats
from retinoscope.cli import main
from retinoscope.collect import CollectionOptions
from retinoscope.curation import Area, AtMost, Curation, First, Hallucination
from retinoscope.encoders._two_tower import checked_texts
from retinoscope.gaze import observe
from retinoscope.memory import budget
from retinoscope.reproduce import ReproductionPlan
from retinoscope.saliency._common import layers_in
from retinoscope.sources import open_source
from retinoscope.stats import maps
from retinoscope.studies import (
    AttentionAlignment,
    AttentionKnockout,
    InformationFlow,
    LogitLens,
    Probe,
    TokenAblation,
    sample_fingerprint,
    sliding_windows,
)
from retinoscope.tokens import spread

NOT_SEEDS = (-1, 1.5, True, "1", None)
VALUES = np.linspace(0, 1, 6)
BOXES = np.array([[0.0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4]])
SEEDED: dict[str, Callable[[Any], object]] = {
    "scenes": lambda seed: rs.data.scenes(2, seed),
    "squares": lambda seed: rs.data.squares(2, seed),
    "grounded": lambda seed: rs.data.grounded(2, seed),
    "simulated": lambda seed: rs.gaze.simulated(2, seed),
    "open": lambda seed: open_source("scenes:2", seed),
    "observe": lambda seed: observe(rs.data.scenes(1)[0], 0, seed),
    "noise": rs.fill.noise,
    "paired": lambda seed: stats.paired_difference(VALUES, VALUES[::-1], seed=seed),
    "paired, many": lambda seed: stats.paired_difference(np.arange(40.0), np.zeros(40), seed=seed),
    "rank": lambda seed: saliency.rank_correlation(VALUES, VALUES, seed=seed),
    "group": lambda seed: grouping.group(np.eye(6), n_groups=2, seed=seed),
    "random groups": lambda seed: grouping.random_groups(6, 2, seed),
    "voronoi": lambda seed: grouping.voronoi_groups(BOXES, 2, seed),
    "shuffled": lambda seed: grouping.shuffled(4, seed),
    "plan": lambda seed: ReproductionPlan(seed=seed),
    "hallucination": lambda seed: Hallucination(seed=seed),
    "probe": lambda seed: Probe(None, (), seed=seed),
}
REFUSED: dict[str, Callable[[], object]] = {
    "scenes": lambda: rs.data.scenes(-1),
    "scenes, float": lambda: rs.data.scenes(2.5),  # type: ignore[arg-type]
    "scenes, start": lambda: rs.data.scenes(2, start=-1),
    "squares": lambda: rs.data.squares(True),
    "observers": lambda: rs.gaze.simulated(2, observers=1.5),  # type: ignore[arg-type]
    "resamples": lambda: saliency.rank_correlation(VALUES, VALUES, n_resamples=0),
    "draws": lambda: stats.paired_difference(VALUES, -VALUES, n_resamples=-5),
    "groups": lambda: grouping.group(np.eye(6), n_groups=2.0),  # type: ignore[arg-type]
    "grouping": lambda: grouping.group(np.eye(6), "pcs"),  # type: ignore[arg-type]
    "resize": lambda: maps.ncc(np.eye(4), np.eye(4), resize="cubic"),  # type: ignore[arg-type]
    "mode": lambda: spread(np.ones((1, 3)), BOXES, (4, 4), mode="xx"),  # type: ignore[arg-type]
    "plan, mode": lambda: ReproductionPlan(mode="papers"),  # type: ignore[arg-type]
    "plan, steps": lambda: ReproductionPlan(gradient_steps=1),
    "plan, sizes": lambda: ReproductionPlan(sizes=(5, 0)),
    "fill": lambda: Hallucination(fill="gray"),  # type: ignore[arg-type]
    "limit": lambda: Curation(None, (), (), limit=0),
    "precision": lambda: Probe(None, (), precision="bfloat16"),  # type: ignore[arg-type]
    "seeds": lambda: Probe(None, (), seeds=0),
    "task": lambda: CollectionOptions(task="write"),  # type: ignore[arg-type]
    "images": lambda: CollectionOptions(per_session=0),
    "area": lambda: Area("1", None),  # type: ignore[arg-type]
    "annotations": lambda: AtMost("3"),  # type: ignore[arg-type]
    "objects": lambda: First(1.5),  # type: ignore[arg-type]
    "failures": lambda: LogitLens(None, (), max_failures="a"),
    "failures, share": lambda: LogitLens(None, (), max_failures=float("nan")),
    "model": lambda: LogitLens(None, ()).run("nowhere"),
    "sample": lambda: sample_fingerprint(SAMPLE.image),
    "depth": lambda: sliding_windows("8", 3),  # type: ignore[arg-type]
    "layer": lambda: layers_in(1.5, 3, "blocks"),  # type: ignore[arg-type]
}
WRONG_TYPES: dict[str, Callable[[], object]] = {
    "wilson": lambda: stats.wilson("a", 3),  # type: ignore[arg-type]
    "wilson, share": lambda: stats.wilson(0.5, 3),  # type: ignore[arg-type]
    "h": lambda: stats.cohens_h("a", 0.5),  # type: ignore[arg-type]
    "holm": lambda: stats.holm("a"),
    "holm, members": lambda: stats.holm(["a"]),  # type: ignore[list-item]
    "level": lambda: stats.simultaneous_level(1.5),  # type: ignore[arg-type]
    "halves": lambda: stats.half_of("abc"),
    "mean": lambda: stats.cluster_mean(3),  # type: ignore[arg-type]
    "images": lambda: stats.cluster_mean(VALUES, 3),  # type: ignore[arg-type]
    "map": lambda: maps.otsu("a"),  # type: ignore[arg-type]
    "truthy": lambda: maps.nss(np.eye(4), np.eye(4) > 0, repeats="yes"),  # type: ignore[arg-type]
    "features": lambda: grouping.group("a"),  # type: ignore[arg-type]
    "one feature": lambda: grouping.group(np.ones(3)),
    "scores": lambda: grouping.classify("ab"),  # type: ignore[arg-type]
    "space": lambda: grouping.text_scores(3, np.eye(3)),  # type: ignore[arg-type]
    "cells": lambda: grouping.instance_cells(3, np.eye(3), 3),  # type: ignore[arg-type]
    "names": lambda: grouping.prompts_for(["a", 3]),  # type: ignore[list-item]
    "ranks": lambda: saliency.rank_correlation("ab", "cd"),  # type: ignore[arg-type]
    "tokens": lambda: rs.tokens.token_map(SAMPLE, 3),  # type: ignore[arg-type]
    "size": lambda: rs.tokens.token_map(BOXES, 3),  # type: ignore[arg-type]
    "three sizes": lambda: rs.tokens.token_map(BOXES, (4, 4, 4)),  # type: ignore[arg-type]
    "object": lambda: rs.answers.matching.names_object("a car", 3),  # type: ignore[arg-type]
    "text": lambda: rs.answers.matching.names_object(None, "car"),  # type: ignore[arg-type]
    "world": lambda: rs.pocket.world_of(3),  # type: ignore[arg-type]
    "windows": lambda: sliding_windows(4, "2"),  # type: ignore[arg-type]
    "sample's labels": lambda: rs.data.label_map(3, ["car"]),  # type: ignore[arg-type]
    **{
        f"index of {name}": lambda made=made: made["a"]
        for name, made in (
            ("scenes", rs.data.scenes(2)),
            ("squares", rs.data.squares(2)),
            ("grounds", rs.data.grounded(2)),
            ("observed", rs.gaze.simulated(2)),
        )
    },
    "memory": lambda: budget(1.5, torch.device("cpu")),  # type: ignore[arg-type]
    "memory, true": lambda: budget(True, torch.device("cpu")),
    "flag": lambda: LogitLens(None, (), untrained="no"),  # type: ignore[arg-type]
    "flag of a plan": lambda: Probe(None, (), controls=1),  # type: ignore[arg-type]
    "count": lambda: TokenAblation(None, (), caption_tokens="9"),  # type: ignore[arg-type]
    "share": lambda: AttentionKnockout(None, (), min_cover="a"),  # type: ignore[arg-type]
    "prompts": lambda: TokenAblation(None, (), prompts="a"),  # type: ignore[arg-type]
}
SAMPLE = rs.data.scenes(1)[0]
NO_LISTS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "samples": ("samples", lambda wrong: LogitLens(None, wrong)),
    "samples of a probe": ("samples", lambda wrong: Probe(None, wrong)),
    "samples to curate": ("samples", lambda wrong: Curation(None, wrong, ())),
    "samples to export": ("samples", lambda wrong: rs.data.export_coco(wrong, "nowhere")),
    "samples by colour": ("samples", rs.data.by_color),
    "samples with names": ("samples", rs.data.class_names),
    "tasks": ("tasks", lambda wrong: TokenAblation(None, (), tasks=wrong)),
    "targets": ("targets", lambda wrong: AttentionKnockout(None, (), targets=wrong)),
    "layers": ("layers", lambda wrong: InformationFlow(None, (), layers=wrong)),
    "methods": ("methods", lambda wrong: AttentionAlignment(None, (), methods=wrong)),
    "probe, tasks": ("tasks", lambda wrong: Probe(None, (), tasks=wrong)),
    "probe, classes": ("classes", lambda wrong: Probe(None, (), classes=wrong)),
    "filters": ("filters", lambda wrong: Curation(None, (), wrong)),
    "names of methods": ("names", saliency.methods_named),
    "names of things": ("names", grouping.prompts_for),
    "texts": ("texts", checked_texts),
    "classes": ("classes", lambda wrong: rs.data.label_map(SAMPLE, wrong)),
    "encoders": ("names", lambda wrong: rs.encoders.check_unseen(wrong, ())),
}
PATHS: dict[str, Callable[[Any], object]] = {
    **{
        f"{room.__name__} {name}": getattr(room, name)
        for room, names in (
            (rs.data, ("ade20k", "coco", "folder", "table", "voc")),
            (rs.gaze, ("collected", "folder", "vista")),
        )
        for name in names
    },
    "visual_genome": rs.data.visual_genome,
    "export": lambda wrong: rs.data.export_coco((), wrong),
    "encoder": rs.encoders.load,
    "two towers": rs.encoders.load_contrastive,
    "matcher": rs.encoders.load_matching,
    "source": open_source,
    "results": rs.studies.open_results,
    "rows": rs.store.read_results,
    "scan": rs.store.scan_results,
    "run": lambda wrong: LogitLens(None, ()).run(wrong),
}
FLAGS = {
    "demo": ("--seed -1", "--scenes 0"),
    "check lens": ("--seed -1", "--images 0"),
    "probe pocket scenes:4": ("--seed -1", "--seeds 0", "--limit 0", "--locations 5"),
    "group pocket scenes:4": ("--seed -1", "--limit 0", "--n-groups 0", "--workers 0"),
    "curate pocket scenes:4": ("--seed -1", "--limit 0", "--first 0", "--data-seed -1"),
    "reproduce neo2024 pocket scenes:4": ("--seed -1", "--limit 0", "--gradient-steps 1"),
    "collect scenes:4": ("--per-session 0",),
    "train smol --work W": ("--seed -1", "--steps 0", "--scale nan", "--held-out 0"),
    "train pocket --work W": ("--scale inf",),
    "train encoders --work W": ("--seeds 0", "--processes 0"),
}


@pytest.mark.parametrize("seed", NOT_SEEDS, ids=map(repr, NOT_SEEDS))
@pytest.mark.parametrize("name", SEEDED)
def test_what_is_no_seed(name: str, seed: Any) -> None:
    with pytest.raises(rs.InputError, match="seed"):
        SEEDED[name](seed)


@pytest.mark.parametrize("name", SEEDED)
def test_numpys_numbers_are_seeds(name: str) -> None:
    SEEDED[name](np.int64(3))


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_function_takes(name: str) -> None:
    with pytest.raises(rs.InputError, match="expected") as caught:
        REFUSED[name]()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_what_is_of_another_type(name: str) -> None:
    with pytest.raises(rs.InputError, match="expected") as caught:
        WRONG_TYPES[name]()
    assert "\n" not in str(caught.value)


def test_a_prompt_is_raw_or_not(tiny: rs.VLM) -> None:
    with pytest.raises(rs.InputError, match="raw as True or False, got 'yes'"):
        tiny.prompt(SAMPLE.image, "Is there a cat?", raw="yes")  # type: ignore[arg-type]


def test_an_index_outside_ends_a_loop_as_pythons_own_sequences_do() -> None:
    made = rs.data.scenes(2)
    assert made[np.int64(-1)].id == made[1].id
    with pytest.raises(IndexError, match="scene 2 of 2"):
        made[2]


def test_checked_functions_get_arrays_and_keep_their_defaults() -> None:
    @arguments.checked
    def mean(
        values: Float[np.ndarray, " item"], weight: float = 1, *names: str, **more: object
    ) -> float:
        assert isinstance(values, np.ndarray)
        return float(values.mean()) * weight

    assert mean([1, 2]) == 1.5  # type: ignore[arg-type]
    assert mean(np.array([1, 2]), 2.0, "a", other=3) == 3.0
    for wrong in ([[1]], ["a"], None):
        with pytest.raises(rs.InputError, match=r"values as an array of numbers \(item\)"):
            mean(wrong)  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="weight"):
        mean([1], True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", ["car", SAMPLE, {"car": 1}, {"car"}], ids=lambda one: str(type(one))
)
@pytest.mark.parametrize("name", NO_LISTS)
def test_one_thing_is_no_list(
    name: str, wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A str above all, whose letters would be its members."""
    monkeypatch.chdir(tmp_path)
    what, call = NO_LISTS[name]
    with pytest.raises(rs.InputError, match=what) as caught:
        call(wrong)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [3, None, ["a"], b"a"], ids=repr)
@pytest.mark.parametrize("name", PATHS)
def test_what_is_no_path(name: str, wrong: Any) -> None:
    with pytest.raises(rs.InputError, match="expected") as caught:
        PATHS[name](wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["pocket", Path("pocket"), rs.data.scenes(1)], ids=repr)
def test_a_study_takes_a_loaded_model(wrong: Any) -> None:
    with pytest.raises(rs.InputError, match=r"retinoscope\.load"):
        LogitLens(wrong, ())


@pytest.mark.parametrize(
    ("command", "flag"), [(name, flag) for name, flags in FLAGS.items() for flag in flags]
)
def test_options_are_refused_by_name_before_anything_is_opened(
    command: str,
    flag: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    out = () if command.startswith("check") else ("--out", "out")
    assert main([*command.split(), *flag.split(), *out]) == 2
    told = capsys.readouterr().err.strip()
    assert flag.split()[0] in told
    assert "\n" not in told
    assert not list(tmp_path.iterdir())


def test_choices() -> None:
    assert arguments.one_of("a", ("a", "b"), "x") == "a"
    with pytest.raises(rs.InputError, match="'a', 'b' as x, got 3"):
        arguments.one_of(3, ("a", "b"), "x")
