"""Labels from text, groups without it and names of whole images, with controls and bounds."""

from __future__ import annotations

from .._map_options import COMPLETENESS
from .._training_runs import KINDS as RUN_KINDS
from .._training_runs import RUN_COLUMNS
from ..columns import NUMBER, TEXT, TEXTS, TRUTH, WHOLE, WHOLES, Columns, columns
from ..summary import Computed, Order, c
from .aggregation import MEASURES, aggregation
from .bottom_up import BOTTOM_UP
from .estimates import CONDITION, KINDS, LABELS, USED, classes, estimates
from .subjects import TRAINED, UNTRAINED
from .top_down import BOUND, CLASSIFICATION, TOP_DOWN

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "kind model"),
    **RUN_COLUMNS,
    **CONDITION,
    "classes": TEXTS,
    **columns(WHOLES, "right predicted there locations"),
    "left_out": TEXT,
    "correct": TRUTH,
    **columns(NUMBER, "chance best matched"),
    **columns(WHOLE, "n n_undefined n_groups"),
    **columns(NUMBER, f"seen {COMPLETENESS}"),
}
_ORDER: Order = {
    "model": None,
    "weights": (TRAINED, UNTRAINED),
    **dict.fromkeys(("candidates", "background", "method", "is_control")),
    "part": ("vision", "projector", "decoder"),
    "layer_number": None,
}
SUMMARY = Computed(
    make=estimates,
    by=tuple(name for name in ("kind", "model", *CONDITION) if name in KINDS),
    together=("kind", "model"),
    where=c("kind").is_not_null(),
    columns=USED,
    kinds=KINDS,
    order={"kind": (TOP_DOWN, BOTTOM_UP, CLASSIFICATION)} | _ORDER,
)
"""One record per model and condition of one kind.

`value` is the mean IoU ("top-down"), the mean overlap of instances by best match ("bottom-up";
"matched" is that by one-to-one matching), or accuracy ("classification"). `difference` is `value`
minus that of the `control` on the same images: swapped prompts; the strongest of the nulls (random
groups, Voronoi blobs, superpixels); chance. `bound` is the best that labels (or unions) of whole
locations can reach given the truth, `constant` the best that one label for all pixels can reach.
"""
EXTRAS = {
    "classes": Computed(
        make=classes,
        by=("model", *CONDITION, "class"),
        together=("model",),
        where=(c("kind") == TOP_DOWN) & (c("method") != BOUND),
        columns=(*CONDITION, *LABELS),
        kinds={
            **columns(TEXT, "model"),
            **CONDITION,
            "class": TEXT,
            "iou": NUMBER,
            **columns(WHOLE, "right predicted there"),
        },
        order=_ORDER | {"class": None},
    ),
    "aggregation": Computed(
        make=aggregation,
        by=("objective", "measure"),
        # Objectives and seeds are compared with one another.
        together=("kind",),
        where=c("training_seed").is_not_null() & (c("weights") == TRAINED),
        columns=(*RUN_COLUMNS, *CONDITION, *LABELS, "correct", "best", "n"),
        kinds={**columns(TEXT, "objective measure"), **RUN_KINDS},
        order={"objective": None, "measure": tuple(MEASURES)},
    ),
}
"""IoU of each class; and objectives with several training runs, by their way of aggregation: mean
over seeds, and difference from the class token's."""
