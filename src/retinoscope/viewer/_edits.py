"""The page's edits as interventions, and as equivalent Python code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..engine import Ablate, Intervention, Knockout, Patch, fill
from ..errors import InputError
from ..tokens import TokenSet
from ._requests import AblateEdit, Edit, KnockoutEdit, PatchEdit, Target

if TYPE_CHECKING:
    from ..engine import Run
    from ..engine.fill import Fill

NOISE_SEED = 0


def interventions(
    run: Run, edits: Sequence[Edit], mean: Callable[[], Fill], donor: Callable[[str], Run]
) -> list[Intervention]:
    """Returns the edits as interventions on `run`.

    Args:
        mean: returns the mean visual token.
        donor: returns another run by its name.

    Raises:
        InputError: a token, layer or position does not exist.
    """
    return [_intervention(run, edit, mean, donor) for edit in edits]


def _intervention(
    run: Run, edit: Edit, mean: Callable[[], Fill], donor: Callable[[str], Run]
) -> Intervention:
    tokens = run.image.at(edit.tokens)
    if isinstance(edit, AblateEdit):
        fills = {"mean": mean, "zero": fill.zero, "noise": lambda: fill.noise(NOISE_SEED)}
        return Ablate(tokens, fills[edit.fill]())
    first, last = edit.layers
    if last < first:
        raise InputError(f"expected layers from the first to the last, got {first} to {last}")
    layers = range(first, last + 1)
    if isinstance(edit, KnockoutEdit):
        return Knockout(tokens, target_of(run, edit.target), layers, edit.heads)
    other = donor(edit.donor)
    if len(other.image) != len(run.image):
        raise InputError(
            f"expected a donor image of {len(run.image)} visual tokens, got one of "
            f"{len(other.image)}: choose one of the same size"
        )
    if last > run.adapter.n_layers:
        raise InputError(f"expected layers from 0 to {run.adapter.n_layers}, got {last}")
    return Patch(tokens, layers, other, other.image.at(edit.tokens))


def target_of(run: Run, target: Target) -> TokenSet:
    """Returns the queries of the cut edges."""
    if isinstance(target, str):
        return run.positions[target]
    return TokenSet.of(run.sequence, target)


def lines(
    model: str,
    question: str,
    prefill: str | None,
    raw: bool,
    edits: Sequence[Edit],
    mean: str,
) -> str:
    """Returns Python code with the same effect, reading the image from the user's own file.

    Args:
        mean: the samples of the mean visual token, as Python code.
    """
    more = "" if prefill is None else f", prefill={prefill!r}"
    more += ", raw=True" if raw else ""
    asked = f"{question!r}{more}"
    code = [
        "import retinoscope as rs",
        "from retinoscope import Ablate, Knockout, Patch, fill",
        "from retinoscope.tokens import TokenSet",
        "",
        f"vlm = rs.load({model!r})",
        f'run = vlm.run(vlm.prompt("image.png", {asked}))',
    ]
    for number, name in enumerate(_donors(edits)):
        code.append(f'donor_{number} = vlm.run(vlm.prompt("donor-{number}.png", {asked}))')
        code.append(f"# donor_{number} is the page's run {name}: put its own image and question")
    edits_code = ",\n    ".join(_code_of(edit, edits, mean) for edit in edits)
    code += [
        f"effects = run.counterfactuals([[\n    {edits_code},\n]])",
        "print(effects.to_frame())",
        "print(effects.generate().texts[0])",
    ]
    return "\n".join(code) + "\n"


def _donors(edits: Sequence[Edit]) -> list[str]:
    return list(dict.fromkeys(edit.donor for edit in edits if isinstance(edit, PatchEdit)))


def _code_of(edit: Edit, edits: Sequence[Edit], mean: str) -> str:
    tokens = f"run.image.at({ranges(edit.tokens)})"
    if isinstance(edit, AblateEdit):
        fills = {
            "mean": f"fill.mean(vlm, {mean})",
            "zero": "fill.zero()",
            "noise": f"fill.noise({NOISE_SEED})",
        }
        return f"Ablate({tokens}, {fills[edit.fill]})"
    layers = f"range({edit.layers[0]}, {edit.layers[1] + 1})"
    if isinstance(edit, KnockoutEdit):
        if isinstance(edit.target, str):
            target = f"run.positions[{edit.target!r}]"
        else:
            target = f"TokenSet.of(run.sequence, {ranges(edit.target)})"
        heads = "" if edit.heads is None else f", {edit.heads!r}"
        return f"Knockout({tokens}, {target}, {layers}{heads})"
    donor = f"donor_{_donors(edits).index(edit.donor)}"
    return f"Patch({tokens}, {layers}, {donor}, {donor}.image.at({ranges(edit.tokens)}))"


def ranges(numbers: Sequence[int]) -> str:
    """Returns integers as a Python list with runs as ranges: [*range(3, 9), 12]."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    parts = [
        ", ".join(str(n) for n in range(a, b + 1)) if b - a < 3 else f"*range({a}, {b + 1})"
        for a, b in spans
    ]
    return f"[{', '.join(parts)}]"
