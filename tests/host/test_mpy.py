"""The head of a .mpy: no table of names ends where a block of the heap does, and modules load as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sensewell_host import board as boards
from sensewell_host import runtime
from sensewell_host.board import virtual
from sensewell_host.errors import SensewellError
from sensewell_host.mpy import called, unpinned


def tables(mpy: bytes) -> tuple[int, int]:
    """(names, objects); counts below 128 only."""
    assert mpy[4] < 128 and mpy[5] < 128
    return mpy[4], mpy[5]


def source(folder: Path, names: int) -> Path:
    path = folder / f"names{names}.py"
    path.write_text("".join(f"name_{k} = {k}\n" for k in range(names)))
    return path


def test_only_a_table_that_fills_its_block_gets_an_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {}
    for count in range(1, 40):
        path = source(tmp_path, count)
        with monkeypatch.context() as plain:
            plain.setattr(runtime, "unpinned", lambda mpy, _: mpy)
            before = runtime.compile_file(path, "rv32imc")
        names, objects = tables(before)
        assert objects == 0
        changed[names] = runtime.compile_file(path, "rv32imc") != before
        assert (unpinned(before, 8) != before) == (-(-names // 4) % 4 == 0)
    assert {names for names, is_changed in changed.items() if is_changed} == {
        names for names in changed if -(-names // 2) % 4 == 0
    }
    assert any(changed.values())


def test_every_module_of_the_package_is_free_of_it() -> None:
    for arch, words in (("rv32imc", 4), ("x64", 8), ("", 4)):
        for name, content in runtime.files(arch).items():
            if content[:1] == b"M" and content[4] < 128 and content[5] == 0:
                assert -(-content[4] * 2 // words) % 4 or not content[4], (arch, name)


def test_a_module_with_the_object_loads_as_before(tmp_path: Path) -> None:
    if not virtual.is_built("unix"):
        pytest.skip("the unix board is not built: make board-unix")
    with boards.connect(f"unix:{tmp_path}") as unix:
        for count in (12, 13, 14, 15, 16):
            unix.put(f"/names{count}.mpy", runtime.compile_file(source(tmp_path, count), "x64"))
            said = unix.exec(f"import names{count} as m\nprint([getattr(m, 'name_%d' % k) for k in range({count})])")
            assert said.strip() == str(list(range(count)))


def test_a_module_called_otherwise_loads_as_before(tmp_path: Path) -> None:
    if not virtual.is_built("unix"):
        pytest.skip("the unix board is not built: make board-unix")
    before = runtime.compile_file(source(tmp_path, 5), "x64")
    after = called(before, "m")
    assert b"names5.py" in before and b"names5.py" not in after
    with boards.connect(f"unix:{tmp_path}") as unix:
        unix.put("/m.mpy", after)
        assert unix.exec("import m\nprint(m.name_4, m.__name__)").split() == ["4", "m"]


def test_native_modules_keep_no_name_but_their_own() -> None:
    for arch in ("rv32imc", "x64"):
        for content in runtime.native_modules(arch).values():
            assert b".native.mpy" not in content


@pytest.mark.parametrize("change", [lambda mpy: unpinned(mpy, 4), lambda mpy: called(mpy, "m")])
def test_what_is_no_mpy_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SensewellError, match=r"no \.mpy file"):
        change(b"import os\n")
