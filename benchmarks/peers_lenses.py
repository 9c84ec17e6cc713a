"""Fitted lenses of TransformerLens and tuned-lens: the same fits, readouts and files, and times.

Both are installed in an environment of their own: `make bench-peers`. The decoder is the
benchmarks' with few blocks, as a text model; see `fitted_lenses`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

import retinoscope as rs
from retinoscope.lens import Jacobian, JacobianFit, LinearLens, Tuned, load

from ._bench import Case, Measure, Options, Way, alternate, options_for, write_result
from .fitted_lenses import SKIP, few_blocks, random_lens, text_of
from .peers import bridge_of, decoder_of

ROWS = 8
"""Output dimensions per backward pass: TransformerLens's default, and ours on a CPU."""

READ = range(100, 116)
"""Positions whose logits are compared."""

OURS, THEIRS = "retinoscope", "transformer-lens"
SMALLEST = 1e-5
"""Largest difference that counts as rounding, relative to the largest number; float32."""


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result.

    A peer that is not installed, or fails, is named with its error in the result.
    """
    options = options_for(__doc__ or "", "peers_lenses", argv, repeats=3)
    setup = few_blocks(options)
    vlm, decoder = setup.vlm(), decoder_of(setup)
    checks: dict[str, Callable[[], Case]] = {
        THEIRS: lambda: _jacobian_case(options, vlm, decoder),
        "tuned-lens": lambda: _tuned_case(vlm, decoder),
    }
    cases: list[Case] = []
    errors: dict[str, str] = {}
    for name, check in checks.items():
        try:
            cases.append(check())
        except Exception as error:
            # Whatever a peer raises belongs on the page.
            errors[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    found = {name: version(name) for name in checks if name not in errors}
    model = {
        **setup.facts,
        "positions": len(vlm.prompt(None, text_of(vlm), raw=True).inputs.input_ids),
    }
    return write_result(options, cases=cases, model=model, peers=found, errors=errors)


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest number.

    Raises:
        ValueError: more than rounding.
    """
    found, wanted = found.double().cpu(), wanted.double().cpu()
    difference = float((found - wanted).abs().max() / wanted.abs().max())
    if not difference <= SMALLEST:
        raise ValueError(f"results differ by {difference:.1e} of the largest number")
    return difference


def _jacobian_case(options: Options, vlm: rs.VLM, decoder: LlamaForCausalLM) -> Case:
    """Fit, readout, and a file in either direction."""
    theirs = import_module("transformer_lens.tools.analysis").JacobianLens
    bridge = bridge_of(decoder, vlm.tokenizer, vlm.device)
    text = text_of(vlm)
    run = vlm.run(vlm.prompt(None, text, raw=True))
    ids = bridge.to_tokens(text)
    if ids[0].tolist() != run.inputs.input_ids.tolist():
        raise ValueError("the two read other tokens")

    def ours(_: int = 0) -> Jacobian:
        fit = JacobianFit(vlm.adapter, skip_first=SKIP, dim_batch=ROWS)
        fit.add(vlm.run(vlm.prompt(None, text, raw=True)))
        return fit.lens()

    def fitted(_: int = 0) -> Any:
        return theirs.fit(bridge, [text], corpus="b", dim_batch=ROWS, show_progress=False)

    lens, peer = ours(), fitted()
    same = {"max_difference, matrices": _matrices(lens, peer)}
    same["max_difference, logits"] = _logits(run, lens, peer, bridge, ids)
    with tempfile.TemporaryDirectory() as folder:
        read = theirs.load(str(lens.save(Path(folder) / "ours.pt"))).validate_model(bridge)
        same["max_difference, matrices in our file"] = _matrices(lens, read)
        peer.save(f"{folder}/theirs.pt", dtype=torch.float32)
        again = load(f"{folder}/theirs.pt", vlm)
        assert isinstance(again, LinearLens)
        same["max_difference, matrices in their file"] = _matrices(again, peer)
    timings = alternate({OURS: Way(ours), THEIRS: Way(fitted)}, options, warm=False)
    blocks = {OURS: vlm.n_layers, THEIRS: vlm.n_layers - 1}
    each = {name: timings[name].total / n for name, n in blocks.items()}
    return Case(
        f"fit of a Jacobian lens, {vlm.n_layers} blocks",
        timings,
        [Measure(f"times faster than {THEIRS}, per block", each[THEIRS] / each[OURS])],
        same,
        notes=[
            f"{THEIRS} begins at the output of the first block, so its backward passes go through "
            f"{blocks[THEIRS]} of {blocks[OURS]} blocks; ours go on to the decoder's input."
        ],
    )


def _matrices(lens: LinearLens, peer: Any) -> float:
    """How far the matrices lie apart; a peer's layer is the output of a block."""
    if {layer + 1 for layer in peer.jacobians} != set(lens.matrices) - {0}:
        raise ValueError("the two have other layers")
    return max(apart(lens.matrices[layer + 1], one) for layer, one in peer.jacobians.items())


def _logits(run: rs.Run, lens: LinearLens, peer: Any, bridge: Any, ids: Tensor) -> float:
    """How far the logits of the readouts lie apart, at all layers that both read."""
    read = peer.readout(bridge, ids, positions=list(READ), return_full_logits=True)
    ours = run.lens(kind=lens, positions=READ, layers=range(1, run.vlm.n_layers + 1))
    found = ours.logits(range(run.vlm.vocab_size)).permute(1, 2, 0)
    wanted = torch.stack([read.lens_logits[layer] for layer in range(run.vlm.n_layers)])
    return apart(found, wanted)


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Makes a module look as if it were not installed."""
    found = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if found is not None:
            sys.modules[name] = found


def _tuned_case(vlm: rs.VLM, decoder: LlamaForCausalLM) -> Case:
    """Weights in tuned-lens's format: the same states and logits."""
    with hidden("transformer_lens"):
        # It asks it for a class that 4.0 removed, unless it is not installed.
        nn = import_module("tuned_lens.nn.lenses")
    lens = random_lens(Tuned, vlm)
    run = vlm.run(vlm.prompt(None, text_of(vlm), raw=True))
    with tempfile.TemporaryDirectory() as folder:
        lens.save(f"{folder}/lens")
        unembed = import_module("tuned_lens.nn.unembed").Unembed(decoder)
        peer = nn.TunedLens.from_unembed_and_pretrained(unembed, f"{folder}/lens")
        again = load(f"{folder}/lens", vlm)
    assert isinstance(again, Tuned)
    states = {layer: run.hidden(layer, READ) for layer in range(vlm.n_layers)}
    same: dict[str, float] = {}
    with torch.no_grad():
        carried = torch.stack([again.carried(vlm.adapter, n, one) for n, one in states.items()])
        wanted = torch.stack([peer.transform_hidden(one, n) for n, one in states.items()])
        same["max_difference, states"] = apart(carried, wanted)
        found = vlm.adapter.read_out(carried)
        logits = torch.stack([peer(one, n) for n, one in states.items()])
        same["max_difference, logits"] = apart(found, logits)
    return Case("weights of tuned-lens", {}, [], same)


if __name__ == "__main__":
    main()
