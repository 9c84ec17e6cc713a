"""Nothing that was computed with one state of a model is served to another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import retinoscope as rs

TEXT = "Is there a cat in this image?"


def _projector(model: Any) -> nn.Linear:
    return model.model.multi_modal_projector.linear_2


def _block(model: Any) -> Any:
    return model.model.language_model.layers[1]


def _in_place(model: Any) -> None:
    _projector(model).weight.mul_(0.5)


def _data(model: Any) -> None:
    _projector(model).weight.data.mul_(0.5)


def _data_item(model: Any) -> None:
    _projector(model).weight.data[...] = 0.5


def _data_row(model: Any) -> None:
    _projector(model).weight.data[3] = 0


def _data_column(model: Any) -> None:
    _projector(model).weight.data[:, 5] = 0


def _data_bias(model: Any) -> None:
    _projector(model).bias.data[7] += 1


def _other_data(model: Any) -> None:
    _projector(model).weight.data = _projector(model).weight.data.clone() * 0.5


def _turned(model: Any) -> None:
    _projector(model).weight.data = _projector(model).weight.data.t()


def _parameter(model: Any) -> None:
    _projector(model).weight = nn.Parameter(_projector(model).weight * 0.5, requires_grad=False)


def _load(model: Any) -> None:
    model.load_state_dict({k: v * 0.5 for k, v in model.state_dict().items()})


def _merged(model: Any) -> None:
    """As a low-rank adapter is merged."""
    weight = _projector(model).weight
    weight.data += torch.ones(len(weight), 1) @ torch.ones(1, weight.shape[1]) * 0.1


class _Low(nn.Module):
    """A linear layer with a low-rank path beside it, as PEFT wraps one."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, given: Tensor) -> Tensor:
        return self.base_layer(given) + self.up(self.down(given))


def _wrapped(model: Any) -> None:
    model.model.multi_modal_projector.linear_2 = _Low(_projector(model)).eval()


def _buffer(model: Any) -> None:
    tower = model.model.vision_tower
    embeddings = next(m for m in tower.modules() if "position_ids" in m._buffers)
    embeddings.position_ids.copy_(embeddings.position_ids.flip(-1))


def _tower(model: Any) -> None:
    next(p for n, p in model.model.vision_tower.named_parameters() if "q_proj.weight" in n).data[
        0
    ] += 5


EDITS = (
    *(_in_place, _data, _data_item, _data_row, _data_column, _data_bias, _other_data, _turned),
    *(_parameter, _load, _merged, _wrapped, _buffer, _tower),
)


@pytest.fixture
def vlm(build: Any) -> rs.VLM:
    return rs.load(model=build.model(), processor=build.processor())


def by_the_library(vlm: rs.VLM, image: Image.Image) -> Tensor:
    run = vlm.prompt(image, TEXT)
    call: Any = vlm.processor
    given = call(text=[run.formatted], images=[image], return_tensors="pt")
    return vlm.model(**given).logits[0, -1].float()


