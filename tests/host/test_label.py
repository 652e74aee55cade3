"""`sensewell data label`: labels that fit, a server for this computer alone, and the page in a headless browser."""

from __future__ import annotations

import csv
import http.client
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, find
from sensewell_host.cli import app
from sensewell_host.dataset import ChannelInfo, Dataset, Recording, labels
from sensewell_host.dataset.recording import MISSING
from sensewell_host.errors import SensewellError
from sensewell_host.label_server import LabelServer
from typer.testing import CliRunner

N = 1000


def dataset(folder: Path) -> Dataset:
    t = np.arange(N)
    wave = (3000 * np.sin(t / 20)).astype(np.int16)
    samples = np.stack([wave, (wave // 2 + t).astype(np.int16)], 1)
    samples[400:420, 0] = MISSING
    made = [
        Recording(name, samples + k, 50, label, "p1") for k, (name, label) in enumerate((("r1", "walk"), ("r2", "run")))
    ]
    channels = (ChannelInfo("ax", "g", 0.001), ChannelInfo("<b>ay</b>", "g", 0.001))
    return Dataset("moves", 50, channels, tuple(made)).save(folder)


def said(*stretches: Any, name: str = "r1") -> dict[str, Any]:
    entries = [dict(zip(("start", "end", "label"), one, strict=True)) for one in stretches]
    return {"sensewell_labels": 1, "recordings": {name: entries}}


# --- labels -----------------------------------------------------------------------------------------------------------


def test_labels_are_kept_as_json_and_csv_and_cut_into_recordings(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    assert labels.load(tmp_path, data) == {}
    found = labels.parse(said((500, 600, "run"), (0, 100, " walk ")), data)
    labels.save(found, data, tmp_path)
    assert (
        labels.load(tmp_path, data)
        == found
        == {"r1": [labels.Stretch(0, 100, "walk"), labels.Stretch(500, 600, "run")]}
    )
    with (tmp_path / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"recording": "r1", "start": "500", "end": "600", "start_s": "10", "end_s": "12", "label": "run"}
    assert not list(tmp_path.glob("*.part"))
    out = tmp_path / "cut"
    done = CliRunner().invoke(app, ["data", "label", str(tmp_path), "--cut", str(out)])
    assert done.exit_code == 0, done.output
    made = Dataset.load(out)
    assert [(one.name, one.label, one.group) for one in made.recordings] == [
        ("r1-walk", "walk", "p1"),
        ("r1-run", "run", "p1"),
    ]
    assert np.array_equal(made.recordings[1].samples, data.recordings[0].samples[500:600])
    assert made.recordings[1].extra == {"from": "r1", "from_row": 500}
    done = CliRunner().invoke(app, ["data", "label", str(tmp_path), "--cut", str(tmp_path)])
    assert "say another folder" in str(done.exception)
    (tmp_path / "captured").mkdir()
    (tmp_path / "captured" / "capture.csv").touch()
    for words in (["label", str(tmp_path), "--cut"], ["augment", str(tmp_path), "--gain", "0.1", "--out"],
                  ["faults", str(tmp_path), "--out"]):  # fmt: skip
        done = CliRunner().invoke(app, ["data", *words, str(tmp_path / "captured")])
        assert "holds a capture" in str(done.exception)
    assert [path.name for path in (tmp_path / "captured").iterdir()] == ["capture.csv"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "labels of format 1"),
        ({"sensewell_labels": 2}, "labels of format 1"),
        ({"sensewell_labels": 1, "recordings": []}, "as an object"),
        (said((0, 5, "a"), name="r9"), "no recording 'r9'"),
        ({"sensewell_labels": 1, "recordings": {"r1": {}}}, "list of stretches"),
        ({"sensewell_labels": 1, "recordings": {"r1": [{"start": 0, "end": 5}]}}, "start, end and label"),
        (said((0, 1001, "a")), "rows inside 0..1000"),
        (said((5, 5, "a")), "rows inside"),
        (said((-1, 5, "a")), "rows inside"),
        (said((True, 5, "a")), "rows inside"),
        (said((0, 5.0, "a")), "rows inside"),
        (said((0, 5, " ")), "printable"),
        (said((0, 5, "a\n")), "printable"),
        (said((0, 5, "x" * 65)), "printable"),
        (said((0, 50, "a"), (49, 60, "b")), "rows 49..49 have two labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(SensewellError, match=says):
        labels.parse(content, dataset(tmp_path))


def test_damaged_labels_are_not_overwritten(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(SensewellError, match="move it away"):
        LabelServer(data, tmp_path)
    with pytest.raises(SensewellError, match="no stretch of moves has a label"):
        labels.cut(data, {})


# --- the server -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LabelServer]:
    with LabelServer(dataset(tmp_path / "moves"), tmp_path / "moves") as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def ask(server: LabelServer, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    wire = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        wire.request("POST" if body is not None else "GET", path, body, headers)
        answer = wire.getresponse()
        content = answer.read()
        assert answer.getheader("Content-Security-Policy", "").startswith("default-src 'none'")
        return answer.status, json.loads(content) if answer.getheader("Content-Type") == "application/json" else content
    finally:
        wire.close()


def test_only_who_has_the_token_and_asks_this_computer_is_served(server: LabelServer) -> None:
    assert server.server_address[0] == "127.0.0.1" and len(server.token) >= 32
    good = f"/{server.token}/"
    assert ask(server, good)[0] == 200 and b"<canvas" in ask(server, good)[1]
    here = f"127.0.0.1:{server.server_port}"
    for path, headers in (
        ("/", {}),
        ("/overview", {}),
        (f"/{server.token[:-1]}x/overview", {}),
        (f"/{server.token}x/overview", {}),
        (good + "overview", {"Host": "evil.example"}),
        (good + "overview", {"Host": f"evil.example:{server.server_port}"}),
        (good + "overview", {"Host": here, "Origin": "http://evil.example"}),
    ):
        assert ask(server, path, **headers)[0] == 403, (path, headers)
    assert ask(server, good + "save", b"{}", Origin="http://evil.example")[0] == 403
    assert ask(server, good + "other")[0] == ask(server, good + "../../etc/passwd")[0] == 404
    assert ask(server, good + "other", b"")[0] == 404
    assert ask(server, good + "overview", Origin=f"http://{here}")[0] == 200


def test_rows_come_as_least_and_greatest_of_each_stretch(server: LabelServer) -> None:
    path = f"/{server.token}/rows?recording=r1&start={{}}&end={{}}&columns={{}}"
    status, found = ask(server, path.format(0, 1000, 50))
    samples = server.dataset.recordings[0].samples
    assert status == 200 and found["edges"] == list(range(0, 1001, 20))
    assert found["low"][1] == samples[:, 1].reshape(50, 20).min(1).tolist()
    assert found["low"][0][20] is None and found["high"][0][20] is None and found["high"][0][0] == samples[:20, 0].max()
    _, one = ask(server, path.format(10, 12, 5000))
    assert one["low"] == one["high"] == [samples[10:12, 0].tolist(), samples[10:12, 1].tolist()]
    assert ask(server, path.format(2000, -5, 0))[1]["low"] == [[], []]
    for wrong in (path.format("x", 1, 1), path.replace("r1", "r9").format(0, 1, 1), f"/{server.token}/rows"):
        status, found = ask(server, wrong)
        assert status == 400 and found["error"]


def test_what_cannot_be_saved_is_said_and_nothing_changes(server: LabelServer) -> None:
    path = f"/{server.token}/save"
    assert ask(server, path, json.dumps(said((0, 9, "a"))).encode()) == (200, {"saved": 1})
    before = (server.labels_folder / "labels.json").read_bytes()
    for body in (b"", b"{", b"[]", b"\xff", json.dumps(said((0, 9999, "a"))).encode()):
        status, found = ask(server, path, body)
        assert status == 400 and found["error"]
    assert ask(server, path, b"x", **{"Content-Length": "999999999"})[0] == 413
    assert (server.labels_folder / "labels.json").read_bytes() == before


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(server: LabelServer, tmp_path: Path) -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("no browser is installed: apt-get install chromium-headless-shell, or set SENSEWELL_BROWSER")
    browser = Browser(program, tmp_path / "browser")
    try:
        browser.open(server.url)
        browser.until("document.readyState === 'complete' && window.sensewell && sensewell.envelope !== null")
        yield browser
    finally:
        browser.close()
    assert browser.errors == []


def stretches(page: Browser, name: str = "r1") -> list[tuple[int, int, str]]:
    found = page.value(f"sensewell.stretches[{name!r}] || []")
    return [(one["start"], one["end"], one["label"]) for one in found]


def place(page: Browser, row: int) -> tuple[float, float]:
    """Where a row is on the screen."""
    return tuple(
        page.value(
            f"(() => {{ const b = canvas.getBoundingClientRect(); return [b.left + xOf({row}), b.top + 80]; }})()"
        )
    )


def test_select_label_cut_undo_and_save_by_mouse_and_keyboard(page: Browser, server: LabelServer) -> None:
    assert page.value("document.getElementById('title').textContent") == "moves: r1"
    assert page.value("sensewell.labels") == ["walk", "run"]
    page.drag(place(page, 100), place(page, 300))
    page.key("2")
    ((start, end, label),) = stretches(page)
    assert abs(start - 100) <= 2 and abs(end - 300) <= 2 and label == "run"
    # a new label over a part of it
    page.drag(place(page, 250), place(page, 500))
    page.key("n")
    page.write("jump <i>")
    page.key("Enter")
    assert [one[2] for one in stretches(page)] == ["run", "jump <i>"]
    (_, end, _), (start, last, _) = stretches(page)
    assert end == start and abs(start - 250) <= 2 and abs(last - 500) <= 2
    # cut at the pointer, take one half, remove it
    page.mouse("mouseMoved", *place(page, 400))
    page.key("c")
    assert len(stretches(page)) == 3
    page.click(*place(page, 450))
    page.key("Delete")
    assert len(stretches(page)) == 2 and abs(stretches(page)[1][1] - 400) <= 2
    # undo all, redo one, then save
    for left in (3, 2, 1, 0, 0):
        page.key("z")
        assert len(stretches(page)) == left
    page.key("y")
    page.key("y")
    assert [one[2] for one in stretches(page)] == ["run", "jump <i>"] and page.value("document.title").startswith("* ")
    page.key("s")
    page.until("document.getElementById('said').textContent === 'saved: 2 stretches'")
    kept = labels.load(server.labels_folder, server.dataset)
    assert [(one.start, one.end, one.label) for one in kept["r1"]] == stretches(page)
    # what is saved is there again
    page.open(server.url)
    page.until("window.sensewell && sensewell.saved && sensewell.envelope !== null && sensewell.labels.length === 3")
    assert len(stretches(page)) == 2
    if os.environ.get("SENSEWELL_PICTURES"):
        (Path(os.environ["SENSEWELL_PICTURES"]) / "label.png").write_bytes(page.picture())


def test_zoom_move_and_change_recordings(page: Browser) -> None:
    page.mouse("mouseWheel", *place(page, 500), deltaX=0, deltaY=-100)
    page.until("sensewell.view[1] - sensewell.view[0] < 990")
    start, end = page.value("sensewell.view")
    assert start > 0 and end < N
    page.key("ArrowRight")
    assert page.value("sensewell.view[0]") > start
    page.key("0")
    assert page.value("sensewell.view") == [0, N]
    page.key("]")
    page.until("sensewell.envelope !== null")
    assert page.value("document.getElementById('title').textContent") == "moves: r2"
    page.drag(place(page, 10), place(page, 60))
    page.key("1")
    assert [one[2] for one in stretches(page, "r2")] == ["walk"] and stretches(page) == []
    page.key("]")  # the last one stays
    page.key("[")
    assert page.value("sensewell.at") == 0
    assert page.value("document.querySelectorAll('nav button').length") == 2
    assert page.value("document.querySelectorAll('main b').length") == 0  # a channel's name is text


def test_a_save_that_fails_is_said_and_nothing_is_lost(page: Browser, server: LabelServer) -> None:
    page.drag(place(page, 100), place(page, 300))
    page.key("1")
    server.labels_folder.joinpath("labels.csv.part").mkdir()
    page.key("s")
    page.until("document.getElementById('said').className === 'bad'")
    assert "not saved" in page.value("document.getElementById('said').textContent")
    assert not page.value("sensewell.saved") and len(stretches(page)) == 1
    server.labels_folder.joinpath("labels.csv.part").rmdir()
    page.key("s")
    page.until("sensewell.saved")
