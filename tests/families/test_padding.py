"""What the library computes of a padded batch, our runs compute one by one."""

from __future__ import annotations

import pytest
import torch
from checks import QUESTION, picture
from row import loaded, over
from table import ROWS

# The tiny tokenizers know few words of the families' conversations.
pytestmark = pytest.mark.filterwarnings("ignore::retinoscope.errors.UnknownWordsWarning")

LONG = QUESTION + " and where is the dog"
IMAGES = [picture((70, 40)), picture((48, 48), seed=3)]


# InstructBLIP's padding lies between image and text and its rotary positions count it: in the
# library itself a padded prompt gives other logits than the same prompt alone.
@over([row for row in ROWS if row.family != "InstructBLIP"])
def test_a_padded_batch_of_the_library_equals_single_runs(row):
    vlm = loaded(row)
    pairs = list(zip(IMAGES, (QUESTION, LONG), strict=True))
    runs = [vlm.run(vlm.prompt([image], text)) for image, text in pairs]
    assert runs[0].n != runs[1].n
    batch = row.library(
        vlm,
        [[image] for image in IMAGES],
        [run.prompt.formatted for run in runs],
        padding=True,
        padding_side="left",
    )
    assert int(batch["attention_mask"].sum(-1).min()) < batch["input_ids"].shape[1]
    with torch.no_grad():
        logits = vlm.model(**batch).logits.float()
    # Kosmos-2 pads on the right whatever it is told.
    last = [int(mask.nonzero()[-1]) for mask in batch["attention_mask"]]
    for run, wanted in zip(runs, logits[[0, 1], last], strict=True):
        assert float((run.logits - wanted).abs().max()) <= 2e-5 * float(wanted.abs().max())


@over(ROWS)
def test_a_raw_prompt_equals_the_conversation_it_was_written_as(row):
    vlm = loaded(row)
    run = vlm.run(vlm.prompt([IMAGES[0]], QUESTION))
    raw = vlm.run(vlm.prompt([IMAGES[0]], run.prompt.formatted, raw=True))
    assert raw.inputs.input_ids.tolist() == run.inputs.input_ids.tolist()
    assert torch.equal(raw.logits, run.logits)
