"""The recipe in miniature: it ends in a Hugging Face folder, interrupted or not."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

from retinoscope.data import scenes
from retinoscope.errors import InputError
from retinoscope.pocket.recipe import Recipe, Stage, train
from retinoscope.pocket.recipe._config import Sizes

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


def run(tmp_path, stop_at=None, name="a", recipe=RECIPE):
    scores = {}

    def report(stage, step, steps, loss):
        if stop_at == (stage, step):
            raise Interrupted

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


def test_an_interrupted_training_goes_on_to_the_same_weights(trained, tmp_path):
    folder, _ = trained
    with pytest.raises(Interrupted):
        run(tmp_path, stop_at=("instruct-pocket", 2))
    run(tmp_path)
    first = load_file(folder / "out-a" / "pocket" / "model.safetensors")
    second = load_file(tmp_path / "out-a" / "pocket" / "model.safetensors")
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
