"""Builds the firmware of the virtual boards: finds MicroPython's source, finds the compilers, compiles, caches.

Run by `make boards`; knows Debian's packages, and on other systems says exactly what it needs.
Standard library only, because it runs before anything is installed. Nothing outside of build/ is written.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tomllib

BOARDS = Path(__file__).resolve().parent
ROOT = BOARDS.parent
BUILD = ROOT / "build" / "boards"

# One release for every board: what runs on one must run on the other. Debian's stable suite keeps this version.
MICROPYTHON = "1.25.0"
DEBIAN_SOURCES = {"micropython": f"{MICROPYTHON}+ds-1", "mbedtls": ""}
DEBIAN_SUITE = "trixie"

NAMES = ("unix", "virt_c3", "virt_m4")


class BuildError(Exception):
    """Says what is missing or what failed, and what to do about it."""


@dataclass(frozen=True)
class Need:
    """Something outside of this repository: how to see that it is there, and who provides it on Debian."""

    what: str
    is_there: Callable[[], bool]
    packages: tuple[str, ...]
    """Alternatives, the best first: Debian releases name things differently."""


def program(name: str, *packages: str) -> Need:
    """The need for a program on the PATH."""
    return Need(f"the program {name}", lambda: shutil.which(name) is not None, packages)


def c_header(name: str, compiler: str, *packages: str, pkg_config: str = "") -> Need:
    """The need for a C header that a compiler can find, by itself or with the help of pkg-config."""

    def is_there() -> bool:
        if shutil.which(compiler) is None:
            return False
        flags = capture(["pkg-config", "--cflags", pkg_config]).split() if pkg_config else []
        specs = capture([compiler, "-print-file-name=picolibc.specs"]).strip()
        if specs.endswith("/picolibc.specs"):
            flags.append("--specs=picolibc.specs")
        command = [compiler, *flags, "-E", "-xc", "-", "-o", os.devnull]
        return subprocess.run(command, input=f"#include <{name}>\n", text=True, capture_output=True).returncode == 0

    return Need(f"the C header {name} for {compiler}", is_there, packages)


COMMON_NEEDS = (program("gcc", "gcc"), c_header("stdlib.h", "gcc", "libc6-dev"), program("make", "make"))
SOURCE_NEEDS = (program("dpkg-source", "dpkg-dev"), program("xz", "xz-utils"), program("bzip2", "bzip2"))
BUILD_NEEDS = {
    "unix": (
        program("pkg-config", "pkgconf", "pkg-config"),
        c_header("ffi.h", "gcc", "libffi-dev", pkg_config="libffi"),
    ),
    "virt_c3": (
        program("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"),
        c_header("stdlib.h", "riscv64-unknown-elf-gcc", "picolibc-riscv64-unknown-elf"),
    ),
    "virt_m4": (
        program("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
        c_header("stdlib.h", "arm-none-eabi-gcc", "libnewlib-arm-none-eabi"),
    ),
}
RUN_NEEDS = {
    "unix": (),
    "virt_c3": (program("qemu-system-riscv32", "qemu-system-riscv", "qemu-system-misc"),),
    "virt_m4": (program("qemu-system-arm", "qemu-system-arm"),),
}


# ---- talking to the user and to other programs ----

START = time.monotonic()


def say(text: str) -> None:
    """Print one line of progress with the time since the start."""
    print(f"[{time.monotonic() - START:4.0f} s] {text}", flush=True)


def capture(command: list[str]) -> str:
    """Return what a command prints; nothing where it fails or does not exist."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def run(command: list[str], log: Path, what: str, **options: object) -> None:
    """Run a command with its output in a log file; show the end of that where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write(f"$ {shlex.join(command)}\n".encode())
        file.flush()
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, **options
        ).returncode
    if status != 0:
        tail = "\n".join("    " + line for line in log.read_text(errors="replace").splitlines()[-25:])
        raise BuildError(f"{what} failed. The end of {log.relative_to(ROOT)}:\n{tail}")


@contextlib.contextmanager
def only_one_build() -> Iterator[None]:
    """Let a second `make boards` wait for the first one instead of disturbing it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build of the boards is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- packages ----


def missing(needs: Iterable[Need]) -> list[Need]:
    """Return the needs that are not met on this machine."""
    return [need for need in needs if not need.is_there()]


