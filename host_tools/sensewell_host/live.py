"""A node that runs, asked and served over the link: how it does, and its next bundle, which comes while it decides.

Here the running node keeps deciding; proof and switch are deploy.py's, at the prompt, and so is code that changed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sensewell_host import believe, board_slots, delta, runtime
from sensewell_host import link as links
from sensewell_host.board import Board, BoardInfo, catalog
from sensewell_host.device_path import use_device_path
from sensewell_host.link import DATA_BYTES, Link, LinkError

use_device_path()

from sensewell.reasons import REASONS  # noqa: E402
from sensewell.words import CAUSES, SOURCES  # noqa: E402

_WHOLE, _CONFIRMED = 2, 4  # of sensewell.slots.STATES

Progress = Callable[[int, int, str], None]  # as deploy.py has it


@dataclass(frozen=True)
class Brought:
    """What bring() did: bytes that travelled, bytes that were there or copied there, and how long it took."""

    bytes_sent: int
    bytes_there: int
    seconds: float


def bring(
    board: Board,
    content: bytes,
    *,
    chain: believe.Chain = (),
    unsigned: bool = False,
    again: bool = False,
    progress: Progress = lambda done, total, what: None,
    on_line: links.Line = lambda line: None,
) -> Brought | None:
    """Stream the bundle `content` into the idle slot of `board` while its node runs; None: that is for the prompt.

    So it is where no node answers, one is on probation, or there is nothing to be brought. Raises SensewellError where
    the board would refuse the bundle: nothing was written then, and the node runs on; BoardError: the wire broke, and
    what has arrived is gone on with next time.
    """
    started = time.monotonic()
    link = links.to(board, on_line)
    if link is None:
        return None
    try:
        sent = _bring(link, content, chain, unsigned, again, progress)
    except LinkError:
        return None  # the prompt says why, or does better
    return Brought(sent, len(content) - sent, time.monotonic() - started) if sent is not None else None


def _bring(
    link: Link, content: bytes, chain: believe.Chain, unsigned: bool, again: bool, progress: Progress
) -> int | None:
    digest = hashlib.sha256(content).digest()
    journal = believe.journal(link)
    if not journal or journal.active > 1:
        return None
    active, idle = journal.slots[journal.active], journal.slots[1 - journal.active]
    if active.state != _CONFIRMED or active.digest == digest[:16]:
        return None
    if idle.digest == digest[:16] and idle.state in (_WHOLE, _CONFIRMED):
        return None
    facts = link.facts("board")
    name = catalog.identify(facts["machine"])
    info = BoardInfo(
        name=name,
        machine=facts["machine"],
        version=facts["version"],
        mpy=facts["mpy"],
        heap_free=0,
        flash_free=0,
        flash_total=0,
    )
    runtime.check_mpy(info.mpy, info.name)
    head = believe.head_of(lambda size: link.read(facts["path"], 0, size))
    believe.Beliefs(*believe.choice(link), head, facts["device"]).plan(content, info, chain, unsigned)
    board_slots.check(journal, name, content, again)
    at, found = link.have(len(content), digest)
    if at and (at % 8 or hashlib.sha256(content[:at]).hexdigest() != found):
        at = 0
    link.begin(at, again)
    sent = 0
    for part in delta.parts(content, head, at):
        if part.source is not None:
            progress(part.at, len(content), "bundle, while it runs")
            link.copy(part.at, part.source, part.end - part.at)
            continue
        for start in range(part.at, part.end, DATA_BYTES):
            progress(start, len(content), "bundle, while it runs")
            block = content[start : min(start + DATA_BYTES, part.end)]
            link.data(start, block)
            sent += len(block)
    link.end()
    return sent


def status(board: Board) -> dict[str, Any] | None:
    """What board_slots.status says, and the node's health under "live"; None where no node answers."""
    link = links.to(board)
    if link is None:
        return None
    try:
        facts, health = link.facts("board"), link.facts("health")
        found = board_slots.status_of(link)
        unsigned = link.exists(believe.DEVELOPMENT)
    except LinkError:
        return None
    if found is None:
        return None
    return {"board": catalog.identify(facts["machine"]), "unsigned": unsigned, **found, "live": _named(health)}


def _named(health: dict[str, Any]) -> dict[str, Any]:
    """With names in the place of numbers."""
    refused = {name: count for name, count in zip(REASONS, health["refused"], strict=False) if count}
    sources = {name: count for name, count in zip(SOURCES, health["sources"], strict=False) if count}
    named = {"refused": refused, "sources": sources, "source": SOURCES[health["source"]]}
    return {**health, **named, "cause": CAUSES[health["cause"]]}
