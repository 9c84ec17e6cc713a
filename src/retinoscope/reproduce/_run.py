"""Runs a reproduction stage by stage; each stage, and so the whole, can be resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ..curation import Curated, Curation, Filter
from ..data import Sample
from ..errors import CapabilityError, InputError
from ..store import Json, canonical_json, write_bytes
from ..studies import AttentionKnockout, Executor, LogitLens, Progress, Study, TokenAblation
from ..studies.report import Report
from ._data import OpenedData
from ._geometry import masks_of
from ._mean import mean_token
from ._neo2024 import PLAN, compose_neo2024
from ._plan import Mode, ReproductionPlan

if TYPE_CHECKING:
    from ..engine import VLM
    from ..engine.fill import Mean

Stage = Callable[[str], Progress]
Executors = Callable[[OpenedData], AbstractContextManager[Executor | None]]
RULES = ("paper", "corrected")
SOURCES = ("object", "object+1", "object+2", "rest", "visual", "control")


def neo2024(
    vlm: VLM,
    data: OpenedData,
    out: str | Path,
    plan: ReproductionPlan = ReproductionPlan(),  # noqa: B008 (frozen)
    *,
    lens_data: OpenedData | None = None,
    mean_data: OpenedData | None = None,
    stage: Stage | None = None,
    executors: Executors | None = None,
    retry_failed: bool = False,
) -> Report:
    """Reproduces the paper in the folder `out`, or resumes the reproduction there.

    Runs the curation, the mean visual token and the three experiments, and composes the report
    without writing it.

    Args:
        vlm: from `retinoscope.load`.
        data: opens the data (COCO's training images in the paper).
        lens_data: other images for the lens (COCO's validation images in the paper).
        mean_data: other images for the mean visual token (ImageNet's in the paper).
        stage: makes a progress callback for the stage of the given name.
        executors: makes the executor that evaluates a stage's samples, opened from its
            `OpenedData`.
        retry_failed: try again images that failed before.

    Raises:
        InputError: `out` holds another reproduction, or no object passes the curation.
        StudyError: as in the studies.
    """
    run = _Reproduction(
        vlm,
        Path(out),
        plan,
        stage or (lambda name: lambda done, total, what: None),
        executors or (lambda opened: nullcontext()),
        retry_failed,
    )
    run.begin(data, lens_data, mean_data)
    try:
        for mode in plan.modes:
            run.mode(mode, data, mean_data or data)
        run.lens(lens_data or data)
        run.end()
    except (InputError, CapabilityError):
        run.withdraw()
        raise
    return compose_neo2024(out)


@dataclass
class _Reproduction:
    vlm: VLM
    out: Path
    plan: ReproductionPlan
    stage: Stage
    executors: Executors
    retry_failed: bool
    facts: dict[str, Json] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    studies: int = 0
    new: bool = False

    def begin(self, data: OpenedData, lens: OpenedData | None, mean: OpenedData | None) -> None:
        """Records the settings, and refuses a folder that holds something else."""
        plan = json.loads(canonical_json(asdict(self.plan)))
        plan.pop("mode")
        self.facts = {
            "plan": plan,
            "model": str(self.vlm.name),
            "fingerprint": self.vlm.fingerprint,
            "questions": None if data.questions is None else data.questions.name,
            "other_lens_data": lens is not None,
            "other_mean_data": mean is not None,
        }
        file = self.out / PLAN
        if file.exists():
            stored = json.loads(file.read_bytes())
            done = {*self.plan.modes, "lens"}
            # Keep the notes of a mode that is not run now.
            self.notes = {k: v for k, v in stored["notes"].items() if k.split("/")[0] not in done}
            different = _differences(self.facts, stored)
            if different:
                raise InputError(
                    f"{self.out} holds another reproduction; different: {', '.join(different)}; "
                    "give another output folder, or the command that started this one"
                )
        elif self.out.is_dir() and any(self.out.iterdir()):
            raise InputError(
                f"{self.out} holds other files and no {PLAN}; give an empty or a new folder"
            )
        else:
            self.new = True
        self._write()

    def end(self) -> None:
        """Records what was left out; raises InputError if that is everything."""
        if not self.studies:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.notes.items())
            raise InputError(
                f"no object passes the curation, so there is nothing to study ({reasons}): give "
                "other data, or other bounds (min_area, max_area, at_most) and another folder"
            )
        self._write()

    def withdraw(self) -> None:
        """Removes the files of a new reproduction that was refused before it had a result."""
        if not self.new or self.studies:
            return
        for entry in self.out.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.out.rmdir()

    def _write(self) -> None:
        content = {**self.facts, "notes": self.notes}
        text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        write_bytes(self.out / PLAN, text.encode("utf-8"))

    def mode(self, mode: Mode, data: OpenedData, mean_data: OpenedData) -> None:
        """Runs everything except the lens in one mode."""
        plan, folder = self.plan, self.out / mode
        objects = self.curate(
            data, f"{mode}/objects", plan.object_filters(mode), plan.capped(plan.n_objects)
        )
        questions = self.curate(
            data, f"{mode}/questions", plan.question_filters(mode), plan.capped(plan.n_questions)
        )
        if objects is None and questions is None:
            return
        mean = self.mean(mean_data)
        for kind, opened in (("captions", objects), ("questions", questions)):
            if opened is None:
                continue
            if mode == "paper":
                opened = self.masked(opened, folder / f"masks-{kind}.json", f"{mode}/{kind}")
            study = TokenAblation(
                self.vlm,
                opened(),
                seed=plan.seed,
                n_examples=plan.examples,
                max_failures=plan.max_failures,
                tasks=("generative", "polling") if kind == "captions" else ("question",),
                prompts=plan.prompts(mode),
                modes=RULES,
                sizes=plan.sizes,
                mean=mean,
                gradient_steps=plan.gradient_steps,
                gradient_target="paper" if mode == "paper" else "answer",
                caption_tokens=plan.caption_tokens,
                polling_tokens=plan.polling_tokens,
            )
            self.run(study, opened, f"{mode}/{kind}")
            if kind == "questions":
                cut = AttentionKnockout(
                    self.vlm,
                    opened(),
                    seed=plan.seed,
                    n_examples=plan.examples,
                    max_failures=plan.max_failures,
                    sources=SOURCES,
                    targets=("last", "last-row"),
                    max_questions=plan.max_questions(mode),
                    prefill=plan.prefill,
                    mode=mode,
                )
                self.run(cut, opened, f"{mode}/knockout")

    def lens(self, data: OpenedData) -> None:
        """Runs the logit lens, whose rules are the same in both modes."""
        plan = self.plan
        opened = self.curate(data, "lens", plan.lens_filters(), plan.capped(plan.n_lens))
        if opened is None:
            return
        study = LogitLens(
            self.vlm,
            opened(),
            seed=plan.seed,
            n_examples=plan.examples,
            max_failures=plan.max_failures,
            untrained=plan.untrained,
        )
        self.run(study, opened, "lens/lens")

    def curate(
        self, data: OpenedData, name: str, filters: tuple[Filter, ...], limit: int
    ) -> OpenedData | None:
        """Returns the curated data; None, with a note, if nothing is left."""
        folder = self.out / "curation" / name
        curated: Curated = Curation(
            self.vlm,
            data(),
            filters,
            limit=limit,
            caption_tokens=self.plan.caption_tokens,
            polling_tokens=self.plan.polling_tokens,
            max_failures=self.plan.max_failures,
        ).run(folder, self.stage(f"curation: {name}"), retry_failed=self.retry_failed)
        if not curated.kept:
            last = next(count for count in curated.counts[1:] if not count.images)
            self.notes[name] = f"no image has: {last.text}"
            return None
        return replace(data, curation=(folder / "curation.json").absolute())

    def mean(self, data: OpenedData) -> Mean:
        samples = data()[: self.plan.mean_images]
        return mean_token(
            self.vlm, _Watched(samples, self.stage("mean visual token")), self.out / "mean"
        )

    def masked(self, opened: OpenedData, file: Path, name: str) -> OpenedData:
        """Returns the data with the released code's tokens, or unchanged with a note."""
        try:
            masks_of(self.vlm, opened(), file)
        except CapabilityError as error:
            self.notes[f"{name}: tokens"] = f"exact tokens in paper mode, too: {error}"
            return opened
        return replace(opened, masks=file.absolute())

    def run(self, study: Study, opened: OpenedData, name: str) -> None:
        with self.executors(opened) as executor:
            study.run(
                self.out / name,
                self.stage(name),
                executor=executor,
                retry_failed=self.retry_failed,
            )
        self.studies += 1


class _Watched(Sequence[Sample]):
    """Samples that report their progress as they are read."""

    def __init__(self, samples: Sequence[Sample], progress: Progress) -> None:
        self.samples, self.progress = samples, progress
        self.fingerprint = getattr(samples, "fingerprint", None)

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return self.samples[index]
        sample = self.samples[index]
        self.progress(index + 1, len(self.samples), sample.id)
        return sample


def _differences(settings: dict[str, Json], stored: dict[str, Json]) -> list[str]:
    """Returns the names of the settings that differ from the stored ones."""
    different = [
        name
        for name in settings
        if name != "plan" and canonical_json(settings[name]) != canonical_json(stored.get(name))
    ]
    plan, stored_plan = settings["plan"], stored.get("plan")
    assert isinstance(plan, dict)
    known = stored_plan if isinstance(stored_plan, dict) else {}
    return different + [name for name in plan if plan[name] != known.get(name)]
