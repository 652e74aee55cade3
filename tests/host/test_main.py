"""device/main.py: whatever is missing or refused is named, and the prompt is reached."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import tiny_bundle

MAIN = Path(__file__).parents[2] / "device" / "main.py"


class Sensor:
    """Two channels, five rows, then Ctrl-C."""

    t = 0

    def read(self, row: list[int]) -> int:
        self.t += 20
        if self.t > 100:
            raise KeyboardInterrupt
        row[0] = row[1] = 1
        return self.t


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("device_main", MAIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    real = module.exists
    monkeypatch.setattr(module, "exists", lambda path: real(str(tmp_path) + path))
    monkeypatch.setattr(module, "BUNDLE", "/bundle.swb")
    monkeypatch.setattr(module, "GRACE_MS", 0)
    monkeypatch.setattr(time, "sleep_ms", lambda ms: None, raising=False)
    setup = ModuleType("setup")
    setup.sensor = Sensor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "setup", setup)
    return module


def test_what_is_missing_is_named_and_safe_mode_starts_nothing(
    main: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main.run()
    assert "bundle.missing" in capsys.readouterr().out
    (tmp_path / "bundle.swb").write_bytes(b"")
    main.run()
    assert "setup.missing" in capsys.readouterr().out
    (tmp_path / "safe").touch()
    main.run()
    assert "safe mode" in capsys.readouterr().out


def test_a_refused_bundle_is_named_and_a_good_one_runs_until_ctrl_c(
    main: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.swb"
    (tmp_path / "setup.py").touch()
    bundle.write_bytes(b"")
    exists = main.exists
    monkeypatch.setattr(main, "BUNDLE", str(bundle))
    monkeypatch.setattr(main, "exists", lambda path: True if path == str(bundle) else exists(path))
    main.run()
    assert "refused: bundle.truncated" in capsys.readouterr().out
    bundle.write_bytes(tiny_bundle.build())
    main.run()
    assert "sensewell: stopped" in capsys.readouterr().out
