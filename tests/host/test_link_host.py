"""The host's end of the link, with wires that behave as no node does."""

from __future__ import annotations

import pytest
from sensewell_host.link import Link, LinkError


class Flood:
    """A program that prints without end and never answers."""

    def write(self, data: bytes) -> int:
        return len(data)

    def has(self, mark: bytes) -> bool:
        return False

    def read_to(self, mark: bytes, end: float) -> bytes | None:
        return b"12345\r\n"


def test_a_program_that_never_stops_printing_is_not_listened_to_for_ever() -> None:
    with pytest.raises(LinkError, match=r"link\.silent"):
        Link(Flood()).ask("hello", timeout_s=0.05, tries=2)
