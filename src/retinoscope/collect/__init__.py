"""Collecting where people look while they describe or read: a page in the browser, no camera.

    serve_collection("photos/", "sessions/")

An image is blurred except for a small window that follows the mouse, a finger or the arrow keys
(BubbleView: Kim et al. 2017, ACM TOCHI 24:36). The window's positions are kept with time stamps,
aligned with the words typed or read meanwhile. `retinoscope.gaze.collected` reads them.
"""

from ._collection import Collection, CollectionOptions
from ._serve import serve_collection

__all__ = ["Collection", "CollectionOptions", "serve_collection"]
