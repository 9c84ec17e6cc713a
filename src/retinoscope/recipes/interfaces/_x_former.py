"""The first stage of X-Former, and its arms.

Source: Swetha et al. 2024, "X-Former", section 3. Not known from there, and chosen here: contrast
and matching read the queries after both blocks (Z'), captions are written beside those before them
(Zq), and all of them see the second tower masked. In front of the language model, and later,
nothing is masked and nothing is reconstructed.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import InputError
from ...interfaces import Towers, XFormer, to_pixels
from ._arm import Arm, MatchingStage, SceneBatch
from ._reconstruction import Reconstruction, Weighting, masked_scenes


class XFormerStage(MatchingStage):
    """Contrast, matching and captioning with patches hidden from one tower, and their painting.

    Args:
        interface: an `XFormer` with "dual" fusion and the masked autoencoder.
        n_words: size of the vocabulary of the captions.
        hidden: share of the patches that are hidden (the paper: 0.5).
        weighting: which hidden patches count.

    Raises:
        InputError: another X-Former, or a share outside (0, 1).
    """

    def __init__(
        self,
        interface: XFormer,
        n_words: int,
        hidden: float = 0.5,
        weighting: Weighting = "all",
    ) -> None:
        if interface.fusion != "dual" or "mae" not in interface.frozen:
            raise InputError(
                "expected an X-Former with dual fusion and the masked autoencoder, got "
                f"fusion={interface.fusion!r} and {interface.second!r}: use MatchingStage"
            )
        super().__init__(interface, n_words)
        self.reconstruction = Reconstruction(interface.shape.width, hidden, weighting)

    def take(self, interface: XFormer, towers: Towers) -> None:
        self.reconstruction.take(interface, towers)

    def losses(
        self, interface: XFormer, batch: SceneBatch, generator: torch.Generator
    ) -> dict[str, Float[Tensor, ""]]:
        pixels, hidden = to_pixels(batch.images.numpy()), self.reconstruction.hidden
        scenes = masked_scenes(interface, batch.seen, pixels, hidden, generator)
        losses = self.heads(interface, scenes.seen, batch.captions, generator)
        return {**losses, "reconstruction": self.reconstruction.loss(interface, scenes)}


_DUAL = {"queries": 16, "layers": 2, "ff": 384, "read_every": 1, "block_ff": 384}
_CONCAT = {"queries": 16, "layers": 4, "ff": 384, "read_every": 2, "fusion": "concat"}

X_FORMER_ARMS: dict[str, Arm] = {
    "x-former": Arm(
        "x-former",
        _DUAL,
        "two towers in two blocks, with reconstruction of hidden patches",
        first=partial(XFormerStage, hidden=0.75),
        against=(
            "x-former-masked",
            "qformer",
            "x-former-plain",
            "x-former-concat",
            "x-former-contrastive",
        ),
    ),
    "x-former-masked": Arm(
        "x-former",
        _DUAL,
        "as much hidden from the second tower, but reconstruction counts nothing",
        first=partial(XFormerStage, hidden=0.75),
        weights={"reconstruction": 0.0},
        against=("qformer", "x-former-plain"),
    ),
    "x-former-plain": Arm(
        "x-former",
        _DUAL,
        "the same without reconstruction, and with nothing hidden",
        against=("qformer",),
    ),
    "x-former-concat": Arm(
        "x-former",
        _CONCAT,
        "a Q-Former that reads the tokens of both towers, one after the other",
        against=("qformer",),
    ),
    "x-former-contrastive": Arm(
        "x-former",
        {**_DUAL, "second": "contrastive"},
        "as x-former-plain, with an earlier layer of the contrastive tower as the second",
        against=("qformer", "x-former-plain"),
    ),
}
"""All of the size of the Q-Former. Left out: a Q-Former on a contrastive tower of twice the size,
and reconstruction in front of the language model too."""
