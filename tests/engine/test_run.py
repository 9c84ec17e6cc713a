"""Prompts, runs, and what they say about themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

import retinoscope as rs


def test_prompt_follows_llava(tiny: rs.VLM, square: Image.Image) -> None:
    prompt = tiny.prompt(square, "Describe this image.")
    assert prompt.formatted == "USER: <image>\nDescribe this image. ASSISTANT:"
    asked = tiny.prompt(square, "What is this image?", prefill="It is a")
    assert asked.formatted == "USER: <image>\nWhat is this image? ASSISTANT: It is a"


def test_chat_template_gives_the_same_prompt(build, tiny_model, square: Image.Image) -> None:
    processor = build.processor()
    processor.chat_template = (
        "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}"
        "<image>\n{% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}ASSISTANT:"
    )
    vlm = rs.load(model=tiny_model, processor=processor, check=False)
    prompt = vlm.prompt(square, "What is this image?", prefill="It is a")
    assert prompt.formatted == "USER: <image>\nWhat is this image? ASSISTANT: It is a"
    run = vlm.run(prompt)
    assert [run.tokens[p].strip() for p in run.positions["question"]] == [
        *("What", "is", "this", "image?")
    ]


def test_named_positions(tiny: rs.VLM, square: Image.Image) -> None:
    run = tiny.run(tiny.prompt(square, "What is the color of the car?", prefill="It is a"))
    named = run.positions
    assert [run.tokens[p].strip() for p in named["question"]] == [
        *("What", "is", "the", "color", "of", "the", "car?")
    ]
    assert named["last"].positions == (run.n - 1,)
    assert named["image"] == run.image.tokens
    assert ~named["text"] == named["image"]
    assert len(run.tokens) == run.n
    with pytest.raises(rs.InputError, match="expected one of last"):
        named["first"]


def test_raw_prompts(tiny: rs.VLM, square: Image.Image) -> None:
    text = "USER: <image>\nWhat is the color of the car? ASSISTANT: It is a"
    raw = tiny.run(tiny.prompt(square, text, raw=True))
    made = tiny.run(tiny.prompt(square, "What is the color of the car?", prefill="It is a"))
    assert torch.equal(raw.logits, made.logits)
    after = [p for p in raw.positions["text"] if p > raw.image.positions[-1]]
    assert list(raw.positions["question"]) == after


def test_several_images(tiny: rs.VLM, square: Image.Image, portrait: Image.Image) -> None:
    run = tiny.run(tiny.prompt([square, portrait], "Describe this image."))
    assert len(run.images) == 2
    assert run.images[1].size == portrait.size
    single = tiny.run(tiny.prompt(portrait, "Describe this image."))
    torch.testing.assert_close(run.images[1].embeddings, single.image.embeddings)
    assert not set(run.images[0].positions) & set(run.images[1].positions)
    first = run.images[0].at([24]).grow(1)
    assert len(first) == 9
    inputs = tiny.processor(
        images=[square, portrait],
        text="USER: <image>\n<image>\nDescribe this image. ASSISTANT:",
        return_tensors="pt",
    )
    with torch.no_grad():
        torch.testing.assert_close(run.logits, tiny.model(**inputs).logits[0, -1])


def test_text_alone(tiny: rs.VLM) -> None:
    run = tiny.run(tiny.prompt(None, "What is the color of the car?"))
    assert run.images == ()
    with pytest.raises(rs.InputError, match="text only"):
        run.image  # noqa: B018


def test_the_vision_tower_runs_once_per_image(
    tiny: rs.VLM, noise_image: Callable[..., Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    encode = tiny.adapter.encode_images
    monkeypatch.setattr(
        tiny.adapter, "encode_images", lambda pixels: calls.append(len(pixels)) or encode(pixels)
    )
    image = noise_image(60, 40, seed=99)
    runs = tiny.run_many(image, ["Describe this image.", "Is there a cat in this image?"])
    runs[0].counterfactuals([rs.Ablate(runs[0].image.at([1]))]).generate(3)
    assert calls == [1]
    assert torch.equal(runs[0].image.embeddings, runs[1].image.embeddings)
    tiny.run(tiny.prompt(noise_image(60, 40, seed=100), "Describe this image."))
    assert calls == [1, 1]


def test_images_come_from_anywhere(tiny: rs.VLM, square: Image.Image, tmp_path) -> None:
    square.save(tmp_path / "image.png")
    runs = [
        tiny.run(tiny.prompt(source, "a cat"))
        for source in (square, np.asarray(square), tmp_path / "image.png")
    ]
    assert all(torch.equal(run.logits, runs[0].logits) for run in runs)


def test_refused_prompts(tiny: rs.VLM, square: Image.Image) -> None:
    with pytest.raises(rs.InputError, match="empty"):
        tiny.prompt(square, " ")
    with pytest.raises(rs.InputError, match="raw=True"):
        tiny.prompt(square, "What is <image>?")
    with pytest.raises(rs.InputError, match="for each of 1 images, got 0"):
        tiny.prompt(square, "USER: a cat ASSISTANT:", raw=True)
    with pytest.raises(rs.InputError, match="no such file"):
        tiny.prompt("nowhere.png", "a cat")


def test_hidden_states(tiny: rs.VLM, square: Image.Image) -> None:
    run = tiny.run(tiny.prompt(square, "a cat"))
    assert torch.equal(run.hidden(0), run.embeddings)
    assert run.hidden(4, run.image.row(0)).shape == (7, 32)
    with pytest.raises(rs.InputError, match="layers from 0 to 4"):
        run.hidden(5)


def test_frame_has_one_row_per_intervention(tiny: rs.VLM, square: Image.Image) -> None:
    run = tiny.run(tiny.prompt(square, "a cat"))
    obj = run.image.at([1, 2])
    effects = run.counterfactuals([rs.Ablate(obj), [rs.Knockout(obj, "last", [1, 2])], []])
    rows = effects.to_frame().to_pylist()
    assert [row["kind"] for row in rows] == ["Ablate", "Knockout", "none"]
    assert (rows[1]["first_layer"], rows[1]["last_layer"]) == (1, 2)
    assert rows[2]["top_prob"] == pytest.approx(rows[2]["clean_prob"])
    assert effects.path == ("incremental",) * 3


def test_fingerprint_changes_with_the_weights(build, tiny: rs.VLM) -> None:
    again = rs.load(model=build.model(), processor=build.processor(), check=False)
    other = rs.load(model=build.model(seed=1), processor=build.processor(), check=False)
    assert again.fingerprint == tiny.fingerprint != other.fingerprint
    cropped = build.processor(size={"shortest_edge": 36})
    assert rs.load(model=build.model(), processor=cropped, check=False).fingerprint != (
        tiny.fingerprint
    )
