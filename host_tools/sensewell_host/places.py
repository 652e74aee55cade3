"""Where build/ lies, and how a path is told: by its name from the current folder, where it lies in there.

Commands find what other commands made, from whatever folder they are called. Knows no file.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def built(path: str) -> Path:
    """`path` in the repository's build/: as a relative path from its root, as an absolute one from elsewhere."""
    return short(ROOT / "build" / path)


def short(path: Path) -> Path:
    """`path`, relative to the current folder if it lies in there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
