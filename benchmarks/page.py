"""docs/performance.md, made from the results alone.

python -m benchmarks.page
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._bench import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

Result = Mapping[str, Any]

ORDER = (
    *("knockouts", "ablations", "lens", "fitted_lenses", "contextual", "overhead", "state", "rows"),
    *("peers", "peers_lenses"),
)
TITLES = {
    "knockouts": "Attention knockouts",
    "ablations": "Ablations",
    "lens": "The lens",
    "fitted_lenses": "Jacobian and tuned lenses",
    "contextual": "The contextual lens",
    "overhead": "A whole study",
    "state": "Which weights are these?",
    "rows": "A very large study",
    "peers": "Other tools",
    "peers_lenses": "Other tools' lenses",
}
PROSE = {
    "knockouts": """\
The baseline works like the released code (Neo et al. 2024): one full pass per condition, starting
from the pixels. It is written with `transformers` alone and is faster than the original in four
respects: one mask instead of one write per edge, the unembedding at the last position only, no
cache, and the image preprocessed once. The engine's time includes its clean run, and each
repetition starts with a model that has not encoded the image yet. One plain pass is the model's own
forward pass from the pixels, without hooks, with the unembedding at the last position.

**The limit.** A knockout to the last position changes one row from its first layer on. A knockout
to the last row of the image changes that row and, from the next layer on, everything after it.
Apart from the clean run nothing else has to be computed, and the last block needs only the
prompt's last position. The weights have to be read twice, once for the clean run and once for the
sweep.""",
    "ablations": """\
The paper's 18 sets of visual tokens, each replaced by zeros under three prompts: register tokens,
the object with 0, 1 and 2 rings, and seven sizes of high-gradient and of random sets. A model with
random weights has no register tokens, so these sets are drawn at random; neither side computes
gradients. The baseline is one full pass, or one call of `generate`, per set and prompt, starting
from the pixels.

**The limit.** An ablation changes every position from its first token on, and most sets begin near
the image's first token, so nearly a whole pass has to be computed for each set. The image under
the same ablation is common to all prompts and counts once. Generation adds one position per token
and row; the weights have to be read once for each step of the whole batch. If the text is short
compared with the image, no exact method can gain much more than the number of prompts, apart from
the vision tower.""",
    "lens": """\
The top 5 at every layer and visual token, compared with the bare matrix products with the
unembedding. These products are the limit: without them no token's rank is known.""",
    "fitted_lenses": """\
The decoder has its first 2 blocks only, since time is in proportion to blocks. One prompt of 128
tokens is added to a Jacobian lens. **The limit** is one backward pass through all
blocks per block of output dimensions, without gradients of weights: all else (the forward pass, the
check that it is the run's, gradients kept at every block, sums) comes on top. A readout through a
Jacobian or a tuned lens adds one product of each state with a matrix to the logit lens.""",
    "contextual": """\
The top 5 at every layer and visual token among the states of texts, of which the published search
([LatentLens](https://github.com/McGill-NLP/latentlens)) has eight text layers. The bare products,
which are the limit, have the index in memory; the lens reads it from disk.""",
    "overhead": """\
The three studies on the large model, to which the target applies, and on the packaged one, whose
blocks take less time than the Python calls around them. "Inside the model" are the forward passes
of its modules, including hooks and the attention over shared keys, backward passes, and the lens's
products with the unembedding. "Outside" is everything else: drawing scenes, prompts, token sets,
planning, scoring, writing. The ablation study runs without its high-gradient sets, because their
integrated gradients are pure arithmetic and would make the share look better. The large model gets
fewer scenes, so one-time costs weigh more; each has one question, whose expected answer is what the
random model says, since studies skip questions that are answered wrongly.

The breakdown samples the stack every few milliseconds and names the innermost file of retinoscope,
or "model" inside a module.""",
    "state": """\
Before each computation the engine checks whether the model is still in the state in which its
stored results were computed ([engine](engine.md#when-the-model-changes)). This check is compared
with a run whose image is already encoded, which is the shortest run there is.""",
    "rows": """\
A study of COCO's size with 300 conditions. Everything is real (fingerprints, keys, the resumable
loop, the merge into one table, the summary) except the model, which draws random answers.""",
    "peers": """\
The same decoder on a text with as many positions as the image prompt, since TransformerLens takes
token ids; no vision tower runs. nnsight makes one trace per condition and replaces the attention's
mask. TransformerLens makes one `run_with_hooks` per condition and overwrites the attention scores;
it always computes the full attention matrix and the logits at all positions. Both are used as in
their documentation; neither shares work between conditions.""",
    "peers_lenses": """\
The same decoder, with its first 2 blocks, as a text model. TransformerLens fits its Jacobian lens
on the same token ids, with as many output dimensions per backward pass, reads states through it,
and reads the file that retinoscope writes, as retinoscope reads the peer's. tuned-lens applies
weights that retinoscope wrote in its format. Nothing is timed unless all agree to 1e-5.""",
}


