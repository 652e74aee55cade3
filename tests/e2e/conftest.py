"""A wire to a virtual board that breaks when a test wants it to."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from sensewell_host.board import virtual

# Tests that run side by side must not stop or list one another's boards, nor may the commands that they start
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    virtual.RUN = virtual.RUN / worker
    os.environ["SENSEWELL_RUN"] = str(virtual.RUN)


class Relay:
    """A TCP relay to a board that is cut after so many bytes towards it."""

    def __init__(self, port: int, cut_after: int) -> None:
        self._left = cut_after
        self.heard = bytearray()  # what the board said
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._there = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=self._relay, daemon=True).start()

    def _relay(self) -> None:
        here, _ = self._listener.accept()
        threading.Thread(target=self._back, args=(here,), daemon=True).start()
        with contextlib.suppress(OSError):
            while self._left > 0 and (data := here.recv(4096)):
                self._there.sendall(data[: self._left])
                self._left -= len(data)
        for end in (here, self._there):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _back(self, here: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := self._there.recv(4096):
                self.heard += data
                here.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def tap() -> Iterator[Callable[..., Relay]]:
    """A call (port of a board, bytes until the cut) gives a Relay."""
    relays: list[Relay] = []

    def make(port: int, cut_after: int = 1 << 40) -> Relay:
        relays.append(Relay(port, cut_after))
        return relays[-1]

    yield make
    for one in relays:
        one.close()


@pytest.fixture
def relay(tap: Callable[..., Relay]) -> Callable[[int, int], str]:
    """The same, of which the address to connect to is all that matters."""
    return lambda port, cut_after: str(tap(port, cut_after).address)
