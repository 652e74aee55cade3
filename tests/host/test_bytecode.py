"""Device code for boards without a native emitter: what is rewritten, what is sent, and that all of it compiles."""

from __future__ import annotations

import pytest
from sensewell_host import runtime
from sensewell_host.bytecode import bytecode
from sensewell_host.errors import SensewellError

VIPER = '''"""A module."""
try:
    import micropython
    from micropython import const
except ImportError:
    from sensewell._port import micropython, ptr16
_A = const(1)
@micropython.viper
def add(n: int, x: ptr16, buffer) -> int:
    """Doc."""
    y = ptr32(uint(buffer) + 4)
    micropython.heap_lock()
    return n + x[_A] + y[0]
@property
def kept(x: int) -> int:
    return x
'''


def test_a_viper_function_makes_its_pointers_itself() -> None:
    text = bytecode(VIPER)
    assert "viper" not in text and "from sensewell import _plain as micropython" in text
    assert text.splitlines()[1] == "from sensewell._plain import ptr16, ptr32, uint"
    assert "def add(n, x, buffer):\n    x = ptr16(x)\n" in text
    assert "@property\ndef kept(x: int) -> int:" in text  # what is not viper stays as it is


def test_the_heap_functions_come_from_the_stand_ins() -> None:
    assert bytecode("from micropython import heap_lock, heap_unlock\n").startswith("from sensewell._plain import heap")
    assert bytecode("from micropython import const\n") == "from micropython import const\n"


def test_every_module_compiles_without_native_code() -> None:
    files = runtime.files("")
    assert {runtime.target(name) for name in runtime.all_modules()} | {"/lib/sensewell/_plain.mpy"} == set(files)
    assert all(content[:2] == b"M\x06" and content[2] >> 2 == 0 for content in files.values())  # version 6, no arch


def test_packages_without_code_need_no_file_on_a_board() -> None:
    files = runtime.files_for("rv32imc", extra=["sensewell.sensor.adc"])[0]
    assert {path for path in files if "__init__" in path} == {
        "/lib/sensewell/__init__.mpy",
        "/lib/sensewell/build/__init__.mpy",
    }


def test_the_stand_ins_go_to_boards_without_native_code_only() -> None:
    assert "/lib/sensewell/_plain.mpy" in runtime.files_for("", native={})[0]
    assert "/lib/sensewell/_plain.mpy" not in runtime.files_for("rv32imc", native={})[0]


def test_a_board_without_a_native_emitter_is_taken() -> None:
    assert runtime.check_mpy(6 | 3 << 8, "web") == ""
    with pytest.raises(SensewellError, match="architecture that Sensewell does not know: number 63"):
        runtime.check_mpy(6 | 3 << 8 | 63 << 10, "web")
