"""The packaged parts that all interfaces share."""

from __future__ import annotations

import pytest
import torch

import retinoscope as rs
from retinoscope.interfaces import WEIGHTS, interface_tokenizer, open_decoder, open_towers, packaged
from retinoscope.recipes.interfaces import ask_in_words


def test_the_towers_know_what_their_gate_asks() -> None:
    towers = open_towers(WEIGHTS)
    gate = towers.facts["gate"]
    value, low, high = gate["probes"]["kinds"]["towers"]["contrastive"]
    assert low <= value <= high
    assert gate["kinds_known"] == (value >= 0.8)
    assert "quadrants" in gate["mae_better_in"]
    assert not any(p.requires_grad for m in towers.modules.values() for p in m.parameters())


def test_the_language_model_answers_about_scenes_in_words() -> None:
    decoder = open_decoder(WEIGHTS / "decoder")
    assert decoder.config.vocab_size == len(interface_tokenizer())
    right = dict(ask_in_words(decoder, 30, 16).select("kind", "right").iter_rows())
    assert right["color"] > 0.9
    assert right["kind"] > 0.9
    assert right["polling"] > 0.9


def test_they_are_small() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file()) < 25e6


def test_an_interface_that_is_not_packaged_is_refused_in_one_line() -> None:
    with pytest.raises(rs.InputError, match=r"expected an interface of .*, got 'interface:none'"):
        rs.load("interface:none")
    with pytest.raises(rs.InputError, match="train it with `retinoscope train interface`"):
        packaged("none")


def test_weights_are_stored_in_half_precision() -> None:
    decoder = open_decoder(WEIGHTS / "decoder")
    for parameter in decoder.parameters():
        assert torch.equal(parameter, parameter.half().float())
