"""The command line: what a user can do wrong is answered by one clear sentence on stderr and exit code 1."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tiny_bundle
from rich.console import Console
from sensewell_host import cli, places
from sensewell_host.board import catalog, commands, virtual


class Answer(NamedTuple):
    code: int
    out: str
    error: str

    def sentence(self) -> str:
        """The error, if it is one line, red by choice of the console, and no traceback."""
        assert self.code == 1, self
        assert self.error.count("\n") == 1, self.error
        assert "Traceback" not in self.error
        return self.error.strip()


Call = Callable[..., Answer]
WIDE = {**os.environ, "COLUMNS": "240"}


@pytest.fixture
def sensewell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Call the command as a shell would, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["sensewell", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.swb"
    path.write_bytes(tiny_bundle.build(n_channels=2))
    return path


def write_csv(folder: Path, columns: str = "person,label,c0,c1", rows: int = 200) -> Path:
    """Recordings of two people for the tiny bundle, with their schema beside them."""
    rng = np.random.default_rng(3)
    path = folder / "moves.csv"
    lines = [columns]
    for number in range(rows):
        values = ",".join(f"{value:.1f}" for value in rng.normal(0, 400, len(columns.split(",")) - 2))
        lines.append(f"{1 + (number >= rows // 2)},class{number // 50 % 2},{values}")
    path.write_text("\n".join(lines) + "\n")
    schema = {
        "name": "moves",
        "rate_hz": 50,
        "channels": [{"name": name, "unit": "m/s2", "scale": 0.5} for name in ("c0", "c1")],
        "label": "label",
        "group": "person",
    }
    path.with_suffix(".json").write_text(json.dumps(schema))
    return path


@pytest.fixture
def dataset(sensewell: Call, tmp_path: Path) -> Path:
    assert sensewell("data", "import", write_csv(tmp_path), "--out", tmp_path / "moves").code == 0
    return tmp_path / "moves"


def test_help_names_every_verb(sensewell: Call) -> None:
    assert "Write the [guard] tables" in sensewell("guard", "fit", "--help").out
    text = sensewell("--help").out
    for verb in ("data", "train", "convert", "pack", "inspect", "deploy", "run", "report", "demo", "board"):
        assert verb in text


def test_a_bundle_is_shown(sensewell: Call, bundle: Path) -> None:
    answer = sensewell("inspect", bundle)
    assert answer.code == 0
    assert "tiny, version 1" in answer.out and "class0 class1" in answer.out


def test_a_bundle_cut_short_is_refused(sensewell: Call, bundle: Path) -> None:
    whole = bundle.read_bytes()
    for length in (0, 3, 55, 56, 300, len(whole) // 2, len(whole) - 1):
        bundle.write_bytes(whole[:length])
        sentence = sensewell("inspect", bundle).sentence()
        assert "tiny.swb is not a bundle that a board would run" in sentence and "bundle." in sentence


def test_a_changed_byte_is_refused_wherever_it_is(sensewell: Call, bundle: Path) -> None:
    whole = bundle.read_bytes()
    for at in range(0, len(whole), 97):
        bundle.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert "not a bundle that a board would run" in sensewell("inspect", bundle).sentence(), at


def test_a_bad_bundle_is_refused_before_a_board_is_looked_for(sensewell: Call, bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-1])
    assert "bundle.truncated" in sensewell("deploy", bundle, "--port", "/dev/there-is-none").sentence()
    assert "there is no bundle" in sensewell("deploy", "none.swb", "--port", "/dev/there-is-none").sentence()


def test_deploy_wants_a_board(sensewell: Call, bundle: Path) -> None:
    assert "say which board" in sensewell("deploy", bundle).sentence()


def test_a_board_that_is_not_there_is_named(sensewell: Call, bundle: Path) -> None:
    assert "/dev/there-is-none" in sensewell("deploy", bundle, "--port", "/dev/there-is-none").sentence()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"socket://127.0.0.1:{free.getsockname()[1]}"
    assert address in sensewell("deploy", bundle, "--port", address).sentence()
    assert "no running board" in sensewell("deploy", bundle, "--board", "fridge").sentence()


def test_a_virtual_board_without_firmware_says_how_to_build_it(
    sensewell: Call, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "nothing")
    for name in ("virt_c3", "virt_m4"):
        assert f"make board-{name}" in sensewell("board", "start", name).sentence()
    assert "make board-unix" in sensewell("deploy", bundle, "--board", "unix:flash").sentence()


def test_a_csv_with_wrong_columns_names_them(sensewell: Call, tmp_path: Path) -> None:
    csv = write_csv(tmp_path, "person,label,c0,z9")
    sentence = sensewell("data", "import", csv).sentence()
    assert "c1" in sentence and "moves.csv" in sentence


def test_a_csv_with_words_for_numbers_names_the_line(sensewell: Call, tmp_path: Path) -> None:
    csv = write_csv(tmp_path)
    lines = csv.read_text().splitlines()
    lines[7] = "1,class0,warm,3"
    csv.write_text("\n".join(lines))
    assert "line 8" in sensewell("data", "import", csv).sentence()


def test_recordings_are_imported_listed_and_shown(sensewell: Call, dataset: Path) -> None:
    listed = sensewell("data", "list", dataset.parent)
    assert listed.code == 0 and "moves" in listed.out
    shown = sensewell("data", "show", dataset)
    assert "4 recordings of 2 groups" in shown.out and "class1" in shown.out


def test_a_folder_without_recordings_is_named(sensewell: Call, tmp_path: Path) -> None:
    assert "is no dataset" in sensewell("data", "show", tmp_path / "none").sentence()
    assert "no datasets" in sensewell("data", "list", tmp_path / "none").sentence()


def test_a_run_on_this_pc_is_kept_and_drawn(sensewell: Call, bundle: Path, dataset: Path, tmp_path: Path) -> None:
    ran = sensewell("run", "--data", dataset, "--bundle", bundle, "--group", "2", "--faults", "--out", tmp_path / "run")
    assert ran.code == 0, ran.error
    drawn = sensewell("report", tmp_path / "run")
    assert drawn.code == 0, drawn.error
    assert (tmp_path / "run" / "confusion.png").is_file()


def test_recordings_with_other_channels_are_refused(sensewell: Call, dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "six.swb"
    other.write_bytes(tiny_bundle.build(n_channels=6, rules=[]))
    sentence = sensewell("run", "--data", dataset, "--bundle", other).sentence()
    assert "c0 c1 c2 c3 c4 c5" in sentence and "have c0 c1" in sentence


def test_recordings_at_another_rate_or_scale_are_refused(sensewell: Call, dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.swb"
    other.write_bytes(tiny_bundle.build(n_channels=2, rate_hz=100))
    assert "100 Hz" in sensewell("run", "--data", dataset, "--bundle", other).sentence()
    channels = [{"name": f"c{n}", "unit": "m/s2", "scale": 0.25, "offset": 0.0} for n in range(2)]
    other.write_bytes(tiny_bundle.build(n_channels=2, channels=channels))
    assert "counts of 0.25" in sensewell("run", "--data", dataset, "--bundle", other).sentence()


def test_a_group_or_recording_that_is_not_there_is_named(sensewell: Call, dataset: Path, bundle: Path) -> None:
    run = ("run", "--data", dataset, "--bundle", bundle)
    assert "no group 7" in sensewell(*run, "--group", "7").sentence()
    assert "no recording 'x'" in sensewell(*run, "--recording", "x").sentence()


def test_a_model_without_recipe_or_training_says_what_to_do(sensewell: Call, tmp_path: Path) -> None:
    assert "there is no recipe 'fridge'" in sensewell("train", "fridge").sentence()
    assert "there is no recipe 'fridge'" in sensewell("convert", "fridge").sentence()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "train.json").write_text("{")
    assert "run `sensewell train half` first" in sensewell("convert", tmp_path / "half").sentence()


def test_a_report_without_a_run_says_what_to_do(sensewell: Call, tmp_path: Path) -> None:
    assert "sensewell run" in sensewell("report", tmp_path).sentence()


def test_debug_shows_where_an_error_arose(sensewell: Call, tmp_path: Path) -> None:
    answer = sensewell("--debug", "report", tmp_path)
    assert answer.code == 1 and "Traceback" in answer.error


def test_a_file_or_folder_that_cannot_be_used_is_named(
    sensewell: Call, bundle: Path, dataset: Path, tmp_path: Path
) -> None:
    said = sensewell("run", "--bundle", bundle, "--data", dataset, "--out", bundle / "run").sentence()
    assert str(bundle) in said and "Not a directory" in said
    assert "there is no none.csv" in sensewell("data", "import", "none.csv").sentence()
    assert "there is no bundle none.swb" in sensewell("run", "--bundle", "none.swb", "--data", dataset).sentence()


def test_a_file_that_is_no_flash_is_not_written_over(sensewell: Call, tmp_path: Path) -> None:
    if not virtual.is_built("virt_c3"):
        pytest.skip("virt_c3 is not built: make board-virt_c3")
    mine = tmp_path / "letter.txt"
    mine.write_text("dear board")
    assert "is no flash that virt_c3 kept" in sensewell("board", "start", "virt_c3", "--flash", mine).sentence()
    assert mine.read_text() == "dear board"


def test_boards_that_cannot_be_started_are_named_before_anything_is_trained(sensewell: Call) -> None:
    for name, said in {"esp32": "is not a board that can be started", "esp": "there is no board called 'esp'"}.items():
        answer = sensewell("demo", "--board", name)
        assert said in answer.sentence() and not answer.out


def test_what_a_bundle_is_bound_to_is_checked(sensewell: Call) -> None:
    assert "is no board's unique id" in sensewell("pack", "watch", "--device", "kitchen").sentence()
    assert "--without-clock is refuse or run" in sensewell("pack", "watch", "--without-clock", "wait").sentence()
    assert "2020-02-29 00:00 is over" in sensewell("pack", "watch", "--expires", "2020-02-29").sentence()


def test_all_boards_may_be_none(sensewell: Call, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "running", list)
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert "no virtual board runs" in sensewell("deploy", bundle, "--all").sentence()
    assert "--all" not in sensewell("status").sentence()


def test_addresses_and_hashes_are_whole_in_80_columns(
    sensewell: Call, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    here = [
        virtual.VirtualBoard("virt_c3", f"socket://127.0.0.1:{port}", port, 1, False, "flash", False)
        for port in (40001, 40002)
    ]
    monkeypatch.setattr(virtual, "running", lambda: here)
    for verb in (["board", "list"], ["inspect", bundle]):
        run = subprocess.run(
            [sys.executable, "-m", "sensewell_host.cli", *map(str, verb)], capture_output=True, text=True, check=True
        )
        assert "…" not in run.stdout, run.stdout
    monkeypatch.setattr(commands, "console", Console(width=80))
    said = sensewell("board", "list").out
    assert "virt_c3 runs at socket://127.0.0.1:40002" in said and "…" not in said


def test_without_a_terminal_a_passphrase_is_not_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sensewell_host.cli", "key", "new", "me", "--folder", str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if name != "SENSEWELL_PASSPHRASE"}
    run = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, start_new_session=True, timeout=60
    )
    assert run.returncode == 1 and "set SENSEWELL_PASSPHRASE" in run.stderr and not list(tmp_path.iterdir())


def test_kill_ends_a_command_as_ctrl_c_does(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom sensewell_host import cli\n"
        "@cli.app.command()\ndef wait():\n"
        "    try:\n        print('waiting', flush=True); time.sleep(60)\n"
        "    finally:\n        print('tidied', flush=True)\n"
        "sys.argv = ['sensewell', 'wait']\ncli.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        process.terminate()
        assert process.stdout.read() == "tidied\n"
    assert process.returncode == 143


def test_what_is_in_build_is_found_from_any_folder(tmp_path: Path) -> None:
    said = [
        subprocess.run([sys.executable, "-m", "sensewell_host", "run", "--help"], **where, text=True, check=True).stdout
        for where in ({"cwd": places.ROOT, "stdout": -1}, {"cwd": tmp_path, "stdout": -1, "env": WIDE})
    ]
    assert "[default: build/run]" in said[0]
    assert str(places.ROOT / "build" / "run") in said[1]
    assert places.short(places.ROOT.parent) == places.ROOT.parent


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_named(bundle: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "sensewell_host", "inspect", str(bundle)]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "no room left on the disk" in run.stderr


def test_without_its_source_tree_the_command_says_so(tmp_path: Path) -> None:
    shutil.copytree(places.ROOT / "host_tools" / "sensewell_host", tmp_path / "lib" / "sensewell_host")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "lib")}
    command = [sys.executable, "-m", "sensewell_host", "board", "list"]
    run = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert run.returncode == 1 and "make install" in run.stderr and "Traceback" not in run.stderr
