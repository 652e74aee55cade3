"""The page of `sensewell data label`, served to this computer alone: 127.0.0.1, and a token that only the URL holds.

Gives recordings as they can be drawn (least and greatest count of each stretch) and takes labels. Thin: what labels
are, dataset/labels.py knows.
"""

from __future__ import annotations

import hmac
import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from sensewell_host.dataset import labels as labelling
from sensewell_host.dataset.recording import MISSING, Dataset
from sensewell_host.errors import SensewellError

PAGE = Path(__file__).with_name("pages") / "label.html"
_MOST_BYTES = 8_000_000
_MOST_COLUMNS = 4000
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LabelServer(ThreadingHTTPServer):
    """Serves `dataset` at `url`; labels are kept in `folder`. `port` 0: a free one."""

    daemon_threads = True

    def __init__(self, dataset: Dataset, folder: Path, port: int = 0) -> None:
        self.dataset = dataset
        self.labels_folder = folder
        self.token = secrets.token_urlsafe(24)
        labelling.load(folder, dataset)  # what cannot be read is said now
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise SensewellError(f"cannot serve at port {port}: {error.strerror}; say another --port") from error
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def overview(self) -> dict[str, Any]:
        """All but the samples."""
        data = self.dataset
        return {
            "name": data.name,
            "rate_hz": data.rate_hz,
            "channels": [
                {"name": one.name, "unit": one.unit, "scale": one.scale, "offset": one.offset} for one in data.channels
            ],
            "recordings": [
                {"name": one.name, "rows": len(one.samples), "label": one.label, "group": one.group}
                for one in data.recordings
            ],
            "labels": labelling.as_json(labelling.load(self.labels_folder, data), data),
        }

    def envelope(self, name: str, start: int, end: int, columns: int) -> dict[str, Any]:
        """Least and greatest count of every channel in each of `columns` stretches of rows start .. end; null: none."""
        samples = self.dataset.recording(name).samples
        start = min(max(start, 0), len(samples))
        end = min(max(end, start), len(samples))
        edges = np.unique(
            np.linspace(start, end, min(max(columns, 1), _MOST_COLUMNS, max(end - start, 1)) + 1).astype(int)
        )
        low: list[list[int | None]] = []
        high: list[list[int | None]] = []
        for at in range(samples.shape[1]):
            values = samples[start:end, at].astype(np.int32)
            if not len(values):
                low.append([])
                high.append([])
                continue
            bad = values == MISSING
            least = np.minimum.reduceat(np.where(bad, 99999, values), edges[:-1] - start)
            most = np.maximum.reduceat(np.where(bad, -99999, values), edges[:-1] - start)
            low.append([None if x == 99999 else x for x in least.tolist()])
            high.append([None if x == -99999 else x for x in most.tolist()])
        return {"edges": edges.tolist(), "low": low, "high": high}


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer
    server_version = "sensewell"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        path, query = self._asked()
        if path == "":
            self._send(HTTPStatus.OK, PAGE.read_bytes(), "text/html; charset=utf-8")
        elif path == "overview":
            self._answer(self.server.overview)
        elif path == "rows":
            self._answer(
                lambda: self.server.envelope(
                    query["recording"], int(query["start"]), int(query["end"]), int(query["columns"])
                )
            )
        elif path is not None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        path, _ = self._asked()
        if path is None:
            return
        size = self.headers.get("Content-Length", "")
        if path != "save":
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif not size.isdigit() or int(size) > _MOST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {_MOST_BYTES} bytes")
        else:
            self._answer(lambda: self._save(self.rfile.read(int(size))))

    def _save(self, body: bytes) -> dict[str, Any]:
        data = self.server.dataset
        found = labelling.parse(json.loads(body), data)
        labelling.save(found, data, self.server.labels_folder)
        return {"saved": sum(map(len, found.values()))}

    def _asked(self) -> tuple[str | None, dict[str, str]]:
        """Path behind the token and query; None where it was refused: another host's name, or no token."""
        parts = urlsplit(self.path)
        token, _, rest = parts.path.lstrip("/").partition("/")
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in self.server.hosts or (
            origin is not None and urlsplit(origin).netloc not in self.server.hosts
        ):
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this computer alone")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that `sensewell data label` has printed")
        else:
            return rest, {key: values[0] for key, values in parse_qs(parts.query).items()}
        return None, {}

    def _answer(self, make: Any) -> None:
        try:
            content = make()
        except SensewellError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"not understood: {error!r:.100}")
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"the labels were not saved: {error.strerror}")
        else:
            self._send(HTTPStatus.OK, json.dumps(content).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True
        self._send(status, json.dumps({"error": why}).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the token is in every line."""
