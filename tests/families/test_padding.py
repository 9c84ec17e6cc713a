"""What the library computes of a padded batch, our runs compute one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from checks import QUESTION, picture
from table import ROWS
from tiny_query import N_QUERIES

import retinoscope as rs

# The tiny tokenizers know few words of the families' conversations.
pytestmark = pytest.mark.filterwarnings("ignore::retinoscope.errors.UnknownWordsWarning")

LONG = QUESTION + " and where is the dog"
IMAGES = [picture((70, 40)), picture((48, 48), seed=3)]
QUERIES = ("BLIP-2", "InstructBLIP", "Kosmos-2")
ROWS_HERE = [row for row in ROWS if row.own]


def padded(vlm: rs.VLM, texts: list[str]) -> dict[str, torch.Tensor]:
    """The family's own processor on both prompts at once."""
    options: dict[str, Any] = {"images": [[image] for image in IMAGES]}
    if vlm.capabilities.family in QUERIES:
        # These processors write the placeholders themselves.
        texts = [text.removeprefix("<image>") for text in texts]
        options["images"] = IMAGES
    if vlm.capabilities.family == "Kosmos-2":
        options["num_image_tokens"] = N_QUERIES
    if vlm.capabilities.family == "Llama 3.2 Vision":
        options["add_special_tokens"] = False
    call: Any = vlm.processor
    batch = call(text=texts, padding=True, padding_side="left", return_tensors="pt", **options)
    return {name: value for name, value in batch.items() if name != "labels"}


@pytest.mark.parametrize(
    "row",
    # InstructBLIP's padding lies between image and text and its rotary positions count it: in the
    # library itself a padded prompt gives other logits than the same prompt alone.
    [row for row in ROWS_HERE if "instructblip" not in row.test],
    ids=lambda row: row.test,
)
def test_a_padded_batch_of_the_library_equals_single_runs(row):
    vlm = row.load()
    pairs = list(zip(IMAGES, (QUESTION, LONG), strict=True))
    runs = [vlm.run(vlm.prompt([image], text)) for image, text in pairs]
    assert runs[0].n != runs[1].n
    batch = padded(vlm, [run.prompt.formatted for run in runs])
    assert int(batch["attention_mask"].sum(-1).min()) < batch["input_ids"].shape[1]
    with torch.no_grad():
        logits = vlm.model(**batch).logits.float()
    # Kosmos-2 pads on the right whatever it is told.
    last = [int(mask.nonzero()[-1]) for mask in batch["attention_mask"]]
    for run, wanted in zip(runs, logits[[0, 1], last], strict=True):
        assert float((run.logits - wanted).abs().max()) <= 2e-5 * float(wanted.abs().max())


@pytest.mark.parametrize("row", ROWS_HERE, ids=lambda row: row.test)
def test_a_raw_prompt_equals_the_conversation_it_was_written_as(row):
    vlm = row.load()
    run = vlm.run(vlm.prompt([IMAGES[0]], QUESTION))
    raw = vlm.run(vlm.prompt([IMAGES[0]], run.prompt.formatted, raw=True))
    assert raw.inputs.input_ids.tolist() == run.inputs.input_ids.tolist()
    assert torch.equal(raw.logits, run.logits)