def superuser() -> list[str] | None:
    """Return what to put before a command to run it as root; None where that is not possible without asking."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo"]
    return None


def debian_package(need: Need) -> str:
    """Return the first of the alternatives that this Debian release has."""
    for name in need.packages:
        if f"\nPackage: {name}\n" in "\n" + capture(["apt-cache", "show", "--no-all-versions", name]):
            return name
    return need.packages[-1]


def install(needs: list[Need]) -> None:
    """Install what is missing, after naming it; or say the one line that does."""
    if not needs:
        return
    prefix = superuser()
    log = BUILD / "packages.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if prefix is not None:
        # Old lists name versions that mirrors no longer have. One broken third-party list is no reason to stop.
        with contextlib.suppress(BuildError):
            run([*prefix, "apt-get", "update"], log, "apt-get update", env=environment)
    packages = sorted({debian_package(need) for need in needs})
    # Another apt may be at work (automatic upgrades of a fresh machine): wait for it
    command = ["apt-get", "install", "-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends", *packages]
    if prefix is None:
        raise BuildError(
            "missing: "
            + ", ".join(need.what for need in needs)
            + f"\nInstall it with this line, then run make again:\n  sudo apt-get install {shlex.join(packages)}"
        )
    say("installing Debian packages: " + " ".join(packages))
    run([*prefix, *command], log, "installing packages", env=environment)
    if still := missing(needs):
        raise BuildError(
            f"packages were installed ({' '.join(packages)}), but there is still no "
            + ", no ".join(need.what for need in still)
        )


def check_other_system(needs: list[Need], has_source: bool) -> None:
    """Where nothing can be installed for the user: say everything that is missing, at once."""
    wanted = [need.what for need in needs]
    if not has_source:
        wanted.append(
            f"the environment variable MICROPYTHON_DIR with a source tree of MicroPython {MICROPYTHON}: the release's "
            ".tar.xz unpacked, or a checkout of that tag with the submodules lib/mbedtls and lib/micropython-lib"
        )
    if wanted:
        raise BuildError("this is not a Debian system, so please provide:\n  " + "\n  ".join(wanted))


# ---- MicroPython's source ----


def own_source() -> Path | None:
    """Return the tree MICROPYTHON_DIR names, after a look at its version; None where it is not set."""
    setting = os.environ.get("MICROPYTHON_DIR", "")
    if not setting:
        return None
    folder = Path(setting).expanduser().resolve()
    header = folder / "py" / "mpconfig.h"
    if not header.is_file():
        raise BuildError(f"MICROPYTHON_DIR={setting} is not a MicroPython source tree: it has no py/mpconfig.h")
    numbers = {}
    for line in header.read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[1].startswith("MICROPY_VERSION_"):
            numbers[words[1].removeprefix("MICROPY_VERSION_")] = words[2]
    version = ".".join(numbers.get(part, "?") for part in ("MAJOR", "MINOR", "MICRO"))
    if version != MICROPYTHON:
        raise BuildError(f"MICROPYTHON_DIR={setting} is MicroPython {version}; these boards need {MICROPYTHON}")
    return folder


def debian_mirrors() -> list[tuple[str, str]]:
    """Return (URI, keyring option) of the Debian archives this machine is configured to use, without duplicates."""
    form = "$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(SIGNED_BY)"
    mirrors: dict[str, str] = {}
    for line in capture(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines():
        uri, origin, label, keyring = line.split("|")
        if origin == "Debian" and label == "Debian":
            mirrors.setdefault(uri, "" if keyring.startswith("$(") else keyring)
    return list(mirrors.items())


def default_keyring() -> str:
    """Return Debian's own keyring, whichever of its names this release uses."""
    for suffix in ("pgp", "gpg"):
        path = Path(f"/usr/share/keyrings/debian-archive-keyring.{suffix}")
        if path.is_file():
            return str(path)
    return ""


def download_debian_sources(folder: Path) -> None:
    """Fetch Debian's source packages through a private list made from this machine's own mirror; apt checks them."""
    log = BUILD / "source.log"
    mirrors = debian_mirrors()
    if not mirrors and (prefix := superuser()) is not None:
        # A fresh container has no package lists yet, and apt does not know who is behind an address before.
        with contextlib.suppress(BuildError):
            run([*prefix, "apt-get", "update"], log, "apt-get update")
        mirrors = debian_mirrors()
    if not mirrors:
        raise BuildError(
            "apt knows no Debian archive on this machine: run 'apt-get update' as root and try again, "
            f"or set MICROPYTHON_DIR to a source tree of MicroPython {MICROPYTHON}"
        )
    failure = None
    for uri, keyring in mirrors:
        try:
            download_from(uri, keyring or default_keyring(), folder, log)
            return
        except BuildError as error:
            failure = error
    raise BuildError(f"no configured Debian archive gave the source of MicroPython.\n{failure}")


