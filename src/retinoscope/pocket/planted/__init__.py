"""Tiny models with a known mechanism, since every weight was set by hand.

    vlm = rs.load("planted:via-query")
    sample = rs.data.squares(1)[0]
    vlm.run(vlm.prompt(sample.image, "Describe this image.")).generate().text    # "bird star"

Each is an ordinary LLaVA (CLIP tower, projector, Llama decoder) that names the objects of a
`data.squares` image in alphabetical order, whatever the prompt; `PLANTED` says how. Nothing is
trained and nothing is masked: a token that never sees another has an attention weight of exactly 0
for it. Words of answers must not occur in the prompt, and an answer cannot be started (`prefill`),
since a token's role in the mechanism follows from its word.
"""

from ._build import build
from ._decoder import GATHER, LOOK, SPEAK
from ._kinds import PLANTED, PREFIX, Planted, planted_named

__all__ = ["GATHER", "LOOK", "PLANTED", "PREFIX", "SPEAK", "Planted", "build", "planted_named"]
