"""What networks cost on the virtual boards: instructions a prediction and a multiply-accumulate, arena, RAM, flash.

Counted under an instruction clock: the same in every run. A net that does not compute what the C engine computes on
this PC is an error, not a figure. Run it by itself: .venv/bin/python tests/bench/networks.py. Nothing here is a test.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from sensewell_host import c_kernels, runtime
from sensewell_host.board import Board, catalog, connect, virtual
from sensewell_host.demo import plain_table
from sensewell_host.device_path import DEVICE
from sensewell_host.errors import SensewellError

sys.path.insert(0, str(DEVICE.parent / "tests" / "helpers"))
sys.path.insert(0, str(DEVICE.parent / "tests" / "device"))

import whole_nets

ON_BOARD = Path(__file__).with_name("network_on_board.py")
WAYS = (("virt_c3", "native"), ("virt_c3", "viper"), ("virt_m4", "native"))
TURNS = {"native": 3, "viper": 1}
BESIDE = 0x60_0000  # from the start of RAM: behind the flash of all virtual boards, up to 16 MiB nothing lies there
START_OF_RAM = {"virt_c3": 0x8000_0000, "virt_m4": 0x2100_0000}
KWS = "mlperf_kws_int8"
KIB = 1024


def expected(data: bytes, turns: int) -> tuple[bytes, str]:
    """Inputs of `turns` predictions and, in hexadecimal, the outputs by the C engine on this PC."""
    from sensewell.model import neural

    rng = np.random.default_rng(1)
    net = neural.open(bytearray(data))
    given, said = b"", b""
    for _ in range(turns):
        inputs = [numbers(rng, port.dtype, port.n) for port in net.inputs]
        outputs = [np.zeros(port.n, np.dtype(port.dtype)) for port in net.outputs]
        net.predict(inputs, outputs)
        given += b"".join(one.tobytes() for one in inputs)
        said += b"".join(one.tobytes() for one in outputs)
    return given, said.hex()


def numbers(rng: np.random.Generator, dtype: str, n: int) -> Any:
    """Noise over the whole range of a port."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(size=n).astype(kind)
    return rng.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, n).astype(kind)


def measure(board: Board, name: str, engine: str, data: bytes) -> dict[str, Any]:
    """What one net costs on a board that has the engine: in the heap if it fits, else with weights beside the heap."""
    turns = TURNS[engine]
    given, said = expected(data, turns)
    board.put("/net", data)
    board.put("/given", given)
    for beside in (0, START_OF_RAM[name] + BESIDE):
        board.soft_reset()
        words = board.exec(f"import network_on_board\nnetwork_on_board.cost({turns}, {beside})", timeout_s=300).split()
        if words[0] == "N":
            break
    else:
        return {"fits": "no"}
    _, used, instructions, arena, heap, ram, outputs = words
    if outputs != said or used != engine:
        raise SensewellError(f"a net on {name} by {used} does not compute what it does here by {engine}")
    products = whole_nets.macs(data)
    return {
        "fits": "beside" if beside else "yes",
        "instructions": int(instructions),
        "instructions a MAC": round(int(instructions) / products, 2) if products else None,
        "arena bytes": int(arena),
        "heap bytes moved": int(heap),
        "RAM": int(ram),
    }


def flash(arch: str, engine: str) -> dict[str, int]:
    """Bytes of the engine's files on a board: the native module, and what is Python."""
    module = runtime.native_modules(arch).get("sensewell_neural", b"") if engine == "native" else b""
    used = ("sensewell_neural",) if module else ()
    python = runtime.files(arch, runtime.modules_for((), ("sensewell.model.neural",), used))
    return {"native module": len(module), "Python": sum(map(len, python.values()))}


