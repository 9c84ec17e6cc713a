"""Every benchmark runs, in seconds, and its two ways agree; no test looks at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import (
    ablations,
    contextual,
    differences,
    fitted_lenses,
    knockouts,
    overhead,
    peers,
    peers_lenses,
    reading,
)
from benchmarks._effects import Bench
from retinoscope.reproduce import differences_of
from retinoscope.reproduce._measured import MEASURES

SMALL = ("--size", "small", "--repeats", "1", "--threads", "1")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _result(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text("utf-8"))
    assert result["size"] == "small"
    assert {"cpu", "cores", "threads", "device", "dtype", "torch"} <= result["machine"].keys()
    assert result["command"].startswith(f"python -m benchmarks.{result['benchmark']} ")
    for case in result["cases"]:
        for timing in case["timings"].values():
            assert 0 < timing["min"] <= timing["median"] <= timing["max"]
            assert timing["measured"] <= timing["units"]
            assert len(timing["aside"]) == len(timing["seconds"]) >= timing["measured"]
        for measure in case["measures"]:
            assert math.isfinite(measure["value"])
    return result


def _limited(limit: Mapping[str, Any]) -> None:
    assert limit["token_layers_fewest"] <= limit["token_layers_computed"]
    assert limit["token_layers_computed"] < limit["token_layers_of_full_passes"]


def test_knockouts(tmp_path: Path) -> None:
    result = _result(knockouts.main([*SMALL, "--out", str(tmp_path)]))
    paper, single = result["cases"]
    assert paper["timings"]["full passes"]["units"] == 36
    assert single["timings"]["full passes"]["units"] == 8 * 6
    for case in (paper, single):
        same = case["equality"]
        assert same["max_relative_difference"] <= 1e-4
        assert same["same_argmax"] == same["rows"]
        assert same["largest_effect"] > 1e-2
        _limited(case["limit"])


def test_ablations(tmp_path: Path) -> None:
    first, generated = _result(ablations.main([*SMALL, "--out", str(tmp_path)]))["cases"]
    assert first["timings"]["full passes"]["units"] == 54
    assert first["equality"]["max_relative_difference"] <= 1e-4
    assert first["equality"]["largest_effect"] > 1e-2
    assert generated["timings"]["calls of generate"]["units"] == 54
    assert generated["equality"]["same_texts"] == generated["equality"]["rows"] > 0
    _limited(first["limit"])
    _limited(generated["limit"])


def test_contextual(tmp_path: Path) -> None:
    (case,) = _result(contextual.main([*SMALL, "--out", str(tmp_path), "--entries", "1000"]))[
        "cases"
    ]
    # The index is float16, and both sides read it from there.
    assert case["equality"]["max_difference"] <= 1e-5
    assert case["limit"]["bytes_of_index_on_disk"] == 2 * 1000 * 64


@pytest.mark.filterwarnings("ignore::retinoscope.errors.UnknownWordsWarning")
def test_overhead(tmp_path: Path) -> None:
    result = _result(overhead.main([*SMALL, "--out", str(tmp_path)]))
    names = [case["name"].split()[1] for case in result["cases"]]
    assert names == [*overhead.STUDIES, *overhead.BRIEF]
    for case in result["cases"]:
        whole, model = case["timings"]["the study"], case["timings"]["inside the model"]
        assert 0 < model["median"] < whole["median"]
        share = case["measures"][0]["value"]
        assert share == pytest.approx(100 * (1 - model["median"] / whole["median"]))
    shares = list(result["breakdown"].values())
    assert all(sum(one.values()) == pytest.approx(1, abs=0.01) for one in shares)
    # The shortest studies are over before a sample falls into the model.
    assert shares[0]["model"] > 0


@pytest.mark.filterwarnings("ignore::retinoscope.errors.UnknownWordsWarning")
def test_fitted_lenses(tmp_path: Path) -> None:
    fit, read, kinds = _result(fitted_lenses.main([*SMALL, "--out", str(tmp_path)]))["cases"]
    assert list(fit["timings"]) == [fitted_lenses.FIT, fitted_lenses.PASSES]
    assert fit["equality"]["max_difference"] < 1e-4
    assert len(read["timings"]) == 4
    for case in (fit, read):
        assert all(one["at_most"] in (1.3, 1.5) for one in case["measures"])
    assert len(kinds["timings"]) == 6


def test_a_peer_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(peers, "import_module", missing)
    result = _result(peers.main([*SMALL, "--out", str(tmp_path)]))
    assert result["errors"] == {
        "nnsight": "ModuleNotFoundError: No module named 'nnsight'",
        "transformer-lens": "ModuleNotFoundError: No module named 'transformer_lens.model_bridge'",
    }
    assert [list(case["timings"]) for case in result["cases"]] == [[peers.ENGINE]] * 2


def test_a_peer_of_lenses_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(peers_lenses, "import_module", missing)
    result = _result(peers_lenses.main([*SMALL, "--out", str(tmp_path)]))
    assert result["cases"] == []
    assert list(result["errors"]) == ["transformer-lens", "tuned-lens"]


def test_a_machine_without_a_gpu_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit) as ended:
        knockouts.main(["--size", "7b"])
    assert ended.value.code == 2
    assert "--size 135m" in capsys.readouterr().err


def test_single_differences_are_measured_again_as_they_are_told() -> None:
    told = {one.what: one.on_small_models for one in differences_of(None)}
    assert set(differences.EFFECTS) | set(MEASURES) <= set(told)
    bench = Bench(2)
    for name in (
        "Caption: when an object counts as named",
        "Curation: the area",
        "Curation: an object without a patch",
        "Curation: what the hallucination filter replaces",
        "Which tokens are the object's",
    ):
        assert differences.EFFECTS[name](bench) == told[name]
    assert "0.000 against" in differences.EFFECTS["Knockout: the mask"](bench)
    paper, corrected = _numbers(differences.EFFECTS["Knockout: towards the last row"](bench))
    assert paper > corrected > 0


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split() if part.replace(".", "").isdigit()]


def test_reading(tmp_path: Path) -> None:
    result = _result(reading.main([*SMALL, "--out", str(tmp_path)]))
    (case,) = result["cases"]
    assert len(case["timings"]) == 2
    assert set(result["model"]) == {"reader", "language model"}
