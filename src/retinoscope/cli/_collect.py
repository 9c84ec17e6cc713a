"""`retinoscope collect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ._say import say


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AddressOptions:
    """How images are shown.

    Args:
        task: describe by typing, read a description, or both (read if there is one).
        radius: radius of the sharp window, as a share of the image's diagonal.
        blur: standard deviation of the blur, as a share of the diagonal.
        per_session: the most images per session.
        shuffle: show them in a different order to each participant.
        consent: a text file that replaces the built-in consent text.
        title: heading of the first page.
    """

    task: Literal["describe", "read", "both"] = "describe"
    radius: float = 0.06
    blur: float = 0.03
    per_session: int | None = None
    shuffle: bool = True
    consent: Path | None = None
    title: str = "Where do you look?"


def collect(
    folder: str,
    /,
    *,
    out: Path,
    showing: AddressOptions = AddressOptions(),
    host: str = "127.0.0.1",
    port: int = 8000,
    open: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Collect where people look: they describe or read while a sharp window follows their hand.

    Serves a page on this machine until Ctrl-C. Participants accept a text first; a random number is
    the only thing kept about them. Images are blurred except for a small window that follows the
    mouse, a finger or the arrow keys; its positions, their times, and the words typed or read
    meanwhile are written to OUT, image by image. On an address other than this machine's own, the
    page asks for the token that is printed.

    For example:

        retinoscope collect photos --out runs/people --open

        retinoscope collect photos --out runs/people --task read --host 0.0.0.0

    Then `retinoscope saliency pocket collected:runs/people --out runs/attend` compares a model with
    these people.

    Args:
        folder: images, and for reading texts.csv with the columns image and text; or any DATA, such
            as scenes:10.
        out: folder of the sessions; an existing one is continued.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        open: open the page in the browser.
    """
    from ._common import check_counts

    check_counts(per_session=showing.per_session)
    from ..collect import CollectionOptions, serve_collection
    from ..gaze import described
    from ..sources import open_source

    samples = described(folder) if Path(folder).is_dir() else open_source(folder)
    serve_collection(
        samples,
        out,
        CollectionOptions(**vars(showing)),
        host=host,
        port=port,
        open_browser=open,
        say=say,
    )