def download_from(uri: str, keyring: str, folder: Path, log: Path) -> None:
    """Fetch the source packages from one Debian archive into a folder, with apt's whole state inside that folder."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    signed_by = f"Signed-By: {keyring}\n" if keyring else ""
    (folder / "debian.sources").write_text(
        f"Types: deb-src\nURIs: {uri}\nSuites: {DEBIAN_SUITE}\nComponents: main\n{signed_by}"
    )
    options = {
        "Dir::Etc::SourceList": folder / "debian.sources",
        "Dir::Etc::SourceParts": "/nonexistent",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",  # the unprivileged user apt would switch to may not write here
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    names = [f"{name}={version}" if version else name for name, version in DEBIAN_SOURCES.items()]
    run([*apt, "update"], log, f"reading the list of sources of {uri}", cwd=folder)
    run([*apt, "source", "--download-only", *names], log, "downloading MicroPython's source", cwd=folder)


def source_tree() -> Path:
    """Return where Debian's source is kept once it is unpacked."""
    return BUILD / f"micropython-{MICROPYTHON}"


def source() -> Path:
    """Return a MicroPython source tree with Mbed TLS in its place: the user's own, or Debian's, unpacked once."""
    if own := own_source():
        return own
    tree = source_tree()
    if tree.is_dir():
        return tree
    say(f"fetching the source of MicroPython {MICROPYTHON} from Debian")
    work = BUILD / "source"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    download_debian_sources(work)
    log = BUILD / "source.log"
    for name in DEBIAN_SOURCES:
        [description] = work.glob(f"{name}_*.dsc")
        # Debian's patches link MicroPython against system libraries; the release as it is suits us better.
        unpack = ["dpkg-source", "--no-check", "--skip-patches", "-x", description.name, name]
        run(unpack, log, f"unpacking {name}", cwd=work)
    shutil.rmtree(work / "micropython/lib/mbedtls")
    (work / "mbedtls").rename(work / "micropython/lib/mbedtls")
    (work / "micropython").rename(tree)
    shutil.rmtree(work)
    return tree


# ---- compiling ----

# A build must depend on nothing but its inputs: no date, and no Git repository that happens to lie around it.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "CFLAGS", "LDFLAGS")},
    "MICROPY_GIT_TAG": f"v{MICROPYTHON}",
    "MICROPY_GIT_HASH": f"v{MICROPYTHON}",
    "SOURCE_DATE_EPOCH": "1744675200",  # 2025-04-15, the day of the release
    "LC_ALL": "C",
}


def make(folder: Path, log: Path, what: str, **variables: object) -> None:
    """Run make in a folder on all processors."""
    settings = [f"{name}={value}" for name, value in variables.items()]
    run(["make", "-C", str(folder), f"-j{os.cpu_count() or 2}", *settings], log, what, env=ENVIRONMENT)


def mpy_cross(tree: Path) -> Path:
    """Build MicroPython's cross compiler, which freezes Python code into a firmware."""
    output = BUILD / "mpy-cross"
    stamp = Stamp(output / "stamp", [str(tree)], [])
    result = output / "obj" / "mpy-cross"
    if stamp.is_current() and result.is_file():
        return result
    say("mpy-cross: compiling")
    make(tree / "mpy-cross", BUILD / "mpy-cross.log", "compiling mpy-cross", BUILD=output / "obj", PROG="mpy-cross")
    stamp.write()
    return result


class Stamp:
    """Remembers what an output was made of, by content: files that were only touched change nothing."""

    def __init__(self, path: Path, words: list[str], files: Iterable[Path]) -> None:
        self.path = path
        digest = hashlib.sha256("\n".join(words).encode())
        for file in sorted(files):
            digest.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        self.value = digest.hexdigest()

    def is_current(self) -> bool:
        """Is the output made of exactly this?"""
        return self.path.is_file() and self.path.read_text() == self.value

    def write(self) -> None:
        """Remember that the output is now made of this."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.value)


def input_files(name: str) -> list[Path]:
    """Return the files of this repository a firmware is made of."""
    folders = [BOARDS / name] + ([BOARDS / "firmware"] if name != "unix" else [])
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [*(file for file in files if "__pycache__" not in file.parts), Path(__file__).resolve()]


def artifact(name: str) -> Path:
    """Return where the result of a board's build lies."""
    return BUILD / name / ("micropython" if name == "unix" else "firmware.elf")


