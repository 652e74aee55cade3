"""What the digits forest costs on a board that counts instructions: Sensewell's forms, emlearn's, and plain Python.

One forest (10 trees x 100 leaves, int16 digits) in all forms; whatever does not decide every row as scikit-learn's
trees do is an error, not a figure. emlearn's walker is eml_trees.h of the installed package, with Sensewell's flags.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sensewell_host import board as boards
from sensewell_host import runtime
from sensewell_host.board import catalog
from sensewell_host.convert import emlearn_csv, forest, inline
from sensewell_host.demo import started_board
from sensewell_host.device_path import DEVICE
from sensewell_host.errors import SensewellError
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

OUT = DEVICE.parent / "build" / "bench"

# What is printed: L name instructions heap-bytes; P name instructions classes; E name engine. Counting itself is free.
_COUNT = """
import gc, virt
from array import array

def rows():
    x = array("h", bytes({row_bytes}))
    with open("/rows.i16", "rb") as file:
        while file.readinto(x):
            yield x

def overhead():
    virt.mark()
    return virt.since()
base = min(overhead() for _ in range(3))

def load(name, code):
    gc.collect()
    before = gc.mem_alloc()
    virt.mark()
    made = code()
    n = virt.since()
    gc.collect()
    print("L", name, n - base, gc.mem_alloc() - before)
    return made

def read(path):
    with open(path, "rb") as file:
        return file.read()
"""
# All names are local: a look-up in a dictionary costs what its other keys make of it
_PREDICT = """
def count(call, mark, since, {others}):
    total = 0
    classes = bytearray()
    for x in rows():
        mark()
        base = since()
        best = call({arguments})
        mark()
        best = call({arguments})
        total += since() - base
        classes.append(best)
    print("P", {name!r}, total // len(classes), " ".join(str(k) for k in classes))
count({function}, virt.mark, virt.since, {others})
"""

_OURS = """
import sensewell.model.trees
from sensewell.model.trees import Forest
blob = read("/model.bin")
scores = array("i", bytes(4 * {classes}))
load("first", lambda: Forest(blob, {features}, {classes}))
made = load({name!r}, lambda: Forest(blob, {features}, {classes}))
predict = made.predict
print("E", {name!r}, getattr(made, "engine", "viper"))
"""
_KERNEL = """
import sensewell_trees
blob = read("/model.bin")
scores = array("i", bytes(4 * {classes}))
predict = sensewell_trees.predict
verify = sensewell_trees.verify
load("verify", lambda: verify(blob, {features}, {classes}))
"""
_INLINE = """
import inline_forest
scores = array("i", bytes(4 * {classes}))
predict = inline_forest.predict
"""

# Upstream's way to load: Python splits each line, turns words into numbers and has the module keep them. Lines come
# from RAM: what the flash takes is not counted.
_EMLEARN = """
import eml_walker, io
csv = io.StringIO(read("/model.csv").decode())

def parse():
    made = bytearray(44 + 8 * {nodes} + 4 * {trees} + {leaves})
    eml_walker.create(made, {nodes}, {trees}, {features}, {classes})
    for line in csv:
        words = line.rstrip("\\n").split(",")
        kind = words[0]
        if kind == "n":
            eml_walker.addnode(made, int(words[3]), int(words[4]), int(words[1]), int(float(words[2])))
        elif kind == "r":
            eml_walker.addroot(made, int(words[1]))
        elif kind == "l":
            eml_walker.addleaf(made, int(words[1]))
    return made

model = load("csv", parse)
del csv
scores = array("i", bytes(4 * {classes}))
shares = array("f", bytes(4 * {classes}))
nothing, walk, proba, predict = eml_walker.nothing, eml_walker.walk, eml_walker.proba, eml_walker.predict
"""
_PLAIN = """
feature, below, left, right, roots, leaves = [], [], [], [], [], []
with open("/model.csv") as file:
    for line in file:
        words = line.split(",")
        if words[0] == "n":
            for column, word in zip((feature, below, left, right), words[1:]):
                column.append(int(word))
        elif words[0] == "r":
            roots.append(int(words[1]))
        elif words[0] == "l":
            leaves.append(int(words[1]))
feature, left, right, below = bytes(feature), array("h", left), array("h", right), array("h", below)
scores = array("i", bytes(4 * {classes}))

def predict(x, scores, feature, below, left, right, roots, leaves):
    for k in range(len(scores)):
        scores[k] = 0
    for at in roots:
        while True:
            child = left[at] if x[feature[at]] < below[at] else right[at]
            if child < 0:
                break
            at += child
        scores[leaves[-child - 1]] += 1
    best = 0
    for k in range(1, len(scores)):
        if scores[k] > scores[best]:
            best = k
    return best
"""
_WITHOUT_CLASS = ("nothing", "proba")

# The unix board counts no instructions: there the figures are nanoseconds, good for ratios on a machine at rest
_CLOCK = """
import time
start = 0
def mark():
    global start
    start = time.time_ns()
def since():
    return time.time_ns() - start
"""


def walker(arch: str) -> bytes:
    """emlearn's walker as a native module for `arch`; kept as build/bench/eml_walker-ARCH.mpy."""
    import emlearn

    # Soft floats come out of the compiler's own library; the include path is the installed package.
    settings = f"LINK_RUNTIME = 1\nCFLAGS_EXTRA += -I{Path(emlearn.__file__).parent} -Wno-unused-function\n"
    source = Path(__file__).with_name("eml_walker.c").read_text()
    content = inline.compile_module("eml_walker", arch, {"module.c": source}, settings)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"eml_walker-{arch}.mpy").write_bytes(content)
    return content


