"""Where people looked while they spoke or read a text, from every supported format.

    samples = vista("vista/")          # or folder, collected, simulated
    samples[0].attention[0].segment    # "red car", a phrase of the description
    samples[0].attention[0].density()  # (H, W), adds up to 1

Every `Gaze` (of `retinoscope.data`) says whose it is: "human", "simulated" or "mask".
"""

from ._collected import (
    COLLECTION,
    CollectedTrial,
    collected,
    collected_name,
    read_trial,
    reading_pieces,
    session_folder,
    trial_bytes,
)
from ._density import BANDWIDTH, centre_prior, pool
from ._folder import described, folder
from ._observer import Observer, mask_attention, observe, simulated, write_simulated
from ._options import GazeOptions
from ._recording import Recording, read_recording, recording_json
from ._segments import segment_of
from ._text import TextUnit, Transcript, transcript
from ._viewport import Viewport
from ._vista import vista

__all__ = [
    "BANDWIDTH",
    "COLLECTION",
    "CollectedTrial",
    "GazeOptions",
    "Observer",
    "Recording",
    "TextUnit",
    "Transcript",
    "Viewport",
    "centre_prior",
    "collected",
    "collected_name",
    "described",
    "folder",
    "mask_attention",
    "observe",
    "pool",
    "read_recording",
    "read_trial",
    "reading_pieces",
    "recording_json",
    "segment_of",
    "session_folder",
    "simulated",
    "transcript",
    "trial_bytes",
    "vista",
    "write_simulated",
]
