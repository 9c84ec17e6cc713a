"""An interface in front of the language model: what was seen, training, and judging."""

import copy

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import retinoscope as rs
from retinoscope.data.scenes import scene_layout
from retinoscope.interfaces import (
    InterfaceConfig,
    InterfaceForConditionalGeneration,
    build_interface,
    interface_processor,
    interface_tokenizer,
    open_decoder,
    to_pixels,
)
from retinoscope.pocket.smol.low_rank import attach
from retinoscope.recipes.interfaces import (
    HELD_OUT_SEED,
    OPTIONS,
    Judgement,
    ReadingRecipe,
    ask_in_words,
    cache_seen,
    judge,
    object_sizes,
    train_decoder,
    train_reading,
    write_decoder,
)
from retinoscope.recipes.interfaces._ask import ask
from retinoscope.recipes.interfaces._decoder import (
    DecoderRecipe,
    build_decoder,
    take_language_model,
)
from retinoscope.recipes.interfaces._judge import SCHEMA, describe
from retinoscope.recipes.pocket import Sizes, Stage
from retinoscope.recipes.pocket._bank import draw_bank
from retinoscope.recipes.pocket._turns import DESCRIBE

TINY = Sizes(text_width=16, text_layers=2, text_heads=2, text_ff=16)
TOWER = {"patch": 48, "width": 16, "layers": 1, "heads": 2, "ff": 16}
SHORT = Stage(steps=3, batch=4, lr=1e-2, warmup=1)


class Interrupted(Exception):
    pass


def quiet(*_):
    pass


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return draw_bank(tmp_path_factory.mktemp("bank"), 12, HELD_OUT_SEED, 16, quiet, OPTIONS)


@pytest.fixture(scope="module")
def decoder():
    return build_decoder(TINY, interface_tokenizer())


