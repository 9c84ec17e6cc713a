"""What a study spends outside the model: three studies on the packaged model and on a large one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import retinoscope as rs
from retinoscope.answers.tasks import PromptOptions
from retinoscope.studies import AttentionKnockout, LogitLens, Study, TokenAblation

from ._bench import Case, Measure, Timing, options_for, write_result
from ._models import make_setup
from ._where import inside, sampled

Make = Callable[[rs.VLM, Sequence[rs.data.Sample]], Study[Any]]

# Integrated gradients are nothing but model arithmetic, and would hide the rest.
CONDITIONS = ("object", "object+1", "object+2", "registers", "random", "control")
ONE = PromptOptions(max_objects=1, max_questions=1)

STUDIES: Mapping[str, Make] = {
    "ablation": lambda vlm, samples: TokenAblation(vlm, samples, conditions=CONDITIONS),
    "lens": lambda vlm, samples: LogitLens(vlm, samples, untrained=False),
    "knockout": lambda vlm, samples: AttentionKnockout(vlm, samples),
}
BRIEF: Mapping[str, Make] = {
    "ablation": lambda vlm, samples: TokenAblation(
        vlm, samples, conditions=CONDITIONS, tasks=("question",), prompts=ONE
    ),
    "lens": STUDIES["lens"],
    "knockout": lambda vlm, samples: AttentionKnockout(vlm, samples, max_questions=1),
}
"""One question of an image, where all of them would take hours. What is outside the model weighs no
less then: reading the image, its masks and its token sets come once for each image."""

KINDS = ("color", "kind", "relation")

POCKET, LARGE = 200, 20
"""Scenes; the small size takes 1. What is done once in a study weighs more among fewer scenes."""


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "overhead", argv)
    small = options.size == "small"
    pocket = rs.load("pocket")
    large = make_setup(options, _words(pocket))
    cases = []
    breakdown = {}
    for label, vlm, studies, n in (
        ("pocket", pocket, STUDIES, POCKET),
        (options.size, large.vlm(), BRIEF, LARGE),
    ):
        samples = rs.data.scenes(1 if small else n, seed=1)
        if label != "pocket":
            samples = Answered(samples, _answers(vlm, samples))
        for name, make in studies.items():
            if not small:
                _timed(make(vlm, samples[:1]))
            case, shares = _measured(label, vlm, name, make(vlm, samples))
            print(f"{case.name}: {case.measures[0].value:.1f} % outside the model", flush=True)
            cases.append(case)
            breakdown[f"{name}, {label}"] = shares
    path = write_result(options, cases=cases, model=dict(large.facts), breakdown=breakdown)
    for name, shares in breakdown.items():
        listed = ", ".join(f"{place} {share:.1%}" for place, share in list(shares.items())[:14])
        print(f"\n{name}: {listed}")
    return path


@dataclass(frozen=True, eq=False)
class Answered(Sequence[rs.data.Sample]):
    """One question of each scene with what the model says, as studies leave wrong answers alone."""

    scenes: Sequence[rs.data.Sample]
    questions: Sequence[tuple[rs.data.Question, ...]]

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Answered(self.scenes[index], self.questions[index])
        return replace(self.scenes[index], questions=self.questions[index])


def _answers(vlm: rs.VLM, scenes: Sequence[rs.data.Sample]) -> list[tuple[rs.data.Question, ...]]:
    answers = []
    for scene in scenes:
        asked = [one for one in scene.questions if one.kind in KINDS and one.about][:1]
        answers.append(tuple(replace(one, answer=_said(vlm, scene, one)) for one in asked))
    return answers


def _said(vlm: rs.VLM, scene: rs.data.Sample, question: rs.data.Question) -> str:
    run = vlm.run(vlm.prompt(scene.image, question.question))
    return vlm.tokenizer.decode(int(run.logits.argmax())).strip()


def _words(vlm: rs.VLM) -> list[str]:
    """What the scenes' questions and answers are made of."""
    special = set(vlm.tokenizer.all_special_tokens)
    return [piece.lstrip("▁") for piece in vlm.tokenizer.get_vocab() if piece not in special]


def _timed(study: Study[Any]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        study.run(Path(folder) / "run")
        return time.perf_counter() - start


def _measured(
    label: str, vlm: rs.VLM, name: str, study: Study[Any]
) -> tuple[Case, dict[str, float]]:
    adapter = vlm.adapter
    core = adapter.model.base_model
    outer = [
        core.get_submodule("vision_tower"),
        core.get_submodule("multi_modal_projector"),
        adapter.language_model,
        *adapter.decoder.layers,
        adapter.decoder.final_norm,
        adapter.unembedding,
    ]
    with ExitStack() as stack:
        found = stack.enter_context(sampled())
        spent = stack.enter_context(inside(outer))
        seconds = _timed(study)
    share = 1 - spent.seconds / seconds
    case = Case(
        name=f"the {name} study over {len(study.samples)} scenes, {label} model",
        timings={
            "the study": Timing((seconds,), (0.0,)),
            "inside the model": Timing((spent.seconds,), (0.0,)),
        },
        measures=[
            Measure(
                "per cent of the study's time outside the model",
                100 * share,
                # The floor is set for the large model: the blocks of the packaged one take
                # less time than the calls that lead to them.
                at_most=None if label == "pocket" else 10.0,
            )
        ],
        equality={},
        limit={"seconds_inside_the_model": spent.seconds},
    )
    return case, {place: round(one, 4) for place, one in found.shares().items()}


if __name__ == "__main__":
    main()
