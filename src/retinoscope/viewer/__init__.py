"""The microscope: one page over finished studies and over a live model.

    export_view("runs/demo", load=retinoscope.load)   # -> runs/demo/view/index.html, from disk
    serve(vlm)                                        # live, in a browser
    show(run)                                         # a notebook widget

The page and its scripts are the same in all three; `_documents` defines the data they read.
"""

from ._documents import CapabilityFacts
from ._export import export_view
from ._serve import serve
from ._widget import show

__all__ = ["CapabilityFacts", "export_view", "serve", "show"]
