"""The packaged front end starts over what Python writes and serves, without an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium import browser

import retinoscope as rs
from retinoscope.viewer import _page, export_view

pytestmark = pytest.mark.skipif(
    not (_page.STATIC / "viewer.js").is_file(), reason="the front end is not built"
)


def test_the_page_of_an_export_lists_its_samples(
    runs: Path, pocket: rs.VLM, tmp_path: Path
) -> None:
    path, _ = export_view(runs, tmp_path, load=lambda name: pocket)
    with browser() as page:
        page.offline()
        page.open(path.as_uri())
        assert page.run(
            "new Promise((done) => { let n = 0; const look = () => {"
            "if (document.body.textContent.includes('scene-0-000000')) done(true);"
            "else if (++n > 200) done(false); else setTimeout(look, 50); }; look(); })"
        )
        assert page.problems == []


def test_the_live_page_starts_under_its_policy(pocket: rs.VLM, serving: Callable[..., Any]) -> None:
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from retinoscope.viewer._server import make_app

    with browser() as page, serving(make_app(pocket)) as served:
        page.open(f"{served.url}/")
        assert page.run(
            "new Promise((done) => { let n = 0; const look = () => {"
            "if (document.body.textContent.includes('pocket')) done(true);"
            "else if (++n > 200) done(false); else setTimeout(look, 50); }; look(); })"
        )
        assert page.problems == []