def read_results(folder: Path = RESULTS) -> dict[str, Result]:
    """Results that belong on this page, by file name without its ending."""
    found = {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))
    }
    return {stem: result for stem, result in found.items() if result["benchmark"] in ORDER}


def page_of(results: Mapping[str, Result]) -> str:
    """The whole page; ends with a newline."""
    parts = [
        "# Performance",
        "*This page is made by `python -m benchmarks.page` from `benchmarks/results/`. "
        "`make bench` measures everything again and rewrites it.*",
        "The methods compared here ran alternately in one process, and medians are compared. "
        "Before timing, the results of both were checked to be equal. Times depend on the machine, "
        "ratios much less.",
        *_floors(results),
    ]
    for name in ORDER:
        for stem, result in results.items():
            if result["benchmark"] == name:
                parts += _section(stem, result) if "cases" in result else _large(result)
    missing = [name for name in ORDER if name not in results]
    if missing:
        parts.append("Not measured yet: " + ", ".join(missing) + ".")
    if not any(result["size"] == "7b" for result in results.values()):
        parts.append(
            "## 7B\n\nNo figures: a LLaVA-1.5 shape of 7B in bfloat16 needs a GPU, and none was at "
            "hand. `python -m benchmarks.knockouts --size 7b` measures it where there is one."
        )
    return "\n\n".join(parts) + "\n"


def _floors(results: Mapping[str, Result]) -> Iterator[str]:
    rows = []
    for name in ORDER:
        for result in results.values():
            if result["benchmark"] != name or result["size"] == "small":
                continue
            for case in result.get("cases", ()):
                rows += [
                    [case["name"], one["what"], _floor(one), _number(one["value"]), _verdict(one)]
                    for one in case["measures"]
                    if one["met"] is not None
                ]
    if rows:
        missed = sum(row[-1] != "met" for row in rows)
        yield "## Targets"
        yield (
            f"{len(rows) - missed} of {len(rows)} figures meet their target."
            if missed
            else "All targets are met."
        )
        yield _table(["task", "figure", "target", "measured", ""], rows)


def _section(stem: str, result: Result) -> Iterator[str]:
    name = result["benchmark"]
    size = "" if result["size"] == "135m" else f" ({result['size']})"
    yield f"## {TITLES[name]}{size}"
    yield PROSE[name]
    yield _facts(result)
    for case in result["cases"]:
        yield f"### {case['name'][:1].upper()}{case['name'][1:]}"
        if case["timings"]:
            yield _times(case)
            yield _figures(case)
        if case["limit"]:
            yield from _limit(case["limit"])
        said = [_equality(case["equality"]), *case["notes"]]
        if any(said):
            yield " ".join(one for one in said if one)
        if stem == "overhead":
            words = case["name"].split()
            yield _breakdown(result["breakdown"][f"{words[1]}, {words[-2]}"])
    if result.get("errors"):
        for peer, error in result["errors"].items():
            yield f"{peer} could not be measured: `{error}`."
    yield f"```bash\n{result['command']}\n```"


def _large(result: Result) -> Iterator[str]:
    yield f"## {TITLES[result['benchmark']]}"
    yield PROSE[result["benchmark"]]
    peak, limit = result["peak_bytes"], result["limit_bytes"]
    yield (
        f"{result['images']:,} images x {result['conditions']} conditions made "
        f"{result['rows']:,} rows ({result['results_bytes'] / 1e9:.2f} GB). The most memory held "
        f"was {peak / 1e9:.2f} GB; the limit is {limit / 1e9:.2f} GB: "
        f"{'met' if peak <= limit else '**not met**'}."
    )
    yield f"```bash\n{result['command']}\n```"


