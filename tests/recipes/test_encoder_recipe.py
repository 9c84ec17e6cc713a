"""The comparison in miniature: every objective trains, on images and captions and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

import retinoscope as rs
from retinoscope import encoders
from retinoscope.data.scenes import KINDS
from retinoscope.encoders import packed as packing
from retinoscope.encoders.captions import GROUNDED_SEED, TRAIN_SEED, caption_ids, held_out
from retinoscope.encoders.comparison import OBJECTIVES, TowerSizes
from retinoscope.encoders.packed import PackedEncoders, repack
from retinoscope.encoders.small_tower import (
    aggregate,
    build_tower,
    drawn_patches,
    encode,
)
from retinoscope.errors import CapabilityError, InputError
from retinoscope.interfaces import TextTower
from retinoscope.recipes.encoders import EncoderRecipe, _pairs, train_encoders
from retinoscope.recipes.encoders import _train as training
from retinoscope.recipes.encoders._contrastive import Contrastive, info_nce
from retinoscope.recipes.encoders._objectives import Supervised, training_for
from retinoscope.recipes.encoders._pairs import PairBatch, Pairs, named_kinds, open_pairs
from retinoscope.recipes.encoders._views import pixels, view
from retinoscope.recipes.pocket import Stage

SIZES = TowerSizes(
    patch=48, width=16, layers=1, heads=2, ff=16, text_layers=1, text_ff=16, prototypes=8
)
RECIPE = EncoderRecipe(
    sizes=SIZES, scenes=12, grounded_scenes=12, stage=Stage(steps=3, batch=4, lr=1e-3, warmup=1)
)


class Interrupted(Exception):
    pass


def _train(folder, stop_at=None, recipe=RECIPE, by=None, **options):
    def report(stage, step, steps, loss):
        if stop_at == (stage, step):
            if by is None:
                raise Interrupted
            os.kill(os.getpid(), by)

    return train_encoders(folder / "work", folder / "out", recipe=recipe, report=report, **options)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Sums of several threads come in another order: encoders would differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    _train(folder, seeds=2)
    return folder


def test_every_objective_and_seed_can_be_loaded(trained) -> None:
    out = trained / "out"
    packed = PackedEncoders(out)
    assert set(packed.names) == set(OBJECTIVES)
    image = rs.data.scenes(1)[0].image
    seen, runs = {}, []
    for name in encoders.small_names(out):
        encoder = encoders.load(name)
        runs.append(encoder.training)
        features = encoder.features(image)
        assert features.grid == (3, 3)
        assert list(features.layers) == ["vision.0", "vision.1"]
        seen[name] = features["vision.1"]
    assert runs == [encoders.TrainingRun(name, seed) for name in packed.names for seed in (0, 1)]
    assert encoders.small_names(out, ["mae"]) == (f"small:mae/0@{out}", f"small:mae/1@{out}")
    assert len(seen) == 2 * len(OBJECTIVES)
    values = list(seen.values())
    different = [
        (a, b) for a in range(len(values)) for b in range(a) if np.array_equal(values[a], values[b])
    ]
    assert different == []


def test_an_interrupted_training_goes_on_to_the_same_bytes(trained, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training, "_READ_EVERY", 1)
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", -1.0)
    for stop in (("distillation-0", 3), ("contrastive-max-self-0", 2)):
        with pytest.raises(Interrupted):
            _train(tmp_path, stop, seeds=2)
        assert (tmp_path / "work" / f"{stop[0]}.safetensors").exists(), "a checkpoint to go on from"
    _train(tmp_path, seeds=2)
    files = sorted(path.name for path in (trained / "out").glob("*.safetensors"))
    assert files
    for name in files:
        assert (tmp_path / "out" / name).read_bytes() == (trained / "out" / name).read_bytes()


def test_a_signal_leaves_a_training_that_goes_on(trained, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training, "_READ_EVERY", 1)
    for stop in (("scenes-12", 12), ("distillation-0", 1)):
        with pytest.raises(KeyboardInterrupt):
            _train(tmp_path, stop, by=signal.SIGTERM, seeds=2)
        assert not (tmp_path / "out").exists()
    with safe_open(tmp_path / "work" / "distillation-0.safetensors", "pt") as file:
        assert file.metadata()["step"] == "2"
    _train(tmp_path, seeds=2)
    for path in (trained / "out").glob("*.safetensors"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def drawn(trained, tmp_path):
    """A folder in which the scenes are drawn, for which a training starts processes."""
    shutil.copytree(trained / "work" / "scenes-12", tmp_path / "work" / "scenes-12")
    return tmp_path


@pytest.mark.slow
def test_a_signal_ends_all_processes_after_their_steps(drawn, capfd) -> None:
    """The first one told ends the others; each writes a checkpoint, none a traceback."""
    long = replace(RECIPE, stage=replace(RECIPE.stage, steps=100_000))
    with pytest.raises(KeyboardInterrupt):
        _train(
            drawn,
            ("mae-0", 40),
            by=signal.SIGTERM,
            recipe=long,
            seeds=2,
            processes=2,
            objectives=["mae"],
        )
    assert "Traceback" not in capfd.readouterr().err
    found = {}
    for seed in (0, 1):
        with safe_open(drawn / "work" / f"mae-{seed}.safetensors", "pt") as file:
            found[seed] = int(file.metadata()["step"])
    assert found[0] >= 40
    assert found[1] >= 1


@pytest.mark.slow
def test_processes_train_the_same_encoders(trained, drawn) -> None:
    _train(drawn, seeds=2, processes=2, objectives=["mae"])
    for seed in (0, 1):
        one, two = (
            PackedEncoders(where / "out").weights("mae", seed) for where in (trained, drawn)
        )
        assert all(torch.equal(one["tower"][key], two["tower"][key]) for key in one["tower"])


def test_files_stay_below_their_limit(trained, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(packing, "LARGEST", 600_000)
    packed = PackedEncoders(trained / "out")
    units = [
        (name, 0, {f"{part}/{key}": value.half() for part, state in states.items()
                   for key, value in state.items()})
        for name in packed.names
        for states in [packed.weights(name, 0)]
    ]  # fmt: skip
    written = packing.pack(tmp_path, packed.sizes, units, {})
    assert len(written) > 3
    assert all(path.stat().st_size < 620_000 for path in written)
    again = PackedEncoders(tmp_path)
    for name, _, weights in units:
        found = again.weights(name, 0)
        assert all(
            torch.equal(found[part][key], weights[f"{part}/{key}"].float())
            for part in found
            for key in found[part]
        )


def test_the_package_is_one_seed_of_some(trained, tmp_path) -> None:
    repack(trained / "out", tmp_path, ["mae", "contrastive"], seed=1)
    packed = PackedEncoders(tmp_path)
    assert packed.names == ("contrastive-class", "mae")
    assert packed.seeds("contrastive") == (1,)
    one, two = packed.weights("mae", 1), PackedEncoders(trained / "out").weights("mae", 1)
    assert all(torch.equal(one["tower"][key], two["tower"][key]) for key in two["tower"])


def test_a_loader_gives_images_and_captions_only(tmp_path, monkeypatch) -> None:
    # Two processes draw them.
    monkeypatch.setattr(_pairs, "_CHUNK", 3)
    pairs = open_pairs(
        tmp_path, 6, grounded=False, tokens=40, device=torch.device("cpu"), report=lambda *_: None
    )
    assert {field.name for field in fields(Pairs)} == {"images", "captions"}
    assert {field.name for field in fields(PairBatch)} == {"images", "captions"}
    batch = pairs.batch(np.random.default_rng(0), 4)
    assert set(vars(batch)) == {"images", "captions"}
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"images.npy", "captions.json", "done"}
    for number, sample in enumerate(rs.data.scenes(6, TRAIN_SEED)):
        np.testing.assert_array_equal(pairs.images[number], np.asarray(sample.image))
        assert torch.equal(pairs.captions[number], caption_ids(sample.captions, 40)[0])
        kinds = {KINDS[k] for k in named_kinds(pairs.captions)[number].nonzero()[:, 0]}
        assert kinds == {found.name for found in sample.objects}


def test_training_scenes_are_no_others() -> None:
    trained = rs.data.scenes(5, TRAIN_SEED)
    for seen in (trained, rs.data.by_color(trained), rs.data.grounded(5, GROUNDED_SEED)):
        with pytest.raises(InputError, match="on which no encoder was trained"):
            held_out(seen)
    held_out(rs.data.scenes(5))
    held_out(rs.data.grounded(5))
    assert len({TRAIN_SEED, GROUNDED_SEED, 0, 1}) == 4


def test_grounded_objectives_learn_from_grounded_scenes(tmp_path) -> None:
    _train(tmp_path, objectives=["grounded-max"], seeds=1)
    assert {path.name for path in (tmp_path / "work").glob("*-12")} == {"grounded-12", "scenes-12"}
    images = np.load(tmp_path / "work" / "grounded-12" / "images.npy")
    for image, sample in zip(images, rs.data.grounded(12, GROUNDED_SEED), strict=True):
        np.testing.assert_array_equal(image, np.asarray(sample.image))


def test_the_small_towers_are_equal_at_the_start(trained) -> None:
    packed = PackedEncoders(trained / "out")
    start = build_tower(SIZES, 1).state_dict()
    kept = packed.weights("random", 1)["tower"]
    assert all(torch.equal(kept[key], start[key].half().float()) for key in kept)


def test_two_towers_share_a_space(trained) -> None:
    out = trained / "out"
    image = rs.data.scenes(1)[0].image
    for way, expected in (
        ("class", None),
        ("average", lambda all_: all_.mean(0)),
        ("max", lambda all_: all_.max(0)),
    ):
        two = encoders.load_contrastive(f"small:contrastive-{way}/1@{out}")
        texts = two.text(two.prompts(["apple", "car"]))
        assert texts.shape == (2, 16)
        np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
        whole = two.image(image)
        assert np.linalg.norm(whole) == pytest.approx(1, rel=1e-5)
        if expected is not None:
            pooled = expected(two.locations(image)["joint"])
            np.testing.assert_allclose(whole, pooled / np.linalg.norm(pooled), atol=1e-5)
    assert two.prompts(["apple", "car"]) == ["an apple.", "a car."]
    with pytest.raises(InputError, match="words of drawn scenes"):
        two.text(["a giraffe."])
    with pytest.raises(CapabilityError, match="without texts"):
        encoders.load_contrastive(f"small:mae/0@{out}")
    larger = encoders.load_contrastive(f"small:contrastive-max@{out}", enlarge=2)
    assert larger.locations(image)["joint"].shape == (36, 16)
    alias = encoders.load(f"small:contrastive/1@{out}")
    assert alias.checksum() == encoders.load(f"small:contrastive-class/1@{out}").checksum()


def test_a_padded_text_is_the_text() -> None:
    texts = TextTower(SIZES, 200).eval()
    ids = caption_ids(["a red car.", "a red car and a blue house."], 40)
    with torch.no_grad():
        both, alone = texts(ids), texts(caption_ids(["a red car."], 8))
        dropped = texts(ids, torch.ones_like(ids, dtype=torch.bool))
    torch.testing.assert_close(both[:1], alone)
    assert torch.isfinite(dropped).all()


def test_the_maximum_sends_each_channel_to_one_patch() -> None:
    tokens = torch.randn(2, 10, 16, requires_grad=True)
    weight = torch.randn(16)
    (aggregate(tokens, "max") * weight).sum().backward()
    grads = tokens.grad
    assert grads is not None
    assert (grads[:, 0] == 0).all(), "the class token has no part"
    assert ((grads != 0).sum(1) == 1).all()
    tied = torch.ones(1, 5, 3, requires_grad=True)
    (aggregate(tied, "max") * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert tied.grad is not None
    assert ((tied.grad != 0).sum(1) == 1).all(), "one of equal patches"


def test_dropping_never_drops_all() -> None:
    generator = torch.Generator().manual_seed(0)
    assert drawn_patches(3, 9, 1e-9, generator).shape == (3, 1)
    half = drawn_patches(4, 81, 0.5, generator)
    assert half.shape == (4, 40)
    assert all(len(set(row.tolist())) == 40 for row in half)
    for wrong in (0.0, 1.5):
        with pytest.raises(InputError, match="share"):
            drawn_patches(3, 9, wrong, generator)


def test_dropping_is_off_where_features_are_read(trained) -> None:
    enc = encoders.load(f"small:contrastive-max-self-drop@{trained / 'out'}")
    image = rs.data.scenes(1)[0].image
    first, second = enc.features(image), enc.features(image)
    assert len(first) == 9
    np.testing.assert_array_equal(first["vision.1"], second["vision.1"])


def test_kept_patches_are_those_of_the_image() -> None:
    tower = build_tower(SIZES)
    shown = torch.randn(2, 3, 144, 144)
    all_of_them = torch.arange(9).expand(2, -1)
    torch.testing.assert_close(encode(tower, shown, all_of_them), encode(tower, shown))


def test_views_are_squares_of_the_image() -> None:
    images = torch.from_numpy(np.asarray(rs.data.scenes(1)[0].image).copy())[None]
    generator = torch.Generator().manual_seed(0)
    whole = view(images, generator, side=144, smallest=1.0, light=0.0)
    torch.testing.assert_close(whole, pixels(images), atol=1e-4, rtol=0)
    small = view(images, generator, side=48, smallest=0.3, largest=0.5, light=0.0)
    assert small.shape == (1, 3, 48, 48)
    assert small.min() >= -1


def test_info_nce_is_least_where_pairs_agree() -> None:
    vectors = torch.eye(4)
    scale = torch.tensor(3.0)
    assert info_nce(vectors, vectors, scale) < info_nce(vectors, vectors.roll(1, 0), scale)
    plain = torch.nn.functional.cross_entropy(scale.exp() * vectors, torch.arange(4))
    torch.testing.assert_close(info_nce(vectors, vectors, scale), plain)


@pytest.mark.parametrize("name", [n for n, o in OBJECTIVES.items() if o.kind != "random"])
def test_a_step_reaches_every_weight_of_the_tower(name) -> None:
    tower = build_tower(SIZES)
    trainer = training_for(OBJECTIVES[name], tower, SIZES, 0)
    loss = trainer.loss(pair_batch(), torch.Generator().manual_seed(0))
    assert torch.isfinite(loss)
    loss.backward()
    without = {key for key, value in tower.named_parameters() if value.grad is None}
    assert without == set()


def test_completion_trains_a_text_tower_and_keeps_it(trained) -> None:
    trainer = training_for(OBJECTIVES["completion"], build_tower(SIZES), SIZES, 0)
    numbers = [id(w) for module in trainer.modules.values() for w in module.parameters()]
    assert len(numbers) == len(set(numbers)), "no weight is trained twice"
    assert {id(w) for w in trainer.kept()["text"].parameters()} <= set(numbers)
    loss = trainer.loss(pair_batch(), torch.Generator().manual_seed(0))
    loss.backward()
    without = [
        w for module in trainer.modules.values() for w in module.parameters() if w.grad is None
    ]
    assert without == []
    with torch.autocast("cpu", torch.bfloat16):
        half = trainer.loss(pair_batch(), torch.Generator().manual_seed(0))
    assert float(half.detach()) == pytest.approx(float(loss.detach()), rel=0.05)
    two = encoders.load_contrastive(f"small:completion/1@{trained / 'out'}")
    assert two.text(two.prompts(["apple"])).shape == (1, 16)


def pair_batch() -> PairBatch:
    samples = rs.data.scenes(4)
    images = torch.from_numpy(np.stack([np.asarray(sample.image) for sample in samples]))
    return PairBatch(images, caption_ids([sample.captions[0] for sample in samples], 40))


def test_heads_do_not_depend_on_what_was_drawn_before() -> None:
    torch.manual_seed(0)
    one = training_for(OBJECTIVES["supervised"], build_tower(SIZES), SIZES, 3)
    torch.rand(7)
    two = training_for(OBJECTIVES["supervised"], build_tower(SIZES), SIZES, 3)
    assert isinstance(one, Supervised)
    assert not isinstance(one, Contrastive)
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.head.parameters(), two.modules["head"].parameters(), strict=True)
    )


def test_bad_input_is_refused(trained, tmp_path) -> None:
    with pytest.raises(InputError, match="expected objectives"):
        _train(tmp_path, objectives=["huge"])
    with pytest.raises(InputError, match="seeds"):
        _train(tmp_path, seeds=0)
    with pytest.raises(InputError, match="another recipe"):
        _train(trained, recipe=replace(RECIPE, scenes=13))
    with pytest.raises(InputError, match="device"):
        _train(tmp_path, device="gpu")
    out = trained / "out"
    for wrong in (f"small:mae/7@{out}", f"small:huge@{out}", "small:mae@/nowhere", "small:mae/x"):
        with pytest.raises(InputError, match="expected"):
            encoders.load(wrong)
