"""`retinoscope look`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._common import Covering, Loading, Objects, run_study

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..studies import Study


def look(
    model: str,
    data: str,
    /,
    *,
    common: Covering,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
    objects: Objects = Objects(),  # noqa: B008 (frozen)
    max_new_tokens: int = 64,
    untrained: bool = True,
) -> None:
    """Where does a word look? Attention of a description's words to the objects that they name.

    For every object that the description names, the word's attention to the image is compared with
    the object's mask, by block and head; beside it the mask's area, another image's mask, and a
    copy with random weights.

    For example:

        retinoscope look pocket scenes:100 --out runs/look

        retinoscope look planted:direct squares:20 --out runs/planted-look

    Args:
        model: pocket, planted:NAME, a Hub id, or a folder with a Hugging Face model.
        data: scenes:N, squares:N, coco:FOLDER or folder:PATH.
        max_new_tokens: longest description.
        untrained: also run a copy with random weights, which needs the model's memory again.
    """

    def make(vlm: VLM, samples: Sequence[Sample]) -> Study:
        from ..studies import PromptOptions, WordAttention

        return WordAttention(
            vlm,
            samples,
            seed=common.seed,
            n_examples=common.examples,
            objects=PromptOptions(
                min_area=objects.min_area,
                max_area=objects.max_area,
                max_objects=objects.max_objects,
            ),
            max_new_tokens=max_new_tokens,
            untrained=untrained,
            min_cover=common.min_cover,
        )

    run_study(model, data, common, loading, make)
