"""An interface as a Hugging Face model: what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_interface import interface
from transformers import LlamaConfig, LlamaForCausalLM

from retinoscope.cli import main
from retinoscope.errors import InputError
from retinoscope.interfaces import assemble, build_interface, open_decoder


def test_more_tokens_than_the_context_holds_are_refused() -> None:
    assert interface("projector", max_position_embeddings=50).interface.n_tokens == 49
    with pytest.raises(InputError, match="fewer than 49 visual tokens"):
        interface("projector", max_position_embeddings=49)


def test_tokens_that_are_not_there_are_not_read() -> None:
    """Neither their embeddings nor the places that they leave matter."""
    model = interface("qformer")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, 28, 28, generator=generator)
    seeing = model.interface.encode
    there = torch.tensor([[1, 0, 1, 1, 1, 0], [1, 1, 0, 0, 0, 1]]).bool()
    text = torch.tensor([5, 6, 7])
    image = model.config.image_token_id

    def some(pixels: torch.Tensor):
        whole = seeing(pixels)
        noise = torch.randn(whole.embeddings.shape) * ~there[: len(pixels), :, None]
        return replace(whole, embeddings=whole.embeddings + noise, mask=there[: len(pixels)])

    model.interface.encode = some
    ids = torch.cat([torch.full((2, 6), image), text.expand(2, -1)], 1)
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=pixels).logits[:, -3:]
        for row in range(2):
            own = seeing(pixels[row : row + 1]).embeddings[:, there[row]]
            words = model.get_input_embeddings()(text[None])
            alone = model.language_model(inputs_embeds=torch.cat([own, words], 1)).logits[:, -3:]
            torch.testing.assert_close(logits[row : row + 1], alone, atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="placeholders for 4 visual tokens, got 3"):
        model(input_ids=ids[:, 3:], pixel_values=pixels)


def test_a_folder_of_another_language_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got no config\.json"):
        open_decoder(tmp_path)
    config = LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="expected a language model of 118 words, got one of 30"):
        open_decoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected the interfaces' language model, got"):
        open_decoder(tmp_path)


def test_a_qformer_with_more_queries_than_the_context_is_refused() -> None:
    tower = {"image": 24, "patch": 8, "width": 16, "layers": 1, "heads": 2, "ff": 16}
    made = build_interface("qformer", {"tower": tower, "queries": 40, "ff": 16, "heads": 2}, 16)
    config = LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=40,
    )  # fmt: skip
    with pytest.raises(InputError, match="fewer than 40 visual tokens"):
        assemble(made, LlamaForCausalLM(config))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("towers", "qformer"), "expected towers without other names"),
        (("towers", "--seed", "3"), "expected no --seed with towers"),
        (("decoder", "--towers", "x"), "expected no --towers with decoder"),
        (("mechanism", "--decoder", "x"), "expected no --decoder with mechanism"),
        ((), "expected names of projector, qformer"),
    ],
)
def test_names_and_options_that_do_not_go_together(given, said, tmp_path, capsys) -> None:
    where = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(["train", "interface", *given, *where]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
