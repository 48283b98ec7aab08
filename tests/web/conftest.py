"""A server of the page on a free port, and a client that has its key."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

uvicorn = pytest.importorskip("uvicorn")

from deblur.web.server import application  # noqa: E402
from deblur.web.session import Session  # noqa: E402

TOKEN = "key"


class Client:
    """Asks as the page does."""

    def __init__(self, port: int, session: Session) -> None:
        self.port, self.session = port, session

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """One request; a header given as `None` is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Cookie": f"deblur_token={TOKEN}", "X-Deblur": "1"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if value is not None}
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()

    def wish(self, path: str, **wish: Any) -> dict[str, Any]:
        status, body, _ = self.ask("POST", path, json.dumps(wish))
        assert status == 200, body
        return dict(json.loads(body))

    def upload(self, data: bytes, name: str = "a.png") -> tuple[int, dict[str, Any]]:
        status, body, _ = self.ask("POST", "/api/photos", data, X_Name=quote(name, safe="", errors="surrogateescape"))
        return status, dict(json.loads(body))

    def photos(self) -> list[dict[str, Any]]:
        return list(json.loads(self.ask("GET", "/api/state")[1])["photos"])

    def wait(self, *statuses: str, index: int = 0) -> dict[str, Any]:
        """The photograph once it is in one of these."""
        for _ in range(1200):
            photo = self.photos()[index]
            if photo["status"] in statuses:
                return photo
            time.sleep(0.05)
        raise AssertionError(photo)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path / "page" / "one")


@pytest.fixture
def client(session: Session) -> Iterator[Client]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    app = application(session, TOKEN, frozenset({"127.0.0.1", "localhost"}))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    client = Client(listening.getsockname()[1], session)
    client.ask("GET", "/api/state")
    yield client
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done to photographs that come in."""
    monkeypatch.setattr(Session, "ask", lambda self, photo, task: self.changed())


def png(size: tuple[int, int] = (40, 36), dtype: Any = np.uint8) -> bytes:
    """A small picture."""
    file = io.BytesIO()
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, size[::-1])
    Image.fromarray(values.astype(dtype)).save(file, "PNG")
    return file.getvalue()