def _facts(result: Result) -> str:
    machine, model = result["machine"], result["model"]
    where = machine["device"] if machine["device"] != "cpu" else machine["cpu"]
    said = (
        f"Measured on {result['date']}: {where}, {machine['cores']} cores, "
        f"{machine['threads']} threads, {machine['dtype']}, torch {machine['torch']}, "
        f"transformers {machine['transformers']}."
    )
    if model.get("weights") == "random":
        said += (
            f" Random weights: decoder of {model['decoder']}, vocabulary {model['vocabulary']:,}, "
            f"{model['decoder_parameters'] / 1e6:.0f} M parameters; "
            f"{model['visual_tokens']} visual tokens; vision tower of {model['vision_tower']}, "
            f"{model['tower_parameters'] / 1e6:.0f} M parameters."
        )
    if "positions" in model:
        several = model["positions"]
        listed = several if isinstance(several, list) else [several]
        said += " Positions of the prompt: " + ", ".join(str(one) for one in listed) + "."
    if "peers" in result:
        said += " " + ", ".join(f"{name} {one}" for name, one in result["peers"].items()) + "."
    return said


def _times(case: Mapping[str, Any]) -> str:
    timings = case["timings"]
    apart = any(any(one["aside"]) for one in timings.values())
    several = any(one["units"] > 1 or len(one["seconds"]) > 1 for one in timings.values())
    header = ["method", "seconds"]
    header += ["without the tower"] if apart else []
    header += ["one unit: median (least to most)", "units measured"] if several else []
    rows = []
    for name, one in timings.items():
        row = [name, _number(one["total"])]
        row += [_number(one["total_without_tower"])] if apart else []
        if several:
            spread = f"{_number(one['min'])} to {_number(one['max'])}"
            row += [f"{_number(one['median'])} ({spread})", _units(one)]
        rows.append(row)
    return _table(header, rows)


def _units(one: Mapping[str, Any]) -> str:
    if one["units"] == 1:
        return f"{len(one['seconds'])} times the whole"
    return f"{one['measured']} of {one['units']}"


def _figures(case: Mapping[str, Any]) -> str:
    rows = [
        [one["what"], _number(one["value"]), _floor(one), _verdict(one)] for one in case["measures"]
    ]
    return _table(["figure", "measured", "target", ""], rows)


def _limit(limit: Mapping[str, Any]) -> Iterator[str]:
    said = []
    if "token_layers_fewest" in limit:
        said.append(
            f"Position x block pairs: {limit['token_layers_of_full_passes']:,} in full passes, "
            f"{limit['token_layers_fewest']:,} have to be computed, "
            f"{limit['token_layers_computed']:,} were (including clean runs). If all pairs "
            "cost the same, no exact method could be more than "
            f"{limit['token_layers_of_full_passes'] / limit['token_layers_fewest']:.2f} times "
            "faster without the vision tower."
        )
        said.append(
            "At the plain pass's speed this minimum would take "
            f"{limit['token_layers_fewest_in_plain_passes']:.2f} plain passes; without the vision "
            f"tower the engine takes {limit['engine_times_limit']:.2f} times as long as that."
        )
    for key, value in limit.items():
        words = key.replace("_", " ").capitalize()
        if key.startswith("bytes"):
            said.append(f"{words}: {value / 1e9:.2f} GB.")
        elif key.startswith("operations"):
            said.append(f"{words}: {value:.2e}.")
    if said:
        yield " ".join(said)


def _equality(equality: Mapping[str, Any]) -> str:
    said = []
    for key, value in equality.items():
        if key.startswith("max_difference"):
            what = key.partition(", ")[2] or "results"
            said.append(f"Largest difference of the {what}: {value:.1e}.")
        if key.startswith("max_relative_difference"):
            peer = key.partition(", ")[2]
            said.append(
                f"Largest difference of the logits{f' from {peer}' if peer else ''}: {value:.1e} "
                "of the largest logit."
            )
    if "same_argmax" in equality:
        said.append(f"Same first token in {equality['same_argmax']} of {equality['rows']} rows.")
    if "same_texts" in equality:
        said.append(f"Same text in {equality['same_texts']} of {equality['rows']} generations.")
    return " ".join(said)


def _breakdown(shares: Mapping[str, float]) -> str:
    rows = [[f"`{place}`", f"{share:.1%}"] for place, share in shares.items() if share >= 0.01]
    return _table(["where the time went", "share"], rows)


def _floor(one: Mapping[str, Any]) -> str:
    if one["at_least"] is not None:
        return f"at least {one['at_least']:g}"
    return "" if one["at_most"] is None else f"at most {one['at_most']:g}"


def _verdict(one: Mapping[str, Any]) -> str:
    return {True: "met", False: "**not met**", None: ""}[one["met"]]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def write_page(results: Path = RESULTS, page: Path = PAGE) -> Path:
    """Writes the page from the results; returns its path."""
    page.write_text(page_of(read_results(results)), "utf-8")
    return page


if __name__ == "__main__":
    print(write_page())
