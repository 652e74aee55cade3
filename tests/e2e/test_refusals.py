"""Every reason for which a board refuses what is brought to it: it says so by that name, goes on deciding by the model
that it has, and then takes, proves and switches to the next good bundle.

What is brought is refusals/cases.py's, what a board does with it refusals/refusing.py's. All of it in MicroPython's
unix port, on littlefs over a flash that can fail; each reason once on a virtual ESP32-C3, with SENSEWELL_SOAK=1 all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sensewell import signature
from sensewell_host import runtime
from sensewell_host.board import catalog, connect, virtual

HERE = Path(__file__).with_name("refusals")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(HERE))
import cases  # noqa: E402

CASES = cases.everything()
ONLY_UNIX = ("full", "write", "journal", "read")  # the flash of virt_c3 does not fail on demand, and takes long to fill
NETWORKS = re.compile(r"neural|model\.(input|take|error|give|edges|average)$")  # no engine for them beside all the rest
SOAK = bool(os.environ.get("SENSEWELL_SOAK"))
Said = dict[str, tuple[str, str, int]]
"""By the name of the case: the reason that the board gave, what was wrong, "" if nothing was, and ms."""


SETTINGS = re.compile(r"(bundle\.schema|guard|condition|features)\b.*")


def for_virt_c3() -> set[str]:
    """The names of the first case of each reason and each way to it, but one of all settings; in soak of all cases."""
    first: dict[str, str] = {}
    for case in CASES:
        if case["how"] not in ONLY_UNIX and not NETWORKS.match(case["reason"]):
            all_of_it = SOAK or case["how"] == "memory"
            first.setdefault(
                case["name"] if all_of_it else case["how"] + SETTINGS.sub(r"\1", case["reason"]), case["name"]
            )
    return {*first.values()}


ON_VIRT_C3 = for_virt_c3()


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("refusals") / "crate"
    path.write_bytes(cases.crate(CASES))
    return path


def heard(said: str) -> Said:
    found: Said = {}
    for line in said.splitlines():
        if line.startswith("CASE "):
            name, *rest = json.loads(line[5:])
            found[name] = tuple(rest)
    assert said.splitlines()[-1].startswith("DONE"), said[-4000:]
    return found


@pytest.fixture(scope="module")
def unix(crate: Path) -> Said:
    if not virtual.is_built("unix"):
        pytest.skip("the unix board is not built: make board-unix")
    folders = [ROOT / "device", HERE, ROOT / "tests" / "power" / "on_unix", runtime.NATIVE / "x64"]
    done = subprocess.run(
        [str(catalog.load("unix").firmware), "-X", "heapsize=1000k", str(HERE / "on_unix.py"), str(crate)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "MICROPYPATH": ":".join(map(str, folders))},
    )
    return heard(done.stdout + done.stderr)


@pytest.fixture(scope="module")
def virt_c3(crate: Path) -> Said:
    if not virtual.is_built("virt_c3"):
        pytest.skip("virt_c3 is not built: make board-virt_c3")
    arch = catalog.load("virt_c3").arch
    native = runtime.native_modules(arch)
    files, _ = runtime.files_for(arch, ["trees", "linear"], [runtime.REPLAY, *runtime.SLOTS], native)
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        for folder in sorted({path.rpartition("/")[0] for path in files}):
            wire.mkdirs(folder)
        for path, content in files.items():
            wire.put(path, content)
        wire.put("/lib/refusing.mpy", runtime.compile_file(HERE / "refusing.py", arch, optimise="-O0"))
        wire.put("/crate", crate.read_bytes())
        wire.soft_reset()
        said: list[str] = []
        wire.stream(
            f"import refusing\nrefusing.run(open('/crate', 'rb'), {sorted(ON_VIRT_C3)!r})", said.append, timeout_s=600
        )
    return heard("\n".join(said))


RUNS = [("unix", case) for case in CASES] + [("virt_c3", case) for case in CASES if case["name"] in ON_VIRT_C3]


@pytest.mark.parametrize(("board", "case"), RUNS, ids=[f"{board}-{case['name']}" for board, case in RUNS])
def test_it_is_refused_by_name_and_the_board_decides_and_is_updateable(
    board: str, case: cases.Case, request: pytest.FixtureRequest
) -> None:
    said: Said = request.getfixturevalue(board)
    got, wrong, _ = said[case["name"]]
    assert not wrong and got in case["reason"].split()


NOT_BY_WHAT_IS_BROUGHT = {
    "why a start leaves a bundle, no refusal": "slots.adopted slots.code slots.empty slots.missing slots.starts",
    "commands of people": "slots.confirmed slots.safe",
    "an OSError that no proof lets out; a flash that cannot be read, see tests/power": "slots.read bundle.unreadable",
    "of a file of trust roots on the flash: the other one counts": "trust.large trust.memory trust.unreadable",
    "a flash that forgets at once, see test_trust_store.py": "trust.unwritten",
    "memory is aligned, keys and digests have their lengths": "model.alignment signature.length",
    "the manifest's structure is checked before": "model.family model.output",
    "the code comes along with the bundle, see test_bundle_without_its_code in tests/host/test_pack.py": "model.absent",
}
NAMED = re.compile(r'"((?:bundle|signature|trust|golden|model|slots)\.[a-z_.]*[a-z_])"')


def test_no_reason_is_forgotten() -> None:
    """Whoever gives a board a new reason to refuse adds a case, or says why nothing that is brought can lead to it."""
    known = {reason for case in CASES for reason in case["reason"].split()}
    known |= {reason for reasons in NOT_BY_WHAT_IS_BROUGHT.values() for reason in reasons.split()}
    named = {name for path in (ROOT / "device" / "sensewell").rglob("*.py") for name in NAMED.findall(path.read_text())}
    named |= {"signature." + word for word in signature.REASONS.split()} - {
        "signature.point"
    }  # trust.point comes first
    assert sorted(named - known) == []
