"""Words of the descriptions, by whether it is the control."""

from __future__ import annotations

from retinoscope.studies.columns import TEXT, TRUTH, WHOLE, Columns, columns
from retinoscope.studies.summary import Contrast, Estimate, Summary, c

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    "object": TEXT,
    "is_control": TRUTH,
    **columns(WHOLE, "n_tokens n_words"),
}
SUMMARY = Summary(
    by=("is_control",),
    where=c("is_control").is_not_null(),
    estimates=(Estimate("n_words", c("n_words"), share=False),),
    differences=(
        Contrast(
            "difference", c("n_words"), minus={"is_control": True}, where={"is_control": False}
        ),
    ),
    order={"is_control": None},
)
EXTRAS: dict[str, Summary] = {}
