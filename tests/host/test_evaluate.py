"""Events are counted as people would: on tapes and decisions whose every figure can be worked out by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from sensewell_host.dataset import csv_import
from sensewell_host.dataset.recording import MISSING, Dataset, Recording
from sensewell_host.dataset.schema import Schema
from sensewell_host.dataset.tape import Tape, tapes
from sensewell_host.errors import SensewellError
from sensewell_host.evaluate import HOLD, MODEL, RULE, Track, alone, judge, published, rows_of
from sensewell_host.run import DECISION, REJECTION, Replayed

LABELS = ["OK", "FAULT", "unknown"]


def tape(*parts: tuple[str, int]) -> Tape:
    """One sample a second."""
    starts = np.cumsum([0, *[n for _, n in parts[:-1]]]).tolist()
    samples = np.zeros((sum(n for _, n in parts), 1), np.int16)
    return Tape("t", "g", 1, samples, tuple(zip(starts, (label for label, _ in parts), strict=True)))


def track(*said: tuple[int, int, int]) -> Track:
    return Track(*(np.array(column, np.int64) for column in zip(*said, strict=True)))


def test_every_figure_of_a_day_worked_out_by_hand() -> None:
    day = tape(("OK", 7200), ("FAULT", 600), ("OK", 7200), ("FAULT", 300), ("OK", 6600))
    found = judge(
        [day],
        [
            track(
                (100, 0, MODEL), (3000, 1, MODEL), (3060, 0, MODEL),  # a false alarm of a minute
                (7290, 1, MODEL), (7850, 0, HOLD),  # found after 90 s, and ends within the grace
                (9000, 2, RULE), (10000, 0, MODEL),  # nobody knew for 1,000 s; the second event is missed
            )
        ],
        LABELS, ["FAULT"], "unknown", grace_s=60,
    ).as_dict()  # fmt: skip
    assert (found["events"], found["missed"], found["alarms"], found["false_alarms"]) == (2, 1, 2, 1)
    assert found["delay_median_s"] == 90
    quiet_s = 21900 - 660 - 360
    assert found["false_alarms_per_hour"] == pytest.approx(3600 / quiet_s)
    assert found["false_alarms_per_day"] == pytest.approx(86400 / quiet_s)
    assert found["false_alarm_time"] == pytest.approx(60 / quiet_s)
    decided_s = 21900 - 100
    assert found["chatter_per_hour"] == pytest.approx(6 * 3600 / decided_s)
    assert found["availability"] == pytest.approx(1 - 1000 / decided_s)
    assert found["on_fallback"] == pytest.approx(1000 / decided_s)
    wrong_s = 60 + 90 + 50 + 1000 + 300
    assert found["accuracy"] == pytest.approx(1 - wrong_s / decided_s)
    table = rows_of({name: judge([day], [track((0, 0, MODEL))], LABELS, ["FAULT"], "unknown") for name in "xy"})
    assert len(table) == 13 and {len(row) for row in table} == {3}
    assert table[0][0] == "events found" and table[0][1] == table[0][2]


def test_an_alarm_that_stands_already_is_no_delay_and_one_that_never_ends_is_no_false_alarm_but_time() -> None:
    found = judge(
        [tape(("OK", 1000), ("FAULT", 100), ("OK", 1000))], [track((0, 1, RULE))], LABELS, ["FAULT"], "unknown"
    )
    said = found.as_dict()
    assert said["delay_median_s"] == 0 and said["false_alarms"] == 0 and said["false_alarm_time"] == 1.0


def test_no_decision_at_all_misses_everything_and_divides_by_nothing() -> None:
    nothing = Track(*(np.zeros(0, np.int64) for _ in range(3)))
    said = judge([tape(("FAULT", 50))], [nothing], LABELS, ["FAULT"], "unknown").as_dict()
    assert said["missed"] == 1 and said["availability"] is None and said["delay_median_s"] is None
    with pytest.raises(SensewellError, match="no label ALARM"):
        judge([tape(("FAULT", 50))], [nothing], LABELS, ["ALARM"], "unknown")


def test_published_and_the_model_alone_are_taken_from_the_boards_decisions() -> None:
    made = np.zeros(3, DECISION)
    made["sample"] = 9, 19, 29
    made["label"] = 0, 2, 1
    made["source"] = MODEL, RULE, HOLD
    made["best"] = 1, -1, 0
    run = Replayed("t", made, np.zeros(0, REJECTION), 30)
    said, source = published(run).by_row(32)
    assert said.tolist() == [-1] * 9 + [0] * 10 + [2] * 10 + [1] * 3 and source[19] == RULE
    assert alone(run).by_row(32)[0].tolist() == [-1] * 9 + [1] * 20 + [0] * 3


def test_a_label_that_changes_cuts_a_recording_and_the_tape_joins_it(tmp_path: Path) -> None:
    lines = ["run,time,t,on"]
    lines += [f"a,2026-05-04 10:{minute:02d}:00,{minute},{int(minute > 4)}" for minute in range(10) if minute != 5]
    lines += [f"a,2026-05-04 12:{minute:02d}:00,{minute},1" for minute in range(3)]
    lines += [f"b,2026-05-04 09:{minute:02d}:00,{minute},1" for minute in range(3)]
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    schema = Schema.parse(
        {
            "name": "r", "period_ms": 60000, "channels": [{"name": "t", "unit": "degC", "scale": 0.1}], "label": "on",
            "recording": ["run"], "group": "run", "time": {"column": "time", "unit": "iso"},
        }
    )  # fmt: skip
    dataset, report = csv_import.import_csv(path, schema)
    assert [(one.label, len(one.samples), one.follows) for one in dataset.recordings] == [
        ("0", 6, False), ("1", 4, True), ("1", 3, False), ("1", 3, False)
    ]  # fmt: skip
    assert report.rows_put_back == 1 and report.split_at_holes == 1
    assert dataset.recordings[0].samples[-1, 0] == MISSING  # the lost row belongs to the label before it
    saved = dataset.save(tmp_path / "saved")
    joined = tapes(Dataset.load(tmp_path / "saved").recordings)
    assert [(one.group, one.parts) for one in joined] == [
        ("a", ((0, "0"), (6, "1"))), ("a", ((0, "1"),)), ("b", ((0, "1"),))
    ]  # fmt: skip
    assert joined[0].spans(["1"]) == [(6, 10)] and joined[0].spans(["0", "1"]) == [(0, 10)]
    assert joined[0].samples[:, 0].tolist()[6:] == [60, 70, 80, 90] and saved.recordings[1].follows
    with pytest.raises(SensewellError, match="line 2, column 'time': expected a time as"):
        path.write_bytes(gzip.compress(b"run,time,t,on\na,yesterday,1,0\n"))
        csv_import.import_csv(path, schema)


def test_a_part_of_another_group_never_joins() -> None:
    rows = np.zeros((4, 1), np.int16)
    parts = [Recording("a", rows, 1, "x", "1"), Recording("b", rows, 1, "y", "2", follows=True)]
    assert [one.name for one in tapes(parts)] == ["a", "b"]


def test_labels_by_a_limit_and_groups_by_the_quarter(tmp_path: Path) -> None:
    path = tmp_path / "air.csv"
    path.write_text(
        "time,ref,s\n2004-06-30T22:00,1.9,5\n2004-06-30T23:00,2.1,6\n2004-07-01T00:00,-200,7\n2004-07-01T01:00,2.5,8\n"
    )
    said = {
        "name": "air", "period_ms": 3600000, "channels": [{"name": "s", "unit": "", "scale": 1}], "missing": [-200],
        "label": {"column": "ref", "above": 2, "labels": ["CLEAN", "POLLUTED"]},
        "group": {"column": "time", "by": "quarter"}, "time": {"column": "time", "unit": "iso"},
    }  # fmt: skip
    dataset, _ = csv_import.import_csv(path, Schema.parse(said))
    assert [(one.group, one.label, one.follows) for one in dataset.recordings] == [
        ("2004q2", "CLEAN", False), ("2004q2", "POLLUTED", True), ("2004q3", "", False), ("2004q3", "POLLUTED", True)
    ]  # fmt: skip
    for key, value, text in (
        ("group", {"column": "time", "by": "year"}, "expected by as one of day"),
        ("label", {"column": "ref", "above": 2, "labels": ["CLEAN"]}, "expected two labels"),
        ("label", {"column": "ref", "below": 2}, "no such key: below"),
    ):
        with pytest.raises(SensewellError, match=text):
            Schema.parse({**said, key: value})


def test_where_nobody_knows_the_truth_no_alarm_is_false_and_no_time_is_quiet() -> None:
    day = tape(("OK", 100), ("", 50), ("OK", 100))
    found = judge([day], [track((0, 0, MODEL), (110, 1, MODEL), (140, 0, MODEL), (200, 1, MODEL), (230, 0, MODEL))],
                  LABELS, ["FAULT"], "unknown").as_dict()  # fmt: skip
    assert (found["alarms"], found["false_alarms"]) == (2, 1)
    assert found["quiet_hours"] == pytest.approx(200 / 3600) and found["false_alarm_hours"] == pytest.approx(30 / 3600)


def test_windows_without_a_truth_are_neither_right_nor_false() -> None:
    day = tape(("OK", 100), ("", 50), ("FAULT", 50), ("OK", 100))
    due = np.arange(9, 300, 10)
    said = Track(np.array([0, 95]), np.array([0, 1]), np.array([MODEL, MODEL]), due)  # it never ends
    found = judge([day], [said], LABELS, ["FAULT"], "unknown").as_dict()
    assert found["windows"] == [5, 11, 0, 9] and found["calm_hours"] == pytest.approx(200 / 3600)
    assert found["false_windows_per_hour"] == pytest.approx(11 * 18) and found["window_precision"] == 5 / 16


def test_pieces_of_a_table_without_groups_are_one_group_and_so_one_tape(tmp_path: Path) -> None:
    path = tmp_path / "plant.csv.gz"
    rows = "".join(f"{at},{at % 7},{int(3 < at < 6)}\n" for at in range(10))
    path.write_bytes(gzip.compress(("t,x,bad\n" + rows).encode()))
    said = {"name": "plant", "rate_hz": 1, "channels": [{"name": "x", "unit": "1", "scale": 1, "column": "x"}],
            "label": "bad", "time": {"column": "t", "unit": "s"}}  # fmt: skip
    (tmp_path / "plant.json").write_text(json.dumps(said))
    dataset, _ = csv_import.import_csv(path)
    [joined] = tapes(dataset.recordings)
    assert len(dataset.groups) == 1 and len(joined.samples) == 10 and joined.spans(["1"]) == [(4, 6)]
