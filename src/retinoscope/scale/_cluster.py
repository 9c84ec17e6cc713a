"""Joining a Ray cluster, or starting one here."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any


def connect(ray: Any, address: str | None) -> bool:
    """Joins or starts a cluster; returns whether this call did so."""
    if ray.is_initialized():
        return False
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    ray.init(
        address=address,
        include_dashboard=False if address is None else None,
        configure_logging=True,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    # Ray's own handler would end the process before the buffer is written.
    if main and before is not None:
        signal.signal(signal.SIGTERM, before)
    return True
