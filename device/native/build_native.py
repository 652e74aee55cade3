"""Builds the native modules: each C kernel for each architecture a compiler is there for -> build/native/ARCH/NAME.mpy.

Run by `make native`; make_module() also serves C that the host tools generate. MicroPython's source comes from
boards/build.py. Standard library only; MicroPython's linker mpy_ld.py itself needs pyelftools and ar in the same
Python. `make native` writes nothing outside of build/.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "boards"))

import build as boards

BUILD = ROOT / "build" / "native"
COMPILERS = {
    "x64": "gcc",
    "rv32imc": "riscv64-unknown-elf-gcc",
    "armv7emsp": "arm-none-eabi-gcc",
    "armv7m": "arm-none-eabi-gcc",
    "xtensawin": "xtensa-esp32-elf-gcc",  # Espressif's own: in no distribution
}
HOW_TO_GET = {
    "gcc": "on Debian, apt-get install gcc",
    "riscv64-unknown-elf-gcc": "on Debian, apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    "arm-none-eabi-gcc": "on Debian, apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "xtensa-esp32-elf-gcc": "it comes with Espressif's ESP-IDF",
}
MODULES = {f"sensewell_{name}": name for name in ("features", "trees", "p256", "neural")}


def source_tree() -> Path:
    """Return MicroPython's source tree, fetched where there is none yet."""
    with boards.only_one_build():
        if "MICROPYTHON_DIR" not in os.environ and not boards.source_tree().is_dir():
            boards.install(boards.missing([*boards.COMMON_NEEDS, *boards.SOURCE_NEEDS]))
        return boards.source()


def input_files(folder: Path) -> list[Path]:
    """Return the files of this repository that a module is made of."""
    return [*(file for file in folder.iterdir() if file.is_file()), HERE / "module.mk", Path(__file__).resolve()]


def check(arch: str) -> None:
    """Raise where the compiler of an architecture or what MicroPython's linker is written with is not there."""
    if missing := [name for name in ("elftools", "ar") if importlib.util.find_spec(name) is None]:
        raise boards.BuildError(
            f"MicroPython's linker needs Python's {' and '.join(missing)}: run it by `make native`, "
            "or pip install pyelftools ar"
        )
    if shutil.which(COMPILERS[arch]) is None:
        raise boards.BuildError(f"there is no {COMPILERS[arch]} on the PATH: {HOW_TO_GET[COMPILERS[arch]]}")


def make_module(name: str, arch: str, makefile: Path, obj: Path, result: Path, log: Path) -> None:
    """Compile and link one module with the Makefile in its folder; `obj` is emptied, `result` replaced at once."""
    tree = source_tree()
    shutil.rmtree(obj, ignore_errors=True)
    obj.mkdir(parents=True)
    # From inside of the build folder: a module keeps the name it is linked under, so that must be no path of a machine
    linked = f"./{name}.native.mpy"
    settings = {"MPY_DIR": tree, "ARCH": arch, "BUILD": ".", "PYTHON": shlex.quote(sys.executable)}
    command = ["make", "-C", str(obj), "-f", str(makefile), linked]
    command += [f"{key}={value}" for key, value in settings.items()]
    boards.run(command, log, f"compiling {name} for {arch}", env=boards.ENVIRONMENT)
    result.parent.mkdir(parents=True, exist_ok=True)
    temporary = result.with_suffix(".new")
    shutil.copyfile(obj / linked, temporary)
    temporary.replace(result)


def stamp_of(name: str, arch: str, files: list[Path]) -> boards.Stamp:
    """Return what remembers of which source tree, compiler and files a module was made."""
    tree_name = os.environ.get("MICROPYTHON_DIR", "") or boards.MICROPYTHON
    compiler = boards.capture([COMPILERS[arch], "--version"])
    return boards.Stamp(BUILD / "obj" / arch / name / "stamp", [tree_name, compiler], files)


@contextlib.contextmanager
def only_one_build() -> Iterator[None]:
    """Let a second build of native modules wait for the first one."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(name: str, arch: str) -> bool:
    """Bring one module for one architecture up to date; say whether there was anything to do."""
    folder = HERE / MODULES[name]
    result = BUILD / arch / f"{name}.mpy"
    stamp = stamp_of(name, arch, input_files(folder))
    if stamp.is_current() and result.is_file():
        os.utime(result)  # sources that were only touched are no reason to mistrust it
        return False
    make_module(name, arch, folder / "Makefile", stamp.path.parent, result, BUILD / f"{arch}.log")
    stamp.write()
    boards.say(f"{result.relative_to(ROOT)} is ready ({result.stat().st_size} bytes)")
    return True


def build_all(arches: list[str]) -> int:
    """Build what can be built here and say what cannot; return how many architectures that left."""
    ready = []
    for arch in arches:
        if shutil.which(COMPILERS[arch]) is None:
            boards.say(f"{arch}: SKIPPED, there is no {COMPILERS[arch]} on the PATH; such boards run the viper code")
            continue
        check(arch)
        fresh = [build(name, arch) for name in MODULES]
        ready.append(arch)
        if not any(fresh):
            boards.say(f"{arch}: up to date")
    return len(ready)


def main() -> int:
    """Build for the architectures named on the command line, or for all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arches", nargs="*", help=f"architectures (default: {' '.join(COMPILERS)})")
    arches = parser.parse_args().arches or list(COMPILERS)
    if unknown := [arch for arch in arches if arch not in COMPILERS]:
        print(f"no such architecture: {', '.join(unknown)}; there are {', '.join(COMPILERS)}", file=sys.stderr)
        return 2
    try:
        with only_one_build():
            built = build_all(arches)
    except boards.BuildError as error:
        print(f"native: {error}", file=sys.stderr)
        return 1
    return 0 if built else 1


if __name__ == "__main__":
    sys.exit(main())
