"""Recordings, CSV import, the default recordings and splits: what is refused, and that what is kept is what came."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensewell_host.dataset import ChannelInfo, Dataset, Recording, rate, seglearn
from sensewell_host.dataset.csv_import import import_csv
from sensewell_host.dataset.recording import MISSING, natural, to_counts, unique_name
from sensewell_host.dataset.schema import CLOCK, Schema
from sensewell_host.dataset.split import leave_one_group_out, split_by_group
from sensewell_host.errors import SensewellError

WATCH_CSV = Path(__file__).resolve().parents[3] / "shared" / "data" / "watch_exercises" / "watch.csv.gz"
SCHEMA: dict[str, Any] = {
    "name": "two",
    "rate_hz": 10,
    "channels": [
        {"name": "temp", "unit": "degC", "scale": 0.01, "offset": 20.0, "column": "temp_c"},
        {"name": "ax", "unit": "m/s2", "scale": 0.01, "column": "ax_g", "factor": 9.80665},
    ],
    "label": "what",
    "group": "who",
    "recording": "rec",
    "time": {"column": "t_ms", "unit": "ms"},
    "missing": [-200],
}
HEADER = "rec,who,what,t_ms,temp_c,ax_g\n"


def write(folder: Path, text: str, name: str = "two.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def imported(folder: Path, text: str, **changes: Any) -> tuple[Dataset, Any]:
    return import_csv(write(folder, text), Schema.parse({**SCHEMA, **changes}))


def test_values_become_counts_in_the_declared_scale(tmp_path: Path) -> None:
    dataset, report = imported(tmp_path, HEADER + "1,a,up,0,20.5,1\n1,a,up,100,19.994,-0.5\n")
    assert dataset.recordings[0].samples.tolist() == [[50, 981], [-1, -490]]
    assert (dataset.recordings[0].label, dataset.recordings[0].group, dataset.rate_hz) == ("up", "a", 10)
    assert report.rows == 2 and report.recordings == 1


def test_empty_cells_nan_and_declared_values_become_missing(tmp_path: Path) -> None:
    dataset, report = imported(tmp_path, HEADER + "1,a,up,0,,nan\n1,a,up,100,-200,0\n")
    assert dataset.recordings[0].samples.tolist() == [[MISSING, MISSING], [MISSING, 0]]
    assert report.missing == {"temp": 2, "ax": 1}


def test_values_beyond_the_scale_saturate_and_are_counted(tmp_path: Path) -> None:
    dataset, report = imported(tmp_path, HEADER + "1,a,up,0,9999,-999\n")
    assert dataset.recordings[0].samples.tolist() == [[32767, -32767]]
    assert report.clipped == {"temp": 1, "ax": 1}


def test_a_late_row_is_not_taken_for_a_lost_one(tmp_path: Path) -> None:
    times = [0, 100, 270, 300, 400, 700, 800]  # ms: one 70 late, then two lost
    rows = "".join(f"1,a,up,{t},20,{k}\n" for k, t in enumerate(times))
    dataset, report = imported(tmp_path, HEADER + rows)
    assert report.rows_put_back == 2 and len(dataset.recordings[0].samples) == 9
    missing = (dataset.recordings[0].samples == MISSING).all(1)
    assert missing.nonzero()[0].tolist() == [5, 6]


def test_iso_times_are_named_as_such_and_other_separators_too(tmp_path: Path) -> None:
    iso = {"time": {"column": "t_ms", "unit": "iso"}, "rate_hz": None, "period_ms": 60000}
    rows = "1,a,up,2026-10-25T02:59:00,20,0\n1,a,up,2026-10-25T02:00:00,20,0\n"
    with pytest.raises(SensewellError, match=r"from 2026-10-25 02:59:00 UTC to 2026-10-25 02:00:00 UTC; it must rise"):
        imported(tmp_path, HEADER + rows, **iso)
    with pytest.raises(SensewellError, match="divided by ';', expected commas, and points in numbers"):
        imported(tmp_path, (HEADER + "1,a,up,0,20,0\n").replace(",", ";"))
    (tmp_path / "bom.json").write_text("\ufeff" + json.dumps(SCHEMA), encoding="utf-8")
    assert Schema.load(tmp_path / "bom.json").name == "two"


def test_gzip_and_the_schema_beside_the_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "two.json").write_text(json.dumps(SCHEMA))
    dataset, _ = import_csv(write(tmp_path, HEADER + "1,a,up,0,20,0\n", "two.csv.gz"))
    assert dataset.name == "two"


def test_a_new_label_person_or_number_begins_a_recording(tmp_path: Path) -> None:
    rows = "1,a,up,0,20,0\n1,a,down,0,20,0\n1,b,down,0,20,0\n2,b,down,0,20,0\n"
    dataset, _ = imported(tmp_path, HEADER + rows)
    assert [r.name for r in dataset.recordings] == ["1", "1-2", "1-3", "2"]
    assert dataset.labels == ["up", "down"] and dataset.groups == ["a", "b"]


def test_rows_lost_in_time_come_back_as_missing_and_long_holes_split(tmp_path: Path) -> None:
    rows = "".join(f"1,a,up,{t},20,0\n" for t in (0, 100, 400, 500, 9000, 9100))
    dataset, report = imported(tmp_path, HEADER + rows)
    assert [len(r.samples) for r in dataset.recordings] == [6, 2]
    assert (dataset.recordings[0].samples[:, 0] == MISSING).tolist() == [False, False, True, True, False, False]
    assert report.rows_put_back == 2 and report.split_at_holes == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rec,who,what,t_ms,temp,ax_g\n1,a,up,0,1,1\n", "not there: temp_c.*is 'temp' meant"),
        (HEADER, "no rows"),
        ("", "is empty"),
        (HEADER + "1,a,up,0,20\n", "line 2: expected 6 cells"),
        (HEADER + "1,a,up,0,20,0\n1,a,up,100,warm,0\n", "line 3, column 'temp_c': expected a number, got 'warm'"),
        (HEADER + "1,a,up,0,inf,0\n", "line 2, column 'temp_c': expected a number"),
        (HEADER + "1,a,up,,20,0\n", "line 2: column 't_ms' has no time"),
        (HEADER + "1,a,up,100,20,0\n1,a,up,0,20,0\n", "line 3: time goes from 0.1 s to 0 s"),
        (HEADER + "1,a,up,0,20,0\n1,a,up,1000,20,0\n", "rows are 1 s apart"),
        ("rec,who,what,t_ms,temp_c,ax_g,ax_g\n1,a,up,0,20,0,0\n", "'ax_g' is there 2 times"),
    ],
)
def test_a_defective_csv_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SensewellError, match=says):
        imported(tmp_path, text)


def test_a_file_that_is_no_text_or_no_gzip_is_refused(tmp_path: Path) -> None:
    schema = Schema.parse(SCHEMA)
    for content in (b"\xff\xfe\x00\x01", gzip.compress(HEADER.encode())[:-9], b"\x1f\x8bgarbage"):
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(SensewellError, match=r"bad\.csv"):
            import_csv(tmp_path / "bad.csv", schema)
    with pytest.raises(SensewellError, match="there is no file"):
        import_csv(tmp_path / "none.csv", schema)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rate_hz": 0}, "rate_hz"),
        ({"rate_hz": 12.5}, "rate_hz"),
        ({"period_ms": 100}, "one of rate_hz and period_ms.*got both"),
        ({"rate_hz": None}, "one of rate_hz and period_ms.*got neither"),
        ({"rate_hz": None, "period_ms": 3_600_001}, "period_ms as a whole number 1..3600000"),
        ({"channels": []}, "1 to 16 channels"),
        ({"channels": [{"name": "a", "scale": 0}]}, "scale above 0"),
        ({"channels": [{"name": "a"}]}, "'scale' as a number"),
        ({"channels": [{"name": "a", "scale": 1}, {"name": "a", "scale": 1}]}, "same name"),
        ({"lable": "what"}, "no such key: lable"),
        ({"time": "t_ms"}, '"time" as'),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SensewellError, match=says):
        Schema.parse({**SCHEMA, **change})


def test_a_rate_is_said_again_as_it_was_said() -> None:
    for said in ({"rate_hz": 1}, {"rate_hz": 300}, {"period_ms": 1000}, {"period_ms": 7}, {"period_ms": 3_600_000}):
        assert rate.rate_said(rate.rate_of(said, "here")) == said
    assert all(rate.period_ms(1000 / period) == period for period in range(1, 3_600_001, 977))
    assert [rate.period_ms(hz) for hz in (50, 300, 1)] == [20, 3, 1000]
    texts = {7: "every 7 ms", 1000: "every 1 s", 900_000: "every 15 min", 3_600_000: "every 1 h"}
    assert {period: rate.rate_text(1000 / period) for period in texts} == texts and rate.rate_text(1) == "1 Hz"


def test_a_dataset_of_a_sample_a_minute_keeps_its_period_and_its_holes(tmp_path: Path) -> None:
    minutes = [0, 1, 2, 6, 7, 13, 20, 21]  # 2..6 is put back, 7..13 is a hole
    (tmp_path / "room.csv").write_text("t,a\n" + "".join(f"{60 * minute},{minute}\n" for minute in minutes))
    schema = {"period_ms": 60_000, "channels": [{"name": "a", "scale": 1}], "time": {"column": "t", "unit": "s"}}
    dataset, report = import_csv(tmp_path / "room.csv", Schema.parse(schema))
    assert [len(one.samples) for one in dataset.recordings] == [8, 1, 2] and report.rows_put_back == 3
    dataset.save(tmp_path / "room")
    loaded = Dataset.load(tmp_path / "room")
    assert loaded.rate_hz == loaded.recordings[0].rate_hz == 1000 / 60_000
    assert json.loads((tmp_path / "room" / "dataset.json").read_text())["period_ms"] == 60_000
    with pytest.raises(SensewellError, match=r"60 s apart, period_ms 1000 means 1 s: correct period_ms"):
        import_csv(tmp_path / "room.csv", Schema.parse({**schema, "period_ms": 1000}))


def test_a_clock_channel_is_the_hour_that_the_time_says(tmp_path: Path) -> None:
    schema = {
        "period_ms": 60_000,
        "time": {"column": "when", "unit": "iso"},
        "missing": [0],  # what stands in cells: the hour of noon is none
        "channels": [{"name": "a", "scale": 1}, *({"name": name, "clock": name} for name in CLOCK)],
    }
    rows = ["2026-02-13T23:59:31,1", "2026-02-14T00:00:30,2", "2026-02-14T00:01:29,0", "2026-02-14T00:04:30,4"]
    (tmp_path / "room.csv").write_text("when,a\n" + "\n".join(rows) + "\n")
    dataset, _ = import_csv(tmp_path / "room.csv", Schema.parse(schema))
    assert [(one.unit, one.scale) for one in dataset.channels[1:]] == [("min", 1), ("min", 1), ("", 1)]
    gone = [MISSING] * 4
    assert dataset.recordings[0].samples.tolist() == [
        [1, 719, 359, 0], [2, 720, 360, 1], [MISSING, 719, 361, 1], gone, gone, [4, 716, 364, 1],
    ]  # fmt: skip
    (tmp_path / "room.csv").write_text("when,a\n2026-02-14T12:00+09:00,1\n")
    dataset, _ = import_csv(tmp_path / "room.csv", Schema.parse(schema))
    assert dataset.recordings[0].samples.tolist() == [[1, 0, 360, 1]]  # as it was there, on a Saturday


@pytest.mark.parametrize(
    ("channel", "time", "says"),
    [
        ({"clock": "moon"}, {"column": "t", "unit": "iso"}, "expected clock as one of from_noon, from_18h, weekend"),
        ({"clock": ["weekend"]}, {"column": "t", "unit": "iso"}, "expected 'clock' as text"),
        ({"clock": "weekend"}, {"column": "t", "unit": "s"}, 'a clock needs "time" with the unit iso'),
        ({"clock": "weekend"}, None, 'a clock needs "time" with the unit iso'),
        ({"clock": "weekend", "scale": 2}, {"column": "t", "unit": "iso"}, "beside a clock only its name, got scale"),
    ],
)
def test_a_clock_that_makes_no_sense_is_refused(channel: dict[str, Any], time: Any, says: str) -> None:
    with pytest.raises(SensewellError, match=says):
        Schema.parse({"rate_hz": 1, "time": time, "channels": [{"name": "c", **channel}]})


def small(tmp_path: Path | None = None) -> Dataset:
    samples = np.arange(12, dtype=np.int16).reshape(6, 2)
    recordings = tuple(Recording(f"r{i}", samples + 100 * i, 10, "x", str(9 + i // 2)) for i in range(6))
    dataset = Dataset("small", 10, (ChannelInfo("a", "", 1.0), ChannelInfo("b", "", 1.0)), recordings)
    return dataset.save(tmp_path) if tmp_path else dataset


def test_a_saved_dataset_loads_again_and_its_files_are_what_a_board_replays(tmp_path: Path) -> None:
    saved = small(tmp_path)
    loaded = Dataset.load(tmp_path)
    assert loaded.channels == saved.channels and loaded.groups == ["9", "10", "11"]
    for one, two in zip(saved.recordings, loaded.recordings, strict=True):
        assert (one.name, one.label, one.group) == (two.name, two.label, two.group)
        assert np.array_equal(one.samples, two.samples)
        assert loaded.path_of(one.name).read_bytes() == one.samples.astype("<i2").tobytes()


def test_a_dataset_takes_away_what_it_replaces_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.i16").write_bytes(b"not of the dataset")
    saved = small(tmp_path)
    replace(saved, recordings=saved.recordings[:1]).save(tmp_path)
    kept = {path.name for path in tmp_path.glob("*.i16")}
    assert kept == {"mine.i16", f"{saved.recordings[0].name}.i16"} and len(Dataset.load(tmp_path).recordings) == 1


def test_a_damaged_dataset_is_refused(tmp_path: Path) -> None:
    small(tmp_path)
    with pytest.raises(SensewellError, match="no dataset"):
        Dataset.load(tmp_path / "none")
    (tmp_path / "r1.i16").write_bytes(b"\0" * 24)
    with pytest.raises(SensewellError, match=r"r1\.i16 is not what was imported .*other content"):
        Dataset.load(tmp_path)
    (tmp_path / "r1.i16").write_bytes(b"\0" * 7)
    with pytest.raises(SensewellError, match="expected 24 bytes, got 7"):
        Dataset.load(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(SensewellError, match="cannot be read"):
        Dataset.load(tmp_path)


def test_a_dataset_with_a_path_for_a_name_is_refused(tmp_path: Path) -> None:
    small(tmp_path)
    index = json.loads((tmp_path / "dataset.json").read_text())
    index["recordings"][0]["name"] = "../r0"
    (tmp_path / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(SensewellError, match="no name of a recording"):
        Dataset.load(tmp_path)


def test_names_are_made_safe_and_unique() -> None:
    taken: dict[str, int] = {}
    assert [unique_name(n, taken) for n in ("a/b", "a b", "", "a-b", "a-b-2")] == [
        "a-b", "a-b-2", "recording", "a-b-3", "a-b-2-2",
    ]  # fmt: skip
    assert natural(["p10", "p2", "p1"]) == ["p1", "p2", "p10"]


def test_rounding_is_to_the_nearest_count() -> None:
    counts, clipped = to_counts(np.array([[0.26], [0.24], [-0.26], [400.0]]), [ChannelInfo("a", "", 0.01)])
    assert counts.ravel().tolist() == [26, 24, -26, 32767] and clipped == [1]


# --- splits -----------------------------------------------------------------------------------------------------------


def test_a_group_on_both_sides_is_refused() -> None:
    with pytest.raises(SensewellError, match="group 10 is in train and in test"):
        split_by_group(small(), ["9", "10"], ["10", "11"])


def test_an_unknown_group_and_an_empty_side_are_refused() -> None:
    with pytest.raises(SensewellError, match="no group 12"):
        split_by_group(small(), ["9"], ["12"])
    with pytest.raises(SensewellError, match="test side has no recordings"):
        split_by_group(small(), ["9"], [])


def test_the_same_recording_under_another_name_is_no_way_around() -> None:
    dataset = small()
    first = dataset.recordings[0]
    twin = Recording("twin", first.samples.copy(), 10, "x", "99")
    leaky = Dataset("leaky", 10, dataset.channels, (*dataset.recordings, twin))
    with pytest.raises(SensewellError, match="twin of the test side is the same as r0"):
        split_by_group(leaky, ["9", "10"], ["11", "99"])


def test_leaving_one_group_out_covers_every_row_once() -> None:
    groups = np.array(["2", "10", "2", "1"])
    folds = list(leave_one_group_out(groups))
    assert [name for name, _, _ in folds] == ["1", "2", "10"]
    assert np.sum([test for _, _, test in folds], axis=0).tolist() == [1, 1, 1, 1]
    for _, train, test in folds:
        assert not set(groups[train]) & set(groups[test])
    with pytest.raises(SensewellError, match="two groups"):
        list(leave_one_group_out(np.array(["1", "1"])))


# --- the default recordings -------------------------------------------------------------------------------------------


def npy(content: Any, protocol: int = 2) -> io.BytesIO:
    """What np.save makes of one object, with any pickle in it."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(stream, header)
    stream.write(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    stream.seek(0)
    return stream


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return subprocess.call, (["touch", str(self.mark)],)


def test_an_evil_pickle_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    with pytest.raises(SensewellError, match=r"asks for subprocess\.call: refused"):
        seglearn.unpickle(npy({"X": [Evil(tmp_path / "mark")]}, 3))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("pickled", "says"),
    [
        (b"cbuiltins\neval\n(V1+1\ntR.", r"builtins\.eval"),
        (b"cnumpy\nload\n(Vx\ntR.", r"numpy\.load"),
        (b"cnumpy.core.multiarray\nscalar\n.", r"multiarray\.scalar"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "codec 'rot13'"),
        (b"cnumpy\ndtype\n(VV8000000000\ntR.", "array of 'V8000000000'"),
        (b"\x80\x02garbage", "cannot be read"),
        (b"]q\x00.", "expected a dict"),
        (b"", "cannot be read"),
    ],
)
def test_only_arrays_come_out_of_a_pickle(pickled: bytes, says: str) -> None:
    with pytest.raises(SensewellError, match=says):
        seglearn.unpickle(npy(pickled))