def projector(ff=16, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_interface("projector", {"tower": TOWER, "ff": ff}, 16)


def lavit(bank):
    """Keeps a third of 9 x 9 patches: some scenes have more tokens than others."""
    tower = {**TOWER, "patch": 16}
    sizes = {"heads": 2, "ff": 16, "n_codes": 8, "d_code": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = {"tower": tower, "tokenizer": sizes, "heads": 2, "ff": 16}
        made = build_interface("lavit", settings, 16)
    patches = made.see(to_pixels(bank.images))["contrastive"][:, 1:].detach()
    made.tokenizer.standardise(patches)
    made.tokenizer.calibrate(patches)
    return made.eval()


# What was seen


def test_interfaces_with_one_tower_share_what_it_saw(tmp_path, bank):
    first, other = projector(), projector(ff=24)
    cache_seen(first, bank, tmp_path, quiet)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    seen = cache_seen(other, bank, tmp_path, quiet)
    assert [each.stat().st_mtime_ns for each in tmp_path.iterdir()] == [written]
    rows = np.array([1, 7])
    expected = first.see(to_pixels(bank.images[rows]))["contrastive"]
    torch.testing.assert_close(seen.rows(rows)["contrastive"], expected, atol=2e-3, rtol=2e-3)


def test_another_tower_or_bank_never_gets_it(tmp_path, bank):
    cache_seen(projector(), bank, tmp_path, quiet)
    tower = projector()
    with torch.no_grad():
        tower.tower.post_layernorm.bias += 0.1
    cache_seen(tower, bank, tmp_path, quiet)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_cache_is_written_again(tmp_path, bank):
    def interrupt(*_):
        raise Interrupted

    with pytest.raises(Interrupted):
        cache_seen(projector(), bank, tmp_path, interrupt)
    seen = cache_seen(projector(), bank, tmp_path, quiet)
    assert [file.suffix for file in tmp_path.iterdir()] == [".npy"]
    assert len(seen) == len(bank)


# Training


def trained(work, bank, decoder, stop_at=None):
    interface = projector()
    seen = cache_seen(interface, bank, work, quiet)

    def report(name, step, steps, loss):
        if (name, step) == stop_at:
            raise Interrupted

    recipe = ReadingRecipe(alone=SHORT, both=SHORT, text_tokens=60)
    result = train_reading(
        interface, decoder, seen, bank, recipe,
        name="toy", seed=3, work=work, report=report, checkpoint_seconds=0,
    )  # fmt: skip
    return interface, result.decoder


@pytest.mark.parametrize("stop_at", [("alone-toy", 2), ("both-toy", 1), ("both-toy", 3)])
def test_interrupted_and_resumed(tmp_path, bank, decoder, stop_at):
    expected = trained(tmp_path / "whole", bank, decoder)
    with pytest.raises(Interrupted):
        trained(tmp_path / "parts", bank, decoder, stop_at)
    resumed = trained(tmp_path / "parts", bank, decoder)
    for module, same in zip(expected, resumed, strict=True):
        state = same.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_training_moves_the_interface_and_the_reader_only(tmp_path, bank, decoder):
    before, start = copy.deepcopy(decoder.state_dict()), projector()
    interface, reader = trained(tmp_path, bank, decoder)
    assert all(torch.equal(v, before[k]) for k, v in decoder.state_dict().items())
    moved = {k for k, v in reader.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {name for name in before if name.endswith("_proj.weight")}
    same = start.state_dict()
    for name, value in interface.state_dict().items():
        assert torch.equal(value, same[name]) == name.startswith("tower."), name


def test_merged_updates_compute_what_separate_ones_do(tmp_path, bank, decoder):
    interface, merged = trained(tmp_path, bank, decoder)
    separate = copy.deepcopy(decoder)
    start = "module/low_rank/"
    saved = load_file(tmp_path / "both-toy.safetensors")
    attach(separate.model, 8, 16.0, 3).load_state_dict(
        {name.removeprefix(start): part for name, part in saved.items() if name.startswith(start)}
    )
    seen = cache_seen(interface, bank, tmp_path, quiet)
    with torch.no_grad():
        visual = interface(seen.rows(np.arange(4))).embeddings
        one, other = (model(inputs_embeds=visual).logits for model in (separate, merged))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert not torch.equal(other, decoder(inputs_embeds=visual).logits)


def test_visual_tokens_start_as_long_as_words(tmp_path, bank, decoder):
    interface = projector(ff=256)
    interface.start(0.6)
    tokens = interface.encode(to_pixels(bank.images)).embeddings
    assert 0.4 < tokens.square().mean().sqrt() < 0.8


# The language model


def test_the_language_model_learns_from_text_and_opens_again(tmp_path):
    stage = Stage(steps=12, batch=8, lr=1e-2, warmup=2)
    losses = []
    recipe = DecoderRecipe(sizes=TINY, start=None, scenes=40, text_tokens=80, stage=stage)
    model = train_decoder(tmp_path / "work", recipe, lambda n, s, k, loss: losses.append(loss))
    assert losses[-1] < losses[0] - 0.1
    write_decoder(model, tmp_path / "folder")
    opened = open_decoder(tmp_path / "folder")
    ids = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(opened(ids).logits, model(ids).logits, atol=0.05, rtol=0.05)
    table = ask_in_words(opened, 3, 16)
    assert set(table.columns) == {"kind", "right", "chance", "n"}
    assert table["right"].is_between(0, 1).all()


def test_it_starts_as_pocket_with_rows_for_new_words():
    tokenizer = interface_tokenizer()
    model = build_decoder(Sizes(), tokenizer)
    take_language_model(model, "pocket", tokenizer, 0)
    pocket = rs.load("pocket").model
    ids = tokenizer("user: what color is the car?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        new = model(ids).logits
        old = pocket.lm_head(pocket.model.language_model(ids).last_hidden_state)
    torch.testing.assert_close(new[..., : old.shape[-1]], old)
    rows = model.model.embed_tokens.weight
    one, several = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in ("car", "cars"))
    assert one < old.shape[-1] <= several
    assert torch.equal(rows[one], rows[several])


# Judging


def test_every_question_has_a_row_with_its_object(tmp_path, bank, decoder):
    interface = projector()
    seen = cache_seen(interface, bank, tmp_path, quiet)
    judgement = judge(interface, decoder, seen, bank, object_sizes(len(bank)))
    rows = judgement.rows
    assert dict(rows.schema) == SCHEMA
    asked = rows.filter(~pl.col("kind").str.starts_with("caption"))
    questions = [q for texts in bank.texts for q in texts.questions]
    assert asked["question"].to_list() == [q.question for q in questions]
    about = [q.about[0] if len(q.about) == 1 else None for q in questions]
    assert asked["object"].to_list() == about
    assert (asked["right"] == (asked["said"] == asked["expected"])).all()
    assert asked["yes"].is_not_null().to_list() == [q.kind.startswith("polling") for q in questions]
    recall = rows.filter(pl.col("kind") == "caption-recall")
    layouts = [scene_layout(index, HELD_OUT_SEED, OPTIONS) for index in range(len(bank))]
    objects = [index for index, layout in enumerate(layouts) for _ in layout.items]
    assert recall["scene"].to_list() == objects
    assert recall["area"].min() > 0


@pytest.mark.parametrize("name", ["projector", "lavit"])
def test_the_opened_model_answers_what_was_judged(tmp_path, bank, decoder, name):
    """The prompt of a `VLM` has the ids and positions that were trained and judged."""
    interface = projector() if name == "projector" else lavit(bank)
    config = InterfaceConfig(name, interface.settings, decoder.config, image_token_id=4)
    model = InterfaceForConditionalGeneration(config).eval()
    model.interface.load_state_dict(interface.state_dict())
    model.language_model.load_state_dict(decoder.state_dict())
    vlm = rs.load(model=model, processor=interface_processor(interface.n_tokens))
    lengths = interface.encode(to_pixels(bank.images)).there.sum(1)
    pair = [int(lengths.argmin()), int(lengths.argmax())]
    assert pair == [0, 0] if name == "projector" else lengths[pair[0]] < lengths[pair[1]]
    images, asked = bank.images[pair], [bank.texts[i].questions[:3] for i in pair]
    tokens = interface.encode(to_pixels(images))
    replies = ask(decoder, tokens.embeddings, asked, tokens.mask)
    yes, no = interface_tokenizer().convert_tokens_to_ids(["▁yes", "▁no"])
    pairs = [(image, q) for image, of in zip(images, asked, strict=True) for q in of]
    for (image, question), said, expected in zip(pairs, replies.said, replies.yes, strict=True):
        logits = vlm.run(vlm.prompt(Image.fromarray(image), question.question)).logits
        assert logits.argmax() == said
        assert (logits[yes] - logits[no]).sigmoid() == pytest.approx(expected, abs=1e-4)
    captions = describe(decoder, tokens.embeddings, tokens.mask)
    for image, caption in zip(images, captions, strict=True):
        written = vlm.run(vlm.prompt(Image.fromarray(image), DESCRIBE)).generate(40)
        assert interface_tokenizer().decode(written.token_ids, skip_special_tokens=True) == caption


def rows(*entries):
    names = ("kind", "expected", "said", "right", "radius")
    return pl.DataFrame([dict(zip(names, entry, strict=True)) for entry in entries], SCHEMA)


def test_scores_separate_sizes_and_what_is_absent():
    scores = Judgement(
        rows(
            ("polling", "yes", "yes", True, 8.0),
            ("polling", "yes", "no", False, 9.0),
            ("polling", "yes", "yes", True, 20.0),
            ("polling", "no", "no", True, None),
            ("polling-adversarial", "no", "yes", False, None),
            ("caption-recall", "car", "a cup.", False, 8.0),
            ("color", "red", "red", True, 20.0),
        )
    ).scores()
    expected = {
        "present-small": 0.5, "present-large": 1.0, "absent": 0.0, "absent-adversarial": 1.0,
        "color": 1.0, "caption-recall-small": 0.0,
    }  # fmt: skip
    assert {name: scores[name] for name in expected} == expected
    assert np.isnan(scores["caption-recall-large"])


def test_one_batch_or_several_give_the_same_answers(tmp_path, bank, decoder, monkeypatch):
    interface = projector()
    seen = cache_seen(interface, bank, tmp_path, quiet)
    sizes = object_sizes(len(bank))
    whole = judge(interface, decoder, seen, bank, sizes)
    monkeypatch.setattr("retinoscope.recipes.interfaces._judge._BATCH", 5)
    parts = judge(interface, decoder, seen, bank, sizes)
    key = ["scene", "kind", "question", "expected", "said"]
    assert whole.rows.sort(key).select(key).equals(parts.rows.sort(key).select(key))
