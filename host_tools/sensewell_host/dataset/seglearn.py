"""The default recordings: 140 sets of seven shoulder exercises by ten people, from the wheel of PyPI's seglearn 1.2.5.

The wheel is downloaded once, by pip, and never installed or run. Its one file of data is a pickle: it is read a single
time, after its hash was checked, by an unpickler that knows four names. From then on only our own files are read.

Source: D. M. Burns et al., "Shoulder Physiotherapy Exercise Recognition: Machine Learning the Inertial Signals from a
Smartwatch", arXiv 1802.01489; BSD 3-Clause.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from sensewell_host.dataset.recording import ChannelInfo, Dataset, Recording, to_counts
from sensewell_host.errors import SensewellError

NAME = "watch"
WHEEL = "seglearn-1.2.5-py3-none-any.whl"
MEMBER = "seglearn/data/watch_dataset.npy"
SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
RATE_HZ = 50

# What an MPU6886 set to +-8 g and +-2000 deg/s would have counted; the largest values there are 5.8 g and 1660 deg/s
G = 9.80665  # m/s2
COUNTS_PER_G = 4096
COUNTS_PER_DEG_S = 16.4
CHANNELS = (
    *(ChannelInfo(name, "m/s2", G / COUNTS_PER_G) for name in ("ax", "ay", "az")),
    *(ChannelInfo(name, "rad/s", math.pi / 180 / COUNTS_PER_DEG_S) for name in ("gx", "gy", "gz")),
)


def fetch(folder: Path, downloads: Path) -> tuple[Dataset, bool]:
    """The dataset in `folder`; where there is none yet, made from the wheel. True: it had to be made.

    A second call reads our own files only and needs no network.
    """
    try:
        dataset = Dataset.load(folder)
        if dataset.notes.get("sha256") == SHA256:
            return dataset, False
    except SensewellError:
        pass  # not there, or damaged: make it again
    return convert(member_of(download(downloads))).save(folder), True


def download(downloads: Path) -> Path:
    """The wheel, fetched by pip (which knows the user's index and proxy) where it is not there yet."""
    wheel = downloads / WHEEL
    if wheel.is_file() and zipfile.is_zipfile(wheel):
        return wheel
    downloads.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(downloads), "seglearn==1.2.5"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SensewellError(f"the default recordings could not be downloaded: {error}") from error
    if ran.returncode or not wheel.is_file():
        said = [line.strip() for line in (ran.stderr or ran.stdout).splitlines() if "ERROR" in line]
        raise SensewellError(
            f"the default recordings could not be downloaded ({said[-1] if said else 'pip failed'}): "
            f"check the network, or put {WHEEL} into {downloads}"
        )
    return wheel


def member_of(wheel: Path) -> bytes:
    """The one file that is wanted out of the wheel, its hash checked."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise SensewellError(
            f"{wheel} is not the wheel of seglearn 1.2.5 ({error}): delete it and fetch again"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise SensewellError(
            f"{wheel}: {MEMBER} has SHA-256 {found[:16]}..., expected {SHA256[:16]}...: delete it and fetch again"
        )
    return content


def convert(content: bytes) -> Dataset:
    """The content of watch_dataset.npy as int16 counts; recordings are named after person, arm and exercise."""
    data = unpickle(io.BytesIO(content))
    try:
        order = sorted(
            range(len(data["X"])), key=lambda i: (int(data["subject"][i]), float(data["side"][i]), int(data["y"][i]))
        )
        recordings = []
        clipped = np.zeros(len(CHANNELS), int)
        to_si = np.array([G] * 3 + [1.0] * 3)
        for i in order:
            person, side = int(data["subject"][i]), "LR"[int(data["side"][i])]
            label = str(data["y_labels"][int(data["y"][i])])
            counts, over = to_counts(np.asarray(data["X"][i], float) * to_si, CHANNELS)
            clipped += over
            name = f"p{person:02d}-{side}-{label}"
            recordings.append(Recording(name, counts, RATE_HZ, label, str(person), {"side": side, "number": i}))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise SensewellError(f"{MEMBER} is not laid out as in seglearn 1.2.5 ({error!r})") from error
    notes = {"source": "seglearn 1.2.5", "sha256": SHA256, "licence": "BSD-3-Clause", "clipped": clipped.tolist()}
    return Dataset(NAME, RATE_HZ, CHANNELS, tuple(recordings), notes)


def unpickle(stream: IO[bytes]) -> dict[str, Any]:
    """The dict in an .npy of one pickled object. Names other than the four of `_Restricted` are refused."""
    try:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if version != (1, 0) or shape != () or dtype != np.dtype(object):
            raise SensewellError(f"expected an .npy with one object, got version {version}, shape {shape}, {dtype}")
        loaded = _Restricted(stream, encoding="latin1").load()
        found = loaded.item() if isinstance(loaded, np.ndarray) and loaded.shape == () else loaded
    except (ValueError, EOFError, pickle.UnpicklingError, AttributeError, IndexError, TypeError, KeyError) as error:
        raise SensewellError(f"the recordings' pickle cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SensewellError(f"expected a dict in the recordings' pickle, got {type(found).__name__}")
    return found


class _Restricted(pickle.Unpickler):
    """Builds numpy arrays, numbers, texts and their lists and dicts; any other name in the pickle ends the reading."""

    def find_class(self, module: str, name: str) -> Any:
        where = module.replace("numpy._core", "numpy.core")
        if (where, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (where, name) == ("numpy", "dtype"):
            return _dtype
        if (where, name) == ("numpy.core.multiarray", "_reconstruct"):
            return _reconstruct
        if (where, name) == ("_codecs", "encode"):
            return _latin1
        raise SensewellError(f"the recordings' pickle asks for {module}.{name}: refused, nothing was run")


def _dtype(text: str, *flags: int) -> np.dtype[Any]:
    if not isinstance(text, str) or text not in ("O8", "O", "f8", "i8", "f4", "i4", "u1", "b1"):
        raise SensewellError(f"the recordings' pickle asks for an array of {text!r:.40}: refused")
    return np.dtype(text)


def _reconstruct(subtype: Any, shape: Any, typecode: Any) -> np.ndarray[Any, Any]:
    """As numpy's own: an empty array whose content comes with the BUILD that follows."""
    if subtype is not np.ndarray or shape != (0,):
        raise SensewellError("the recordings' pickle builds something else than an array: refused")
    empty: np.ndarray[Any, Any] = np.ndarray((0,), np.int8)
    return empty


def _latin1(text: str, encoding: str) -> bytes:
    """Protocol 2 has no bytes: it writes them as text, encoded back by this."""
    if encoding != "latin1":
        raise SensewellError(f"the recordings' pickle asks for the codec {encoding!r:.40}: refused")
    return text.encode("latin1")
