"""Rows name the weights that made them: a study ends when its model changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import retinoscope as rs
from retinoscope.errors import StudyError
from retinoscope.store import read_manifest


@torch.no_grad()
def test_an_edit_while_a_study_runs_writes_no_row(tmp_path: Path) -> None:
    vlm = rs.load("pocket")
    study = rs.studies.LogitLens(vlm, rs.data.scenes(3, seed=5), untrained=False, n_examples=0)
    weight = vlm.adapter.decoder.layers[2].mlp.down_proj.weight
    kept = weight.clone()
    whole = study.run(tmp_path / "whole")

    def edits(done: int, total: int, what: str) -> None:
        if done == 1:
            weight.data[:, 1::2] = 0

    with pytest.raises(StudyError, match="weights or modules changed while the study ran"):
        study.run(tmp_path / "run", progress=edits)
    # Other weights are another run, also where only some neurons differ.
    with pytest.raises(rs.InputError, match=r"model"):
        study.run(tmp_path / "run")
    weight.copy_(kept)
    seen: list[str] = []
    results = study.run(tmp_path / "run", progress=lambda done, total, what: seen.append(what))
    assert seen[0] == "1 were finished before"
    assert results.table.equals(whole.table)
    assert read_manifest(tmp_path / "run")["threads"] == torch.get_num_threads()


def test_a_model_in_training_mode_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    vlm = rs.load("pocket")
    vlm.model.train()
    study = rs.studies.LogitLens(vlm, rs.data.scenes(1, seed=5), untrained=False)
    with pytest.raises(rs.InputError, match="evaluation mode"):
        study.run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@torch.no_grad()
def test_features_are_those_of_the_weights(tmp_path: Path) -> None:
    """An encoder's fingerprint follows its weights, and a call in which they change keeps none."""
    encoder = rs.encoders.load("small:contrastive-max")
    scenes = rs.data.scenes(2, seed=5)
    before = encoder.fingerprint
    first = rs.encoders.cached_features(encoder, scenes, ["vision.1"], tmp_path)
    weight = next(p for p in encoder.modules[0].parameters() if p.ndim == 2)
    weight.data[0] += 1
    assert encoder.fingerprint != before
    second = rs.encoders.cached_features(encoder, scenes, ["vision.1"], tmp_path)
    assert (first.layer("vision.1")[0] != second.layer("vision.1")[0]).any()

    def edits(done: int, total: int) -> None:
        weight.data[0] += 1

    with pytest.raises(rs.InputError, match="changed while its features were computed"):
        rs.encoders.cached_features(encoder, scenes, ["vision.1"], tmp_path, progress=edits)
    encoder.modules[0].train()
    with pytest.raises(rs.InputError, match="evaluation mode"):
        encoder.features(scenes[0].image)