def digits() -> tuple[RandomForestClassifier, np.ndarray[Any, np.dtype[np.int16]]]:
    """The forest all figures are of, and rows it was not trained on."""
    x, y = load_digits(return_X_y=True)
    counts = x.astype(np.int16)
    return RandomForestClassifier(10, max_leaf_nodes=100, random_state=0).fit(counts[:1300], y[:1300]), counts[1300:]


def bring(board: boards.Board, files: dict[str, bytes]) -> None:
    """The files to the board."""
    for target, content in files.items():
        board.mkdirs(target.rpartition("/")[0])
        board.put(target, content)


class Bench:
    """Runs the forms one after the other, each on a board just started anew; gathers what they say."""

    def __init__(self, board: boards.Board, numbers: dict[str, int], expected: list[int]) -> None:
        self.board = board
        self.numbers = numbers
        self.expected = expected
        self.predict: dict[str, int] = {}
        self.load: dict[str, int] = {}
        self.heap: dict[str, int] = {}
        self.engine: dict[str, str] = {}

    def run(self, setup: str, calls: dict[str, tuple[str, str]], name: str = "") -> None:
        """calls: {name: (function on the board, its arguments)}; `name`: what setup calls itself."""
        numbers = {**self.numbers, "name": name}
        self.board.soft_reset()
        code = _COUNT.format(**numbers) + setup.format(**numbers)
        for called, (function, arguments) in calls.items():
            others = ", ".join(word for word in arguments.split(", ") if word != "x")
            code += _PREDICT.format(name=called, function=function, arguments=arguments, others=others)
        for line in self.board.exec(code, timeout_s=300).splitlines():
            kind, what, *words = line.split()
            if kind == "L" and what != "first":  # the first time also imports what proves
                self.load[what], self.heap[what] = int(words[0]), int(words[1])
            elif kind == "E":
                self.engine[what] = words[0]
            elif kind == "P":
                self.predict[what] = int(words[0])
                if calls[what][0] not in _WITHOUT_CLASS and [int(word) for word in words[1:]] != self.expected:
                    raise SensewellError(f"{what} does not decide these rows as scikit-learn's trees do: {words[1:]}")


def measure(name: str = "virt_c3", n_rows: int = 50) -> dict[str, Any]:
    """Instructions on a virtual board, nanoseconds on unix. Keys, each with figures by form:

    predict: a call from Python, on average over `n_rows` rows (call: of that, what any call with three buffers costs)
    load: from bytes in RAM to ready; heap_bytes: what that keeps on the heap; bytes: files; engine: what Forest is
    """
    arch = catalog.load(name).arch
    model, rows = digits()
    rows = rows[:n_rows]
    converted = forest.convert_forest(model, "hard", rows)
    text = emlearn_csv.convert(model, rows)
    nodes = emlearn_csv.read(text)
    native = runtime.native_modules(arch)
    if "sensewell_trees" not in native:
        raise SensewellError(f"there is no up-to-date sensewell_trees for {arch}: run `make native` first")
    modules = {"eml_walker": walker(arch), "inline_forest": inline.module(model, rows, arch)}
    numbers = {
        "row_bytes": 2 * nodes.n_features,
        "features": nodes.n_features,
        "classes": nodes.n_classes,
        "nodes": len(nodes.nodes),
        "trees": len(nodes.roots),
        "leaves": len(nodes.leaves),
    }
    with started_board(name, icount=True) as board:
        if name == "unix":
            board.mkdirs("/lib")
            board.put("/lib/virt.py", _CLOCK.encode())
        board.put("/rows.i16", rows.astype("<i2").tobytes())
        board.put("/model.bin", converted.blob)
        board.put("/model.csv", text.encode())
        bring(board, runtime.files_for(arch, native={})[0])
        bench = Bench(board, numbers, nodes.predict(rows).tolist())
        bench.run(_OURS, {"viper": ("predict", "x, scores")}, "viper")
        bring(board, runtime.files_for(arch, native=native)[0])
        bring(board, {f"/lib/{module}.mpy": content for module, content in modules.items()})
        bench.run(_OURS, {"forest": ("predict", "x, scores")}, "forest")
        bench.run(_KERNEL, {"native": ("predict", "blob, x, scores")})
        bench.run(_INLINE, {"emlearn_inline": ("predict", "x, scores")})
        emlearns = {
            "call": ("nothing", "model, x, scores"),
            "eml_trees_walk": ("walk", "model, x, scores"),
            "eml_trees_proba": ("proba", "model, x, shares"),
            "eml_trees_predict": ("predict", "model, x, scores"),
        }
        bench.run(_EMLEARN, emlearns)
        bench.run(_PLAIN, {"plain_python": ("predict", "x, scores, feature, below, left, right, roots, leaves")})
    return {
        "board": name,
        "rows": len(rows),
        "predict": bench.predict,
        "load": bench.load,
        "heap_bytes": bench.heap,
        "engine": bench.engine,
        "bytes": {
            "forest": len(converted.blob),
            "csv": len(text),
            "emlearn_nodes": 8 * len(nodes.nodes),
            "sensewell_trees.mpy": len(native["sensewell_trees"]),
            **{f"{module}.mpy": len(content) for module, content in modules.items()},
        },
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
