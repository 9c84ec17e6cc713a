"""Images that a language model writes in codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..arguments import whole
from ..errors import CapabilityError, InputError
from ._lavit import Lavit
from ._tower import from_pixels
from ._vocabulary import CLOSE, OPEN, code_name
from .codes import CodeSequences


@dataclass(frozen=True, eq=False)
class DrawnImage:
    """An image as it was written.

    Attributes:
        codes: in the order of writing.
        features: of all patches, as the tokenizer's decoder rebuilt them from the codes.
        image: a picture of these, as the interface's painter sees them.
    """

    codes: Int[Tensor, " token"]
    features: Float[Tensor, "patch width"]
    image: Image.Image


@torch.no_grad()
def draw(
    vlm: Any, caption: str, n: int = 1, *, top_k: int = 50, temperature: float = 1.0, seed: int = 0
) -> list[DrawnImage]:
    """Has images written for a caption, such as "a red car and a blue cup."

    Source: Jin et al. 2024 (LaVIT, arXiv 2309.04669), section 3.2: the codes of an image follow its
    caption, drawn from the `top_k` most probable ones.

    Args:
        vlm: one whose language model writes codes, such as the folder of the arm lavit-speaks.
        caption: in words that it knows.
        n: the number of images.
        top_k, temperature: of the draws; with `top_k` 1 the most probable codes.
        seed: of the draws.

    Raises:
        CapabilityError: a model that writes no codes.
        InputError: a word that the language model does not know, or a number out of range.
    """
    whole(n, "n", 1)
    drawn = draw_codes(vlm, [caption] * n, top_k=top_k, temperature=temperature, seed=seed)
    interface: Lavit = vlm.model.interface
    features = interface.tokenizer.decode(drawn.codes, drawn.mask)
    return [
        DrawnImage(codes[there].cpu(), seen.cpu(), Image.fromarray(painted))
        for codes, there, seen, painted in zip(
            drawn.codes, drawn.mask, features, from_pixels(interface.paint(features)), strict=True
        )
    ]


@torch.no_grad()
def draw_codes(
    vlm: Any,
    captions: Sequence[str],
    *,
    top_k: int = 50,
    temperature: float = 1.0,
    seed: int = 0,
) -> CodeSequences:
    """The codes that are written for captions; arguments and errors as in `draw`.

    What is written has no places: `home` is -1 everywhere.
    """
    whole(top_k, "top_k", 1)
    interface, tokenizer = getattr(vlm.model, "interface", None), vlm.tokenizer
    opening, close, first = tokenizer.convert_tokens_to_ids([OPEN, CLOSE, code_name(0)])
    if not isinstance(interface, Lavit) or first in (None, tokenizer.unk_token_id):
        raise CapabilityError(
            f"{vlm.name} writes no images: train one with `retinoscope train interface "
            "lavit-speaks`, and load its folder"
        )
    language: Any = vlm.model.language_model
    texts = [torch.tensor([*_ids(vlm, caption), opening]) for caption in captions]
    prompt = pad_sequence(
        texts, batch_first=True, padding_value=tokenizer.pad_token_id, padding_side="left"
    ).to(language.device)
    lengths = torch.tensor([len(text) for text in texts], device=prompt.device)
    behind = torch.arange(prompt.shape[1], 0, -1, device=prompt.device)
    chosen = {"top_k": top_k, "temperature": temperature} if top_k > 1 else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        written = language.generate(
            input_ids=prompt,
            attention_mask=(behind <= lengths[:, None]).long(),
            do_sample=top_k > 1,
            max_new_tokens=interface.shape.patches,
            suppress_tokens=[word for word in range(first) if word != close],
            begin_suppress_tokens=[close],
            eos_token_id=close,
            **chosen,
        )[:, prompt.shape[1] :]
    there = ((written == close).cumsum(1) == 0) & (written >= first)
    codes = (written - first).masked_fill(~there, 0)
    return CodeSequences(codes, there, torch.full_like(codes, -1))


def _ids(vlm: Any, caption: str) -> list[int]:
    tokenizer = vlm.tokenizer
    ids = tokenizer(caption)["input_ids"]
    for word in caption.split() if tokenizer.unk_token_id in ids else ():
        if tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False)["input_ids"]:
            raise InputError(f"expected words that {vlm.name} knows, got {word!r}: leave it out")
    return ids
