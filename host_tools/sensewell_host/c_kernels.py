"""The C kernels of device/native, compiled for this PC: what boards run natively, the host runs too.

Needs a C compiler; without one `library()` is None and the same device code runs in Python. Kept under
build/native/host by a hash of the sources. Knows C signatures, and nothing of models or features.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import threading
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.device_path import DEVICE

NATIVE = DEVICE / "native"
KEPT = DEVICE.parent / "build" / "native" / "host"
SOURCES = ("features/sw_features.c", "trees/sw_trees.c")
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


@cache
def library() -> ctypes.CDLL | None:
    """The kernels, or None where there is no C compiler (or it fails: then Python does the work)."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    digest = hashlib.sha256(" ".join((compiler, os.uname().machine, *_FLAGS)).encode())
    for source in sorted(file for name in SOURCES for file in (NATIVE / name).parent.glob("*.[ch]")):
        digest.update(source.read_bytes())
    path = KEPT / f"kernels-{digest.hexdigest()[:16]}.so"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        sources = [str(NATIVE / name) for name in SOURCES]
        if subprocess.run([compiler, *_FLAGS, *sources, "-o", str(part)], capture_output=True).returncode:
            return None
        os.replace(part, path)
    kernels = ctypes.CDLL(str(path))
    kernels.sw_trees_verify.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int32]
    kernels.sw_trees_predict.argtypes = [ctypes.c_void_p] * 3
    program, window = ctypes.POINTER(Program), ctypes.POINTER(Window)
    kernels.sw_features_plan.argtypes = (program, *[ctypes.c_int32] * 3)
    kernels.sw_features_compute.argtypes = (program, window, ctypes.c_void_p, ctypes.c_void_p)
    kernels.sw_features_compute.restype = None
    return kernels


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