class _Switched(_Low):
    """One that is switched and scaled as PEFT's are: by attributes, an edit in place among them."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__(base)
        self.disabled, self.active, self.scaling = False, ["a"], {"a": 1.0, "b": 0.3}

    def forward(self, given: Tensor) -> Tensor:
        if self.disabled:
            return self.base_layer(given)
        added = self.up(self.down(given)) * self.scaling[self.active[0]]
        return self.base_layer(given) + added


@pytest.mark.parametrize("way", ["off", "another", "scale"])
@torch.no_grad()
def test_an_adapter_that_is_switched_is_another_state(
    vlm: rs.VLM, square: Image.Image, way: str
) -> None:
    adapter = _Switched(_projector(vlm.model)).eval()
    vlm.model.model.multi_modal_projector.linear_2 = adapter
    run, fingerprint = vlm.run(vlm.prompt(square, TEXT)), vlm.fingerprint
    if way == "off":
        adapter.disabled = True
    elif way == "another":
        adapter.active[0] = "b"
    else:
        adapter.scaling["a"] *= 3
    after = vlm.run(vlm.prompt(square, TEXT))
    torch.testing.assert_close(after.logits, by_the_library(vlm, square), atol=1e-5, rtol=1e-4)
    assert (after.hidden(0) - run.hidden(0)).abs().max() > 1e-3
    assert vlm.fingerprint != fingerprint
    with pytest.raises(rs.InputError, match="changed since this run"):
        run.lens()


@torch.no_grad()
def test_a_setting_that_is_no_tensor_is_part_of_the_state(vlm: rs.VLM, square: Image.Image) -> None:
    run = vlm.run(vlm.prompt(square, TEXT))
    for module in vlm.model.model.vision_tower.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 0.5
    after = vlm.run(vlm.prompt(square, TEXT))
    torch.testing.assert_close(after.logits, by_the_library(vlm, square), atol=1e-5, rtol=1e-4)
    assert (after.hidden(0) - run.hidden(0)).abs().max() > 1e-3


def test_saving_a_model_leaves_its_runs_in_force(
    vlm: rs.VLM, square: Image.Image, tmp_path: Path
) -> None:
    run = vlm.run(vlm.prompt(square, TEXT))
    vlm.model.save_pretrained(tmp_path)
    run.lens()
    assert vlm.run(vlm.prompt(square, TEXT))._clean.state == run._clean.state


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_"))
@torch.no_grad()
def test_new_runs_use_the_weights_as_they_are(
    vlm: rs.VLM, square: Image.Image, edit: Callable[[Any], None]
) -> None:
    before = vlm.run(vlm.prompt(square, TEXT))
    held = before.logits.clone(), before.hidden(0).clone()
    fingerprint = vlm.fingerprint
    edit(vlm.model)
    after = vlm.run(vlm.prompt(square, TEXT))
    torch.testing.assert_close(after.logits, by_the_library(vlm, square), atol=1e-5, rtol=1e-4)
    assert (after.hidden(0) - held[1]).abs().max() > 1e-3
    torch.testing.assert_close(after.image.embeddings, vlm.encode([square])[0])
    assert torch.equal(before.logits, held[0])
    assert torch.equal(before.hidden(0), held[1])
    assert vlm.fingerprint != fingerprint
    effects = after.counterfactuals([rs.Ablate(after.image.at([1, 2]))])
    assert effects.logits.isfinite().all()


@torch.no_grad()
def test_what_mixes_two_states_is_refused(vlm: rs.VLM, square: Image.Image) -> None:
    run = vlm.run(vlm.prompt(square, TEXT))
    few = run.image.at([1, 2, 3])
    lens, late = run.lens(), run.counterfactuals([rs.Knockout(few, "last")])
    done = run.counterfactuals([rs.Ablate(few)])
    logits, ranks = done.logits.clone(), lens.rank("cat").clone()
    written, target = run.generate(2), rs.saliency.resolve(run, "cat")
    mean = rs.fill.mean(vlm, [square], cache=False)
    _block(vlm.model).mlp.down_proj.weight.data[3] = 0
    mixing: dict[str, Callable[[], object]] = {
        "counterfactuals": lambda: run.counterfactuals([rs.Ablate(few)]).logits,
        "reference": lambda: run.counterfactuals([rs.Ablate(few)], exact="reference").logits,
        "waiting effects": lambda: late.logits,
        "effects that go on": lambda: done.generate(2),
        "attention": lambda: run.attention(1),
        "a new lens": run.lens,
        "a lens' logits": lambda: lens.logits("cat"),
        "a lens' probabilities": lambda: lens.prob("cat"),
        "a new rank": lambda: lens.rank("dog"),
        "generate": lambda: run.generate(2),
        "go on with what was written": written.run,
        "gradients": lambda: rs.tokens.by_gradient(run, "cat", 3, steps=2),
        "map by gradients": lambda: rs.saliency.resolve(run, "cat").gradient,
        "map by states": lambda: target.states,
        "map by attention": lambda: target.weights,
        "value": lambda: target.value,
        "compact": lambda: rs.engine.compact_context(run, [[0, 1]] * vlm.n_layers),
    }
    for name, call in mixing.items():
        with pytest.raises(rs.InputError, match=r"weights .* changed since this .* was made"):
            print(name, call())
    assert torch.equal(done.logits, logits)
    assert torch.equal(lens.rank("cat"), ranks)
    assert len(lens.tokens) == vlm.n_layers + 1
    new = vlm.run(vlm.prompt(square, TEXT))
    for donor in (
        rs.Ablate(new.image.at([1]), rs.fill.donor(run)),
        rs.Patch(new.image.at([1]), layers=[1], donor=run),
    ):
        with pytest.raises(rs.InputError, match="changed since this run was made"):
            new.counterfactuals([donor])
    # The vision tower and the projector made the mean, and neither changed.
    assert new.counterfactuals([rs.Ablate(new.image.at([1]), mean)]).logits.isfinite().all()
    _projector(vlm.model).weight[3] = 0
    newest = vlm.run(vlm.prompt(square, TEXT))
    with pytest.raises(rs.InputError, match="computed with other weights"):
        newest.counterfactuals([rs.Ablate(newest.image.at([1]), mean)])


@torch.no_grad()
def test_casting_starts_anew(vlm: rs.VLM, square: Image.Image) -> None:
    run = vlm.run(vlm.prompt(square, TEXT))
    vlm.model.double()
    assert vlm.run(vlm.prompt(square, TEXT)).hidden(0).dtype == torch.float64
    with pytest.raises(rs.InputError, match=r"weights .* changed"):
        run.lens()


def test_two_models_over_the_same_weights_share_a_watch(vlm: rs.VLM, square: Image.Image) -> None:
    other = rs.load(model=vlm.model, processor=vlm.processor)
    run, theirs = (one.run(one.prompt(square, TEXT)) for one in (vlm, other))
    _projector(vlm.model).weight.data[0] = 0
    other.run(other.prompt(square, TEXT))
    for one in (run, theirs):
        with pytest.raises(rs.InputError, match="changed"):
            one.lens()
    copied = rs.load(model=copy.deepcopy(vlm.model), processor=vlm.processor)
    kept = copied.run(copied.prompt(square, TEXT))
    _projector(vlm.model).weight.data[0] = 1
    assert kept.lens().ids.shape[0] == vlm.n_layers + 1


@pytest.mark.parametrize("part", ["model", "a block"])
def test_training_mode_is_refused(vlm: rs.VLM, square: Image.Image, part: str) -> None:
    run = vlm.run(vlm.prompt(square, TEXT))
    (vlm.model if part == "model" else _block(vlm.model)).train()
    for call in (
        lambda: vlm.run(vlm.prompt(square, TEXT)),
        lambda: vlm.encode([square]),
        lambda: run.lens(),
        lambda: rs.load(model=vlm.model, processor=vlm.processor),
    ):
        with pytest.raises(rs.InputError, match=r"evaluation mode.*model\.eval"):
            call()
    vlm.model.eval()
    assert run.lens().ids.shape[0] == vlm.n_layers + 1


def test_autocast_has_its_own_state(vlm: rs.VLM, noise_image: Callable[..., Image.Image]) -> None:
    image = noise_image(50, 70)
    with torch.autocast("cpu", torch.bfloat16):
        vlm.encode([image])
        key = vlm.state()
        vlm._one_image(vlm.prompt(image, TEXT).inputs.pixels[0], key)
    run = vlm.run(vlm.prompt(image, TEXT))
    with torch.no_grad():
        wanted = by_the_library(vlm, image)
    torch.testing.assert_close(run.logits, wanted, atol=1e-5, rtol=1e-4)
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(rs.InputError, match=r"autocast .* changed since this run"),
    ):
        run.lens()
    run.lens()


def test_images_encoded_in_inference_mode_allow_gradients_later(
    vlm: rs.VLM, square: Image.Image
) -> None:
    with torch.inference_mode():
        vlm.run(vlm.prompt(square, TEXT))
    run = vlm.run(vlm.prompt(square, TEXT))
    assert len(rs.tokens.by_gradient(run, "cat", 3, steps=8)) == 3


def test_hooks_and_configuration_are_part_of_the_state(vlm: rs.VLM, square: Image.Image) -> None:
    run = vlm.run(vlm.prompt(square, TEXT))
    handle = _projector(vlm.model).register_forward_hook(lambda _, __, out: out * 2)
    hooked = vlm.run(vlm.prompt(square, TEXT))
    assert torch.equal(hooked.image.embeddings, run.image.embeddings * 2)
    handle.remove()
    # As it was: what was kept is right again.
    assert torch.equal(vlm.run(vlm.prompt(square, TEXT)).logits, run.logits)
    run.lens()
    vlm.model.set_attn_implementation("eager")
    with pytest.raises(rs.InputError, match="configuration changed"):
        run.lens()
    vlm.model.set_attn_implementation("sdpa")
    run.lens()


@pytest.mark.parametrize("many", [False, True])
def test_hooks_that_only_look_on_leave_a_run_in_force(
    vlm: rs.VLM, square: Image.Image, many: bool
) -> None:
    texts = [TEXT, "Is there a dog in this image?"]
    run = vlm.run_many(square, texts)[1] if many else vlm.run(vlm.prompt(square, TEXT))
    few, lens = run.image.at([1, 2]), run.lens()
    wanted = run.counterfactuals([rs.Ablate(few)]).logits
    seen: list[int] = []
    handle = _block(vlm.model).register_forward_hook(lambda _, __, out: seen.append(1))
    assert torch.equal(run.counterfactuals([rs.Ablate(few)]).logits, wanted)
    assert torch.equal(lens.logits("cat"), run.lens().logits("cat"))
    assert seen
    handle.remove()
    for place, ours, theirs in (
        (_block(vlm.model).mlp, "hooks", None),
        (vlm.model.lm_head, "hooks", "hooks"),
        (_projector(vlm.model), None, None),
    ):
        handle = place.register_forward_hook(lambda _, __, out: out * 1.5)
        for call, refused in ((run.lens, ours), (lambda: lens.logits("cat"), theirs)):
            if refused is None:
                call()
                continue
            with pytest.raises(rs.InputError, match=refused):
                call()
        handle.remove()
    run.lens()


def test_replaced_blocks_are_found(vlm: rs.VLM, square: Image.Image) -> None:
    """The adapter looks up the decoder's parts anew, and the check at load is made again."""
    vlm.run(vlm.prompt(square, TEXT))
    layers: Any = vlm.model.model.language_model.layers
    layers[1] = copy.deepcopy(layers[1])
    layers[1].mlp.down_proj.weight.data.mul_(3)
    run = vlm.run(vlm.prompt(square, TEXT))
    assert vlm.adapter.decoder.layers[1] is layers[1]
    few = run.image.at([1, 2])
    found, wanted = (
        run.counterfactuals([rs.Ablate(few)], exact=path).logits
        for path in ("incremental", "reference")
    )
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    vlm.model.model.language_model.layers = layers[:1]
    vlm.model.model.language_model.config.num_hidden_layers = 1
    assert len(vlm.run(vlm.prompt(square, TEXT))._clean.hidden) == 2


