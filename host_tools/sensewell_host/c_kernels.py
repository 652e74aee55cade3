"""The C kernels of device/native, compiled for this PC: what boards run natively, the host runs too.

Needs a C compiler; without one `library()` is None and the same device code runs in Python. Kept under
build/native/host by a hash of the sources. Knows C signatures, and nothing of models or features.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.device_path import DEVICE

NATIVE = DEVICE / "native"
KEPT = DEVICE.parent / "build" / "native" / "host"
SOURCES = ("features/sw_features.c", "trees/sw_trees.c")
NEURAL = ("neural/sw_neural.c",)  # apart: it takes longer to compile, and few need it
_FLAGS = ("-std=c99", "-O2", "-shared", "-fPIC")


class Program(ctypes.Structure):
    """sw_program of sw_features.h."""

    _fields_ = [
        ("run", ctypes.c_void_p),
        ("derived", ctypes.c_void_p),
        ("n_channels", ctypes.c_int32),
        ("length", ctypes.c_int32),
        ("transform_words", ctypes.c_int32),
        ("mean_words", ctypes.c_int32),
    ]


class Window(ctypes.Structure):
    """sw_window of sw_features.h."""

    READ = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int16), ctypes.c_int32)
    _fields_ = [
        ("rows", ctypes.c_void_p),
        ("oldest", ctypes.c_int32),
        ("read", READ),
        ("context", ctypes.c_void_p),
    ]


def _compiled(sources: tuple[str, ...], name: str) -> ctypes.CDLL | None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    digest = hashlib.sha256(" ".join((compiler, os.uname().machine, *_FLAGS)).encode())
    for source in sorted(file for name in sources for file in (NATIVE / name).parent.glob("*.[ch]")):
        digest.update(source.read_bytes())
    path = KEPT / f"{name}-{digest.hexdigest()[:16]}.so"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        files = [str(NATIVE / name) for name in sources]
        if subprocess.run([compiler, *_FLAGS, *files, "-o", str(part)], capture_output=True).returncode:
            return None
        os.replace(part, path)
    return ctypes.CDLL(str(path))


@cache
def library() -> ctypes.CDLL | None:
    """The kernels, or None where there is no C compiler (or it fails: then Python does the work)."""
    kernels = _compiled(SOURCES, "kernels")
    if kernels is None:
        return None
    kernels.sw_trees_verify.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int32]
    kernels.sw_trees_predict.argtypes = [ctypes.c_void_p] * 3
    program, window = ctypes.POINTER(Program), ctypes.POINTER(Window)
    kernels.sw_features_plan.argtypes = (program, *[ctypes.c_int32] * 3)
    kernels.sw_features_compute.argtypes = (program, window, ctypes.c_void_p, ctypes.c_void_p)
    kernels.sw_features_compute.restype = None
    return kernels


@cache
def neural_library() -> ctypes.CDLL | None:
    """The network engine, or None as for library()."""
    engine = _compiled(NEURAL, "neural")
    if engine is None:
        return None
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32
    engine.sw_neural_measure.argtypes = (pointer, size, pointer)
    engine.sw_neural_prepare.argtypes = (pointer, size, pointer, pointer, pointer)
    engine.sw_neural_describe.argtypes = (pointer, size, pointer, number, pointer)
    engine.sw_neural_op.argtypes = (pointer, number)
    engine.sw_neural_reset.argtypes = (pointer, pointer)
    engine.sw_neural_reset.restype = None
    engine.sw_neural_bind.argtypes = (pointer, number, pointer, size, number)
    engine.sw_neural_predict.argtypes = (pointer, pointer, pointer)
    return engine


def use_neural(manifest: Mapping[str, Any] | None = None) -> bool:
    """Let networks on this PC run in C: from now on `import sensewell_neural` finds it. False without a C compiler.

    manifest: do it only if that bundle has one.
    """
    if manifest is not None and manifest["model"].get("family") != "neural":
        return False
    if neural_library() is None:
        return False
    if "sensewell_neural" not in sys.modules:
        path = Path(__file__).with_name("native_modules") / "sensewell_neural.py"
        spec = importlib.util.spec_from_file_location("sensewell_neural", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules["sensewell_neural"] = module
        for name in ("model.neural", "model.net", "build.neural", "build.net"):  # they may have chosen another engine
            if sys.modules.pop(f"sensewell.{name}", None):
                package, _, last = f"sensewell.{name}".rpartition(".")
                vars(sys.modules[package]).pop(last, None)
    return True


def address(buffer: Any) -> int:
    """Where the bytes of a buffer lie; it must outlive the use of the address."""
    data: int = np.frombuffer(buffer, np.uint8).ctypes.data
    return data


def predict_rows(forest: bytes, X: npt.NDArray[np.int16], n_outputs: int) -> tuple[Any, Any] | None:
    """(classes int32[n], scores int32[n, n_outputs]) of all rows by the C kernel, or None where there is none.

    forest: proven sound by the device code for this many features and outputs; X: int16[n, n_features].
    """
    kernels = library()
    if kernels is None:
        return None
    X = np.ascontiguousarray(X, np.int16)
    classes = np.empty(len(X), np.int32)
    scores = np.empty((len(X), n_outputs), np.int32)
    at, row, out = address(forest), X.ctypes.data, scores.ctypes.data
    for n in range(len(X)):
        classes[n] = kernels.sw_trees_predict(at, row + n * X.strides[0], out + n * scores.strides[0])
    return classes, scores
