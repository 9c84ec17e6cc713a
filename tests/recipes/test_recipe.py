"""The recipe in miniature: it ends in a Hugging Face folder, interrupted or not."""

import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

from retinoscope.data import scenes
from retinoscope.errors import InputError
from retinoscope.recipes.pocket import Recipe, Stage, train
from retinoscope.recipes.pocket._config import Sizes

SIZES = Sizes(
    vision_width=16, vision_layers=1, vision_heads=2, vision_ff=16,
    text_width=16, text_layers=2, text_heads=2, text_ff=16,
)  # fmt: skip
STAGE = Stage(steps=3, batch=4, lr=1e-3, warmup=1)
RECIPE = Recipe(
    sizes=SIZES, scenes=12, instruct_scenes=12,
    vision=STAGE, language=STAGE, adapter=STAGE, instruct=STAGE,
)  # fmt: skip


class Interrupted(Exception):
    pass


def run(tmp_path, stop_at=None, name="a", recipe=RECIPE, by=None, steps_of=None):
    scores = {}

    def report(stage, step, steps, loss):
        if steps_of is not None:
            steps_of.append((stage, step))
        if stop_at == (stage, step):
            if by is None:
                raise Interrupted
            os.kill(os.getpid(), by)

    train(
        tmp_path / f"work-{name}",
        tmp_path / f"out-{name}",
        variants=["pocket"],
        recipe=recipe,
        report=report,
        finished=scores.__setitem__,
        held_out=4,
    )
    return scores


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    scores = run(folder)
    return folder, scores


def test_it_ends_in_a_folder_that_transformers_loads(trained):
    folder, scores = trained
    assert set(scores) == {"pocket"}
    out = folder / "out-a" / "pocket"
    model = LlavaForConditionalGeneration.from_pretrained(out, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(out)
    image = scenes(1, seed=3)[0].image
    inputs = processor(
        images=image, text="USER: <image>\nDescribe this image. ASSISTANT:", return_tensors="pt"
    )
    logits = model(**inputs).logits
    assert logits.shape[1] == inputs["input_ids"].shape[1] > 144
    assert torch.isfinite(logits).all()
    assert "Held-out scenes" in (out / "README.md").read_text()


@pytest.fixture
def begun(trained, tmp_path):
    """A folder in which the scenes are drawn."""
    for scenes_of in (trained[0] / "work-a").glob("scenes-*"):
        shutil.copytree(scenes_of, tmp_path / "work-a" / scenes_of.name)
    return tmp_path


@pytest.mark.parametrize("stage", ["features", "instruct-pocket"])
def test_a_signal_leaves_a_training_that_goes_on(trained, begun, stage):
    """Whichever stage it comes in: no half model is written, and nothing is trained twice."""
    folder, _ = trained
    # A signal that comes while step 1 is reported ends the training after step 2.
    at = (stage, 12 if stage == "features" else 1)
    with pytest.raises(KeyboardInterrupt):
        run(begun, at, by=signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert not (begun / "out-a").exists()
    steps = []
    run(begun, steps_of=steps)
    names = [name for name, _ in steps if name not in ("features", "scenes")]
    assert not {"vision", "language"} & set(names)
    assert len([name for name in names if name == "instruct-pocket"]) == (
        1 if stage == "instruct-pocket" else 3
    )
    same = [load_file(where / "out-a/pocket/model.safetensors") for where in (folder, begun)]
    assert all(torch.equal(same[0][key], same[1][key]) for key in same[0])


def test_a_model_appears_whole(begun, monkeypatch):
    """A training that is ended while it writes leaves the folder of before as it was."""
    from retinoscope.recipes.pocket import _train

    out = begun / "out-a" / "pocket"
    out.mkdir(parents=True)
    (out / "model.safetensors").write_text("of before")

    def cut(*args):
        export(*args)
        raise KeyboardInterrupt

    export = _train.export
    monkeypatch.setattr(_train, "export", cut)
    with pytest.raises(KeyboardInterrupt):
        run(begun)
    assert [path.name for path in out.iterdir()] == ["model.safetensors"]
    assert (out / "model.safetensors").read_text() == "of before"


def test_an_interrupted_training_goes_on_to_the_same_weights(trained, begun):
    folder, _ = trained
    with pytest.raises(Interrupted):
        run(begun, stop_at=("instruct-pocket", 2))
    run(begun)
    first = load_file(folder / "out-a" / "pocket" / "model.safetensors")
    second = load_file(begun / "out-a" / "pocket" / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_work_folder_of_another_recipe_is_refused(trained, tmp_path):
    folder, _ = trained
    with pytest.raises(InputError, match="another recipe"):
        run(folder, recipe=replace(RECIPE, seed=1))


def test_an_unknown_variant_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected variants"):
        train(
            tmp_path, tmp_path, variants=["huge"],
            report=lambda *a: None, finished=lambda *a: None,
        )  # fmt: skip