def on_board(name: str, engine: str, found: dict[str, bytes]) -> dict[str, Any]:
    """All nets on one board by one engine."""
    arch = catalog.load(name).arch
    module = runtime.native_modules(arch).get("sensewell_neural")
    if not virtual.is_built(name):
        return {"why not": f"{name} is not built: make board-{name}"}
    if engine == "native" and module is None:
        return {"why not": f"there is no compiler for {arch}: make native"}
    with virtual.session(name, icount=True) as running, connect(running.address) as board:
        used = ("sensewell_neural",) if engine == "native" else ()
        wanted = runtime.modules_for((), ("sensewell.model.neural",), used)
        files = runtime.files(arch, wanted) | {"/lib/network_on_board.mpy": runtime.compile_file(ON_BOARD, arch)}
        if engine == "native" and module:
            files["/lib/sensewell_neural.mpy"] = module
        for target, content in files.items():
            board.mkdirs(target.rpartition("/")[0])
            board.put(target, content)
        costs = {net: measure(board, name, engine, data) for net, data in found.items()}
    return {"flash": flash(arch, engine), "nets": costs}


def report() -> dict[str, Any]:
    """The whole table: {"nets": {name: {"bytes", "MACs"}}, "boards": {"virt_c3 native": {"flash", "nets"}, ...}}"""
    if not c_kernels.use_neural():
        raise SensewellError("networks are compared with the C engine on this PC, for which gcc is missing: install it")
    found = {"generated 1-D CNN": whole_nets.cnn(), **whole_nets.real(), **whole_nets.ours()}
    return {
        "nets": {name: {"bytes": len(data), "MACs": whole_nets.macs(data)} for name, data in found.items()},
        "boards": {f"{board} {engine}": on_board(board, engine, found) for board, engine in WAYS},
    }


def bars(made: dict[str, Any]) -> list[tuple[str, float, float | None]]:
    """(what, asked at most, measured or None where it could not be)"""
    native = made["boards"]["virt_c3 native"]
    moved = [cost["heap bytes moved"] for way in made["boards"].values() for cost in way.get("nets", {}).values()
             if cost["fits"] != "no"]  # fmt: skip
    kws = native.get("nets", {}).get(KWS, {})
    return [
        ("keyword spotting, whole net, native on virt_c3: instructions a MAC", 12, kws.get("instructions a MAC")),
        ("native module, rv32imc: bytes", 24 * KIB, native.get("flash", {}).get("native module")),
        ("heap during a prediction, any net, engine and board: bytes", 0, max(moved) if moved else None),
    ]


def show(console: Console, made: dict[str, Any]) -> None:
    """The report as tables."""
    columns = ("MACs", ".tflite", "instructions", "a MAC", "arena", "RAM")
    for way, found in made["boards"].items():
        if "why not" in found:
            console.print(f"networks, {way}: not measured: {found['why not']}")
            continue
        console.print(f"\nnetworks, {way}", style="bold", highlight=False)
        table = plain_table("", *columns)
        for name, cost in found["nets"].items():
            about = made["nets"][name]
            row = [f"{about['MACs']:,}", f"{about['bytes']:,}"]
            if cost["fits"] == "no":
                row += ["no room", *[""] * 3]
            else:
                row += [f"{cost[key]:,}" if cost[key] is not None else "" for key in list(cost)[1:]]
                row[4:] = [row[4], row[6]]  # what moved in the heap is told below, for all at once
            table.add_row(name.removesuffix("_int8"), *row)
        console.print(table)
        for name, cost in found["nets"].items():
            if cost["fits"] not in ("yes", "no"):
                console.print(f"  {name}: too large for the heap, its weights lie beside it")
        size = found["flash"]
        console.print(f"  flash of the engine: {size['native module']:,} native + {size['Python']:,} Python\n")
    table = plain_table("networks", "asked", "measured")
    for what, asked, measured in bars(made):
        table.add_row(what, f"<= {asked:,}", "not measured here" if measured is None else f"{measured:,}")
    console.print(table)


if __name__ == "__main__":
    show(Console(), report())
