"""Fitting a Jacobian lens against its backward passes alone, and readouts against the logit lens's.

Also what each kind of lens costs on the packaged default model.

Of the large decoder on its first 2 blocks, and a fit on one text of 128 tokens: all ways take time
in proportion to blocks and prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor

import retinoscope as rs
from retinoscope.answers.tasks import DESCRIBE_LENS
from retinoscope.lens import (
    NAMED,
    Card,
    Contextual,
    Jacobian,
    JacobianFit,
    Kind,
    LinearLens,
    Tuned,
)
from retinoscope.lens._jacobian import _ROWS, _graph
from retinoscope.recipes.lenses import fit
from retinoscope.tokens import fixed_prefix, frozen

from ._bench import TOLERANCE, Case, Measure, Options, Way, alternate, options_for, write_result
from ._models import QUESTIONS, SHAPES, Setup, make_setup

BLOCKS, LENGTH, SKIP = 2, 128, 16
FIT, PASSES = "fit of one prompt", "its backward passes alone"
LOGIT, PRODUCTS = "logit lens", "the products that a map adds"
LOGIT_KIND = "logit"
CAPTIONS = 64
"""Scenes whose captions the contextual lens has read."""


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "fitted_lenses", argv, repeats=3)
    setup = few_blocks(options)
    cases = [_fit_case(options, setup), _readout_case(options, setup), _kinds_case(options)]
    return write_result(options, cases=cases, model=setup.facts)


def few_blocks(options: Options) -> Setup:
    """The same model with few blocks."""
    shape = SHAPES[options.size]
    return make_setup(options, shape=replace(shape, layers=min(shape.layers, BLOCKS)))


def text_of(vlm: rs.VLM) -> str:
    """A text of `LENGTH` tokens, of which the first begins the sequence."""
    draw = torch.randint(100, vlm.vocab_size, (LENGTH - 1,), generator=torch.manual_seed(1))
    return " ".join(f"word{int(word)}" for word in draw)


def backward_passes(run: rs.Run) -> Callable[[int], Tensor]:
    """One backward pass to the decoder's input per block of output dimensions, and nothing else.

    What precedes the sources takes no part, as in the fit.
    """
    model, width = run.vlm.model, run.vlm.d_model
    prefix = fixed_prefix(run, SKIP)
    assert prefix is not None
    with frozen(model), torch.enable_grad():
        states, final = _graph(run, _ROWS, prefix)
    cotangent = torch.zeros_like(final)
    rows = torch.arange(_ROWS, device=final.device)
    cotangent[rows, :-1, rows] = 1

    def passes(_: int) -> Tensor:
        found = final
        for _ in range(0, width, _ROWS):
            (found,) = torch.autograd.grad(final, states[:1], cotangent, retain_graph=True)
        return found

    return passes


def _fit_case(options: Options, setup: Setup) -> Case:
    vlm = setup.vlm()
    run = vlm.run(vlm.prompt(None, text_of(vlm), raw=True))

    def fitted(_: int = 0) -> JacobianFit:
        done = JacobianFit(vlm.adapter, skip_first=SKIP, dim_batch=_ROWS)
        done.add(run)
        return done

    passes = backward_passes(run)
    rows = passes(0)[:, :-1].mean(1)
    wanted = fitted().sums[0][: len(rows)]
    apart = float((rows - wanted).abs().max())
    assert apart <= TOLERANCE[options.dtype] * float(wanted.abs().max())
    timings = alternate({FIT: Way(fitted), PASSES: Way(passes)}, options, warm=False)
    ratio = timings[FIT].total / timings[PASSES].total
    return Case(
        f"fit of a Jacobian lens, {vlm.n_layers} blocks",
        timings,
        [Measure("times the backward passes alone", ratio, None, 1.5)],
        {"max_difference": apart, "rows": len(rows)},
        notes=[f"{_ROWS} output dimensions per backward pass."],
    )


def _readout_case(options: Options, setup: Setup) -> Case:
    vlm = setup.vlm()
    run = vlm.run(vlm.prompt(setup.image, QUESTIONS[1]))
    places = run.positions["image"]
    lenses = {kind.name: random_lens(kind, vlm) for kind in (Jacobian, Tuned)}

    def read(kind: str | LinearLens) -> Callable[[int], object]:
        return lambda _: run.lens(kind=kind, positions=places)

    @torch.no_grad()
    def products(_: int = 0) -> None:
        for layer, matrix in lenses["jacobian"].matrices.items():
            F.linear(run.hidden(layer, places), matrix.to(vlm.device))

    ways = {LOGIT: Way(read("logit")), PRODUCTS: Way(products)}
    ways |= {f"{name} lens": Way(read(lens)) for name, lens in lenses.items()}
    timings = alternate(ways, options)
    least = timings[LOGIT].total + timings[PRODUCTS].total
    measures = [
        Measure(
            f"{name} lens, times the logit lens and the products",
            timings[f"{name} lens"].total / least,
            None,
            1.3,
        )
        for name in lenses
    ]
    what = f"readout of {vlm.n_layers + 1} layers and {len(places)} visual tokens"
    return Case(what, timings, measures, {})


def _kinds_case(options: Options) -> Case:
    vlm, samples = rs.load("pocket"), rs.data.scenes(CAPTIONS)
    run = vlm.run(vlm.prompt(samples[0].image, DESCRIBE_LENS))
    places = run.positions["image"]
    kinds: dict[str, str | Kind] = {name: name for name in NAMED}
    kinds |= {kind.name: random_lens(kind, vlm) for kind in (Jacobian, Tuned)}

    def read(kind: str | Kind) -> Callable[[int], object]:
        return lambda _: run.lens(kind=kind, positions=places, top_k=1)

    with TemporaryDirectory() as folder:
        contextual = fit("contextual", vlm, samples, out=Path(folder) / "contexts")
        ways = {
            name: Way(read(kind)) for name, kind in (kinds | {"contextual": contextual}).items()
        }
        timings = alternate(ways, options)
    least = timings[LOGIT_KIND].total
    measures = [
        Measure(f"{name}, times the logit lens", timing.total / least)
        for name, timing in timings.items()
        if name != LOGIT_KIND
    ]
    what = f"all kinds on pocket, {vlm.n_layers + 1} layers and {len(places)} visual tokens"
    entries = contextual.contexts.n if isinstance(contextual, Contextual) else 0
    notes = [f"The contextual lens has {entries} entries at each of its text layers."]
    return Case(what, timings, measures, {}, notes=notes)


def random_lens(kind: type[LinearLens], vlm: rs.VLM) -> LinearLens:
    """Maps near the identity."""
    draw, width = torch.Generator().manual_seed(0), vlm.d_model
    layers = tuple(range(vlm.n_layers))
    eye = torch.eye(width)
    known = {
        layer: eye + torch.randn(width, width, generator=draw) / (10 * width**0.5)
        for layer in layers
    }
    biases = {layer: torch.randn(width, generator=draw) for layer in layers}
    return kind(known, Card.of(vlm.adapter, kind.name, layers), biases if kind is Tuned else None)


if __name__ == "__main__":
    main()
