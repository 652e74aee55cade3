"""Makes the device package importable on the host: what a board computes, the host computes with the same files.

Knows where device/ lies and nothing of what is in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sensewell_host.errors import SensewellError

DEVICE = Path(__file__).resolve().parents[2] / "device"


def use_device_path() -> Path:
    """Put <repository>/device first on sys.path (once) and return it; SensewellError if it is not there."""
    if not (DEVICE / "sensewell" / "_port.py").is_file():
        raise SensewellError(f"the device package is not at {DEVICE}: clone the repository and `make install` there")
    if str(DEVICE) not in sys.path:
        sys.path.insert(0, str(DEVICE))
    return DEVICE