def test_arrays_and_texts_do_come_out_of_a_pickle() -> None:
    content = {"X": [np.arange(6.0).reshape(3, 2)], "y": np.array([1, 2]), "y_labels": ["a", "b"]}
    for protocol in (2, 3):
        found = seglearn.unpickle(npy(content, protocol))
        assert np.array_equal(found["X"][0], content["X"][0]) and found["y_labels"] == ["a", "b"]


def test_a_wheel_with_other_content_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / seglearn.WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(seglearn.MEMBER, b"something else")
    with pytest.raises(SensewellError, match="has SHA-256"):
        seglearn.fetch(tmp_path / "watch", tmp_path)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(SensewellError, match="not the wheel of seglearn"):
        seglearn.fetch(tmp_path / "watch", tmp_path)


def test_no_network_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SensewellError, match=r"could not be downloaded .*check the network"):
        seglearn.fetch(tmp_path / "watch", tmp_path)
    assert not (tmp_path / "watch").exists()


def test_a_second_fetch_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.zeros((3, 6), np.int16)
    recording = Recording("r", samples, 50, "PEN", "1")
    Dataset("watch", 50, seglearn.CHANNELS, (recording,), {"sha256": seglearn.SHA256}).save(tmp_path)
    monkeypatch.setattr(seglearn, "download", lambda _: pytest.fail("it wanted the wheel again"))
    dataset, made = seglearn.fetch(tmp_path, tmp_path)
    assert not made and len(dataset.recordings) == 1