class _Noisy(torch.nn.Module):
    """An activation that is another one at each call."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.silu(hidden) + torch.randn_like(hidden)


def test_a_model_that_fails_the_check_anew_is_refused_until_it_is_mended(
    vlm: rs.VLM, square: Image.Image
) -> None:
    before, capabilities = vlm.run(vlm.prompt(square, TEXT)).logits, vlm.capabilities
    mlp: Any = _block(vlm.model).mlp
    plain, mlp.act_fn = mlp.act_fn, _Noisy().eval()
    for _ in range(2):
        with pytest.raises(rs.CapabilityError, match="differs from"):
            vlm.run(vlm.prompt(square, TEXT))
    mlp.act_fn = plain
    assert torch.equal(vlm.run(vlm.prompt(square, TEXT)).logits, before)
    assert vlm.capabilities == capabilities


def test_the_one_edit_that_is_not_seen_can_be_said(vlm: rs.VLM, square: Image.Image) -> None:
    """docs/engine.md names it: single elements through `.data`, off the lines that are read."""
    run = vlm.run(vlm.prompt(square, TEXT))
    weight = _projector(vlm.model).weight
    before, fingerprint = weight.detach().clone(), vlm.fingerprint
    state = vlm.state()
    for place in range(weight.numel()):
        weight.data.view(-1)[place] += 1e-3
        if vlm.state() == state:
            break
        state = vlm.state()
    assert not torch.equal(weight, before)
    assert vlm.state() == state
    vlm.weights_changed()
    assert vlm.state() != state
    assert vlm.fingerprint != fingerprint
    with pytest.raises(rs.InputError, match="weights"):
        run.lens()


def test_a_kept_image_is_encoded_once(vlm: rs.VLM, square: Image.Image, monkeypatch: Any) -> None:
    calls: list[int] = []
    encode = vlm.adapter.encode_images
    monkeypatch.setattr(
        vlm.adapter, "encode_images", lambda pixels: calls.append(len(pixels)) or encode(pixels)
    )
    for _ in range(3):
        vlm.run(vlm.prompt(square, TEXT)).lens()
    assert calls == [1]
