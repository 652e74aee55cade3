"""A custom firmware: MicroPython with upstream TensorFlow Lite Micro (TFLM), and on ESP32s with the runtime frozen in.

Run by `make firmware`; says what is missing before anything starts. Results lie under build/firmware/BOARD.
`unix` is built as in tests; the ESP32s need ESP-IDF and are not built in CI.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import build as boards

NATIVE = boards.ROOT / "device" / "native"
BUILD = boards.ROOT / "build" / "firmware"
ESP32S = ("esp32", "esp32s3", "esp32c3")
FACADE = "tensorflow/lite/micro/micro_interpreter.h"


def setting(name: str, meaning: str) -> str:
    """Return a variable of make, from the environment; say what it is for where it is missing."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise boards.BuildError(f"{name} is not set: {meaning}")
    return value


def folders(name: str, meaning: str) -> list[Path]:
    """Return the folders a variable names, all of which exist."""
    found = [Path(word).expanduser().resolve() for word in shlex.split(setting(name, meaning))]
    for folder in found:
        if not folder.is_dir():
            raise boards.BuildError(f"{name}: there is no folder {folder}; it is {meaning}")
    return found


def write_ops(folder: Path, esp_nn: bool) -> bool:
    """Write sensewell_tflm_ops.h for the models in MODELS; False where none are named."""
    models = shlex.split(os.environ.get("MODELS", ""))
    if not models:
        return False
    if importlib.util.find_spec("sensewell_host") is None:
        raise boards.BuildError("the host tools are not installed: run `make install` first")
    command = [sys.executable, "-m", "sensewell_host.convert.tflm_ops", *models]
    command += ["-o", str(folder / "sensewell_tflm_ops.h"), *(["--esp-nn"] if esp_nn else [])]
    if subprocess.run(command).returncode:
        raise boards.BuildError("the models in MODELS cannot be built in, see above")
    return True


def build_unix(folder: Path) -> Path:
    """Build MicroPython for this computer with TFLM; without TLS, which `make boards` has."""
    include = folders("TFLM_INCLUDE", "the folders of TFLM's headers (its root, flatbuffers/include, gemmlowp, ...)")
    if not any((folder / FACADE).is_file() for folder in include):
        raise boards.BuildError(f"TFLM_INCLUDE: none of its folders has {FACADE}")
    library = Path(setting("TFLM_LIB", "TFLM as a library, libtensorflow-microlite.a")).expanduser().resolve()
    if not library.is_file():
        raise boards.BuildError(f"TFLM_LIB: there is no file {library}")
    if not write_ops(folder, esp_nn=False):
        raise boards.BuildError("MODELS is not set: the .tflite files whose operators shall be built in")
    if missing := boards.missing([*boards.COMMON_NEEDS, *boards.BUILD_NEEDS["unix"], boards.program("g++", "g++")]):
        raise boards.BuildError("missing: " + ", ".join(need.what for need in missing))
    tree = boards.source()
    variables = {
        **boards.make_variables("unix", tree),
        "BUILD": folder / "obj",
        "MICROPY_PY_SSL": 0,
        "USER_C_MODULES": NATIVE,
        "TFLM_INCLUDE": " ".join(map(str, include)),
        "TFLM_LIB": library,
        "TFLM_OPS": folder,
        "MICROPY_MPYCROSS": boards.mpy_cross(tree),
    }
    if flags := os.environ.get("TFLM_CXXFLAGS", ""):
        variables["TFLM_CXXFLAGS"] = flags
    # make sees changed files by itself, but not changed settings, headers of TFLM or a new library
    header, log = folder / "sensewell_tflm_ops.h", BUILD / f"{folder.name}.log"
    settings = boards.Stamp(folder / "settings", [f"{k}={v}" for k, v in variables.items()], [library, header])
    if not settings.is_current():
        shutil.rmtree(folder / "obj" / "tflm", ignore_errors=True)
        (folder / "obj" / "micropython").unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    boards.say("unix with TFLM: compiling")
    boards.make(tree / "ports" / "unix", log, "compiling the firmware of unix", **variables)
    settings.write()
    shutil.copy2(folder / "obj" / "micropython", folder / "micropython")
    return folder / "micropython"


def build_esp32(name: str, folder: Path) -> Path:
    """Build MicroPython for an ESP32 by ESP-IDF, with Sensewell frozen in; with TFLM where MODELS are named."""
    setting("MICROPYTHON_DIR", f"a checkout of MicroPython {boards.MICROPYTHON} with its submodules")
    tree = boards.own_source()
    assert tree is not None
    export = Path(setting("IDF_PATH", "ESP-IDF, version 5.2 or newer")).expanduser().resolve() / "export.sh"
    if not export.is_file():
        raise boards.BuildError(f"IDF_PATH: {export.parent} is not ESP-IDF, it has no export.sh")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["make", "-C", str(tree / "ports" / "esp32"), f"BOARD=SENSEWELL_{name.upper()}"]
    command += [f"BOARD_DIR={boards.BOARDS / name}", f"BUILD={folder / 'obj'}"]
    cross = str(boards.mpy_cross(tree))
    environment = {**boards.ENVIRONMENT, "IDF_PATH": str(export.parent), "MICROPY_MPYCROSS": cross}
    if write_ops(folder, esp_nn=True):
        environment["SENSEWELL_TFLM_OPS"] = str(folder)
        command += [f"USER_C_MODULES={NATIVE / 'tflm' / 'micropython.cmake'}"]
    else:
        boards.say("no MODELS: built without TFLM")
    boards.say(f"{name}: compiling with ESP-IDF; this firmware is not built in CI")
    log = BUILD / f"{folder.name}.log"
    log.unlink(missing_ok=True)
    script = f". {shlex.quote(str(export))} && {shlex.join(command)}"
    boards.run(["bash", "-c", script], log, f"compiling the firmware of {name}", env=environment)
    return folder / "obj" / "firmware.bin"


def main() -> int:
    """Build the custom firmware of one board."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("board", nargs="?", default="", help=f"unix, {', '.join(ESP32S)}")
    parser.add_argument("--output", type=Path, help="folder of the results (default: build/firmware/BOARD)")
    given = parser.parse_args()
    name = given.board
    try:
        if name not in ("unix", *ESP32S):
            raise boards.BuildError(f"BOARD is {name or 'not set'}: expected unix, {', '.join(ESP32S)}")
        with boards.only_one_build():
            folder = (given.output or BUILD / name).resolve()
            result = build_unix(folder) if name == "unix" else build_esp32(name, folder)
        boards.say(f"{name}: {result} is ready ({result.stat().st_size // 1024} KiB)")
    except boards.BuildError as error:
        print(f"firmware: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
