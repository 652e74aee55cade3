"""advice.py: a sentence for each reason that the device code can give, and none for reasons that there are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sensewell import signature
from sensewell_host.advice import _ADVICE, advice, with_advice

DEVICE = Path(__file__).parents[2] / "device" / "sensewell"
SOURCES = [path.read_text() for path in DEVICE.rglob("*.py")]
# What a board says of bundles and trust roots that come; `replay` is of recordings
NAMED = re.compile(
    r'"((?:arbiter|bundle|channel|condition|features|golden|guard|model|neural|node|rules|signature|slots|trust|window)'
    r'\.[a-z_.]*[a-z_])"'
)
REASONS = sorted({name for text in SOURCES for name in NAMED.findall(text)})
REASONS += [f"signature.{word}" for word in signature.REASONS.split()]
REASONS += ["bundle.board", "bundle.arch", "bundle.device", "bundle.hash.model", "golden.scores", "setup.missing"]


@pytest.mark.parametrize("reason", REASONS)
def test_there_is_something_to_do(reason: str) -> None:
    assert advice(reason) and advice(reason + ": some detail") == advice(reason)


def test_it_is_said_behind_the_reason() -> None:
    said = with_advice("slots.rollback: release counter 4, the floor is 5", "the board keeps what it had")
    assert re.fullmatch(r"slots\.rollback: .* 5; the board keeps what it had; pack it with a higher --release.*", said)
    assert with_advice("OSError 5", "the end") == "OSError 5; the end"


@pytest.mark.parametrize("name", [name for name in _ADVICE if "." in name])
def test_no_reason_is_made_up(name: str) -> None:
    assert name in REASONS
