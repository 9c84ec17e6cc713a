"""Data sources by name (what the command line calls DATA), and their contents.

samples = open_source("coco:FOLDER")    # or "scenes:100", "gaze:FOLDER", ...
source_of(samples)                      # {"spec": "coco:FOLDER", "limit": 5000}
"""

from ._contents import Contents, advice, require_objects
from ._open import open_source, reopen_source, source_name, source_of

__all__ = [
    "Contents",
    "advice",
    "open_source",
    "reopen_source",
    "require_objects",
    "source_name",
    "source_of",
]