def test_the_default_recordings_equal_the_published_csv() -> None:
    if not WATCH_CSV.is_file():
        pytest.skip("../shared/data/watch_exercises is not here")
    folder = Path(__file__).resolve().parents[2] / "build" / "data"
    if not (folder / seglearn.WHEEL).is_file():
        pytest.skip("the default recordings are not fetched: sensewell data fetch")
    dataset, _ = seglearn.fetch(folder / "watch", folder)
    names = ("ax", "ay", "az", "gx", "gy", "gz")
    channels = [
        {"name": n, "unit": c.unit, "scale": c.scale, "column": f"{n}_g" if n[0] == "a" else f"{n}_rads",
         "factor": seglearn.G if n[0] == "a" else 1.0}
        for n, c in zip(names, seglearn.CHANNELS, strict=True)
    ]  # fmt: skip
    schema = Schema.parse(
        {"name": "csv", "rate_hz": 50, "channels": channels, "label": "label", "group": "subject",
         "recording": "rec", "extra": ["side"], "time": {"column": "t_ms", "unit": "ms"}}
    )  # fmt: skip
    published, report = import_csv(WATCH_CSV, schema)
    ours = {recording.extra["number"]: recording for recording in dataset.recordings}
    assert len(ours) == len(published.recordings) == 140 and report.rows == 244_102
    assert not any(report.clipped.values()) and not any(report.missing.values())
    for recording in published.recordings:
        other = ours[int(recording.name)]
        assert (recording.label, recording.group, recording.extra["side"]) == (
            other.label, other.group, other.extra["side"],
        )  # fmt: skip
        assert np.abs(recording.samples.astype(int) - other.samples).max() <= 1  # the CSV has four decimals