def make_variables(name: str, tree: Path) -> dict[str, object]:
    """Return what the port's Makefile has to know; numbers of a board come from its board.toml alone."""
    obj = BUILD / name / "obj"
    if name == "unix":
        tls = (tree / "lib/mbedtls/library/ssl_tls.c").is_file()
        if not tls:
            say("unix: built without TLS, because lib/mbedtls of MICROPYTHON_DIR is empty")
        return {
            "BUILD": obj,
            "PROG": "micropython",
            "MICROPY_PY_BTREE": 0,
            "MICROPY_PY_SSL": int(tls),
            "MPY_LIB_DIR": BOARDS / "firmware" / "frozen",
            "FROZEN_MANIFEST": BOARDS / "unix" / "manifest.py",
        }
    board = tomllib.loads((BOARDS / name / "board.toml").read_text())
    return {
        "BUILD": obj,
        "BOARD": name,
        "MICROPYTHON": tree,
        "MPY_ARCH": board["arch"],
        "CLOCK_HZ": board["clock_hz"],
        "GC_HEAP_BYTES": board["memory"]["heap_bytes"],
        "STACK_BYTES": board["memory"]["stack_bytes"],
        "FLASH_BYTES": board["memory"]["flash_bytes"],
    }


def build(name: str, tree: Path, stamp: Stamp) -> None:
    """Compile one board's firmware and put it where the host tools look for it."""
    folder = BUILD / name
    log = BUILD / f"{name}.log"
    log.unlink(missing_ok=True)
    cross = mpy_cross(tree)
    variables = {**make_variables(name, tree), "MICROPY_MPYCROSS": cross}
    # make sees changed files by itself, but not changed settings.
    settings = Stamp(folder / "settings", [f"{key}={value}" for key, value in variables.items()], [])
    if not settings.is_current():
        shutil.rmtree(folder / "obj", ignore_errors=True)
        settings.write()
    say(f"{name}: compiling")
    port = tree / "ports" / "unix" if name == "unix" else BOARDS / "firmware"
    make(port, log, f"compiling the firmware of {name}", **variables)
    result = artifact(name)
    temporary = result.with_suffix(".new")
    shutil.copy2(folder / "obj" / result.name, temporary)
    temporary.replace(result)  # a board that runs keeps its old file until it ends
    stamp.write()
    say(f"{name}: {result.relative_to(ROOT)} is ready ({result.stat().st_size // 1024} KiB)")


def build_all(names: list[str]) -> None:
    """Bring the named boards up to date, installing and downloading what that takes."""
    tree_name = os.environ.get("MICROPYTHON_DIR", "") or MICROPYTHON
    stamps = {name: Stamp(BUILD / name / "stamp", [tree_name], input_files(name)) for name in names}
    stale = [name for name in names if not (artifact(name).is_file() and stamps[name].is_current())]
    needs = [need for name in names for need in RUN_NEEDS[name]]
    needs += [need for name in stale for need in BUILD_NEEDS[name]]

    has_source = own_source() is not None or source_tree().is_dir()
    first = [*COMMON_NEEDS, *(() if has_source else SOURCE_NEEDS)] if stale else []
    if shutil.which("apt-get") is None:
        check_other_system(missing([*(COMMON_NEEDS if stale else ()), *needs]), has_source or not stale)
    install(missing(first))
    with BackgroundInstall(missing(needs)) as packages:
        # What the compiler of this machine can do goes on while packages are being unpacked.
        for name in sorted(stale, key=("unix", "virt_c3", "virt_m4").index):
            tree = source()
            mpy_cross(tree)
            if missing(BUILD_NEEDS[name]):
                packages.wait()
            build(name, tree, stamps[name])
    if not stale:
        say("up to date: " + ", ".join(names))


class BackgroundInstall:
    """Installs packages beside other work: unpacking a cross compiler takes as long as compiling a firmware."""

    def __init__(self, needs: list[Need]) -> None:
        self.failure: BuildError | None = None
        self.thread = threading.Thread(target=self._run, args=(needs,))

    def _run(self, needs: list[Need]) -> None:
        try:
            install(needs)
        except BuildError as error:
            self.failure = error

    def wait(self) -> None:
        """Wait for the packages; raise what went wrong with them."""
        self.thread.join()
        if self.failure:
            raise self.failure

    def __enter__(self) -> BackgroundInstall:
        self.thread.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.wait()
        else:
            self.thread.join()


def main() -> int:
    """Build the boards named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"boards to build (default: {' '.join(NAMES)})")
    names = parser.parse_args().names or list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        print(f"no such board to build: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    try:
        with only_one_build():
            build_all(names)
    except BuildError as error:
        print(f"boards: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
