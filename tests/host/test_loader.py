"""device/loader.py and device/main.py on the unix board: which slot's code is found, and what if it does not load."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sensewell.journal import NONE, Journal
from sensewell_host.board import Board, catalog, connect
from sensewell_host.device_path import DEVICE

pytestmark = pytest.mark.skipif(not catalog.load("unix").firmware.is_file(), reason="unix is not built")

FOUND = "import sys, sensewell.where, sensewell_native\nprint(sensewell.where.SLOT, sensewell_native.SLOT, sys.path[0])"
MAIN = "exec(open('/main.py').read())\nprint('the prompt')"
START = "import sys\ndef run():\n    print('runs', {!r}, sys.path[0])\n"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A flash with code in both slots, and no journal."""
    put(tmp_path, "lib/sensewell/__init__.py", (DEVICE / "loader.py").read_text())
    put(tmp_path, "main.py", (DEVICE / "main.py").read_text())
    for slot in "ab":
        put(tmp_path, f"slot/{slot}/sensewell_native.py", f"SLOT = {slot!r}\n")
        put(tmp_path, f"slot/{slot}/sensewell/__init__.py", "")
        put(tmp_path, f"slot/{slot}/sensewell/where.py", f"SLOT = {slot!r}\n")
        put(tmp_path, f"slot/{slot}/sensewell/start.py", START.format(slot))
        put(tmp_path, f"slot/{slot}/sensewell/build/__init__.py", "")
        put(tmp_path, f"slot/{slot}/sensewell/build/start.py", "")
    with connect(f"unix:{tmp_path}") as board:
        yield board


def put(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


def journal(folder: Path, *actives: int) -> tuple[Path, Path]:
    """A record for each, in order; the paths of the older and the newer file."""
    (folder / "slot").mkdir(parents=True, exist_ok=True)
    made = Journal(str(folder / "slot"))
    for active in actives:
        made.active = active
        made.store()
    newer = len(actives) - 1 & 1
    return folder / f"slot/journal.{1 - newer}", folder / f"slot/journal.{newer}"


def found(board: Board) -> list[str]:
    return board.exec(FOUND).split()


@pytest.mark.parametrize(("actives", "slot"), [((), "a"), ((0,), "a"), ((1,), "b"), ((0, 1), "b"), ((1, 0, 1), "b"),
                                               ((1, 0), "a"), ((1, NONE), "a")])  # fmt: skip
def test_the_code_is_that_of_the_active_slot(board: Board, tmp_path: Path, actives: tuple[int, ...], slot: str) -> None:
    journal(tmp_path, *actives)
    assert found(board) == [slot, slot, f"/slot/{slot}"]


def test_a_torn_or_damaged_record_is_none(board: Board, tmp_path: Path) -> None:
    _, newer = journal(tmp_path, 1, 0, 1, 0)
    whole = newer.read_bytes()
    assert found(board)[0] == "a"
    for length in (0, 1, 2, 6, 7, 64, 123, 124, 127):
        newer.write_bytes(whole[:length])
        assert found(board)[0] == "b"
    newer.write_bytes(whole + b"\0")
    assert found(board)[0] == "b"
    for bit in range(0, 8 * len(whole), 37):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        newer.write_bytes(damaged)
        assert found(board)[0] == "b", bit
    newer.write_bytes(whole)
    assert found(board)[0] == "a"


def test_with_no_whole_record_it_is_a(board: Board, tmp_path: Path) -> None:
    for path in journal(tmp_path, 1, 1):
        path.write_bytes(b"J1" + bytes(126))
    assert found(board)[0] == "a"
    for path in journal(tmp_path, 1, 1):
        path.unlink()
        path.mkdir()
    assert found(board)[0] == "a"


def test_the_loader_and_the_journal_agree(board: Board, tmp_path: Path) -> None:
    """Whatever of two records is damaged, both take the same one, and an even one where there are two of a number."""
    _, newer = journal(tmp_path, 1, 0)
    other = tmp_path / "slot" / f"journal.{1 - int(newer.name[-1])}"
    records = [journal(tmp_path / f"{n}", n)[1].read_bytes() for n in (0, 1)]
    damaged = bytes([records[0][0] ^ 1]) + records[0][1:]
    for one in (*records, damaged, b""):
        for two in (*records, damaged, b""):
            newer.write_bytes(one)
            other.write_bytes(two)
            read = Journal(str(tmp_path / "slot"))
            read.load()
            assert found(board)[0] == ("b" if read.active == 1 else "a")


def list_code(folder: Path, slot: str) -> None:
    home = folder / "slot" / slot
    paths = [path for path in sorted(home.rglob("*")) if path.is_file()]
    lines = [f"{zlib.crc32(path.read_bytes())} {path.relative_to(home)}\n" for path in paths]
    (home / "code.crc").write_text("".join(lines))


def test_code_that_is_not_whole_gives_way(board: Board, tmp_path: Path) -> None:
    journal(tmp_path, 1)
    (tmp_path / "slot/b/sensewell").rename(tmp_path / "gone")
    assert found(board) == ["a", "a", "/slot/a"]
    (tmp_path / "gone").rename(tmp_path / "slot/b/sensewell")
    list_code(tmp_path, "b")
    assert found(board)[0] == "b"
    for path in ("sensewell/where.py", "sensewell_native.py", "code.crc"):
        file = tmp_path / "slot/b" / path
        text = file.read_text()
        file.write_text(text[:-1])
        assert found(board)[0] == ("a" if path != "code.crc" else "b")  # a line's end is no loss
        file.write_text(text[:3] + text[4:])
        assert found(board)[0] == "a"
        file.unlink()
        assert found(board)[0] == ("a" if path != "code.crc" else "b")
        file.write_text(text)
        assert found(board)[0] == "b"


def test_main_runs_the_code_that_loads(board: Board, tmp_path: Path) -> None:
    journal(tmp_path, 1)
    assert board.exec(MAIN) == "runs b /slot/b\nthe prompt\n"
    put(tmp_path, "slot/b/sensewell/build/start.py", "import sensewell.nothing")
    said = board.exec(MAIN)
    assert said.startswith("sensewell: code that does not load: /slot/b ImportError(")
    assert said.endswith("runs a /slot/a\nthe prompt\n")
    put(tmp_path, "slot/a/sensewell/start.py", "def")
    said = board.exec(MAIN)
    assert "code that does not load: /slot/b" in said and "code that does not load: /slot/a SyntaxError(" in said
    assert said.endswith("\nthe prompt\n")


def test_main_reaches_the_prompt_without_any_whole_code(board: Board, tmp_path: Path) -> None:
    for slot in "ab":
        list_code(tmp_path, slot)
        put(tmp_path, f"slot/{slot}/sensewell/start.py", "print('half of it')")
    said = board.exec(MAIN)
    assert "ImportError('no whole code in /slot',)" in said and said.endswith("\nthe prompt\n") and "half" not in said
