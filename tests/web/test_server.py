"""The server of the page: who may ask, what is taken in, and what comes out."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("starlette")

from web.conftest import TOKEN, Client, png

from deblur.cli import main
from deblur.web import uploads
from deblur.web.photo import How, Options, Photo, Refused
from deblur.web.session import Session


def test_the_address_with_the_key_gives_a_cookie_that_scripts_cannot_read(client: Client) -> None:
    status, _, headers = client.ask("GET", f"/?token={TOKEN}", Cookie="")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.ask("GET", "/?token=other", Cookie="")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": ""},
        {"Cookie": "deblur_token=wrong"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_strangers_are_turned_away(client: Client, headers: dict[str, str]) -> None:
    for path in ("/", "/api/state", "/static/main.js"):
        status, body, told = client.ask("GET", path, **headers)
        assert status == 403
        assert "error" in json.loads(body)
        assert "access-control-allow-origin" not in told


def test_a_wish_needs_the_header_that_a_foreign_form_cannot_send(client: Client) -> None:
    assert client.ask("POST", "/api/restore", "{}", X_Deblur=None)[0] == 403  # type: ignore[arg-type]
    assert client.ask("POST", "/api/restore", "{}")[0] == 200


def test_every_answer_is_closed_to_other_hosts(client: Client) -> None:
    for path in ("/", "/static/main.js", "/api/state", "/nowhere"):
        headers = client.ask("GET", path)[2]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e%2fserver.py", "/static/server.py", "/static/"]
)
def test_no_other_file_is_given_out(client: Client, path: str) -> None:
    status, body, _ = client.ask("GET", path)
    assert status in (404, 405)
    assert b"import" not in body


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    "name",
    [
        'it\'s "quoted".png',
        "line\nbreak.png",
        "../../etc/passwd",
        "C:\\a\\b.png",
        "\U0001f600.png",
        "",
        "." * 300,
        "a" * 5000,
    ],
)
def test_names_are_for_people_and_never_a_path(client: Client, session: Session, name: str) -> None:
    status, said = client.upload(png(), name)
    assert status == 200
    (photo,) = session.photos.values()
    assert photo.source.parent == session.folder / said["id"]
    assert photo.source.name.startswith("source")
    assert "/" not in photo.name
    assert photo.name.isprintable()
    assert sorted(path.name for path in session.folder.parent.parent.rglob("*") if path.is_file()) == [
        photo.source.name
    ]


def bomb(side: int) -> bytes:
    """A PNG of many black pixels in few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def pages() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "status", "said"),
    [
        (b"", "a.jpg", 415, "the file is empty"),
        (b"hello, this is a text", "text.jpg", 415, "text.jpg is no picture that is read here"),
        (bomb(7800), "bomb.png", 413, "bomb.png has 60 million pixels, the page takes 50"),
        (pages(), "pages.tif", 415, "pages.tif has 3 pages"),
    ],
)
def test_what_is_not_taken_in_is_said_and_leaves_nothing(
    client: Client, session: Session, data: bytes, name: str, status: int, said: str
) -> None:
    got, answer = client.upload(data, name)
    assert got == status
    assert said in answer["error"]
    assert client.photos() == []
    assert list(session.folder.iterdir()) == []


def test_a_file_that_is_too_large_is_refused_while_it_comes(
    client: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = uploads.stored
    monkeypatch.setattr(uploads, "stored", lambda stream, path: kept(stream, path, 1 << 20))
    with socket.create_connection(("127.0.0.1", client.port)) as sent:
        head = f"POST /api/photos HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: deblur_token={TOKEN}\r\nX-Deblur: 1\r\n"
        sent.sendall(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode() + bytes(2 << 20))
        assert b" 413 " in sent.recv(4096)
    assert list(session.folder.iterdir()) == []


@pytest.mark.usefixtures("idle")
def test_three_hundred_files_are_taken_and_too_many_are_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deblur.web.session.MOST_PHOTOS", 300)
    data = png()
    assert all(client.upload(data, f"{i}.png")[0] == 200 for i in range(300))
    assert len(client.photos()) == 300
    status, said = client.upload(data)
    assert status == 429
    assert "at most 300" in said["error"]
    client.wish(f"/api/photos/{client.photos()[0]['id']}/remove")
    assert client.upload(data)[0] == 200


@pytest.mark.usefixtures("idle")
def test_wishes_out_of_range_are_refused_in_one_sentence(client: Client, session: Session) -> None:
    key = client.upload(png())[1]["id"]
    session.photos[key].width, session.photos[key].height = 40, 36
    for path, wish in [
        ("options", {"strength": -1}),
        ("options", {"strength": "much"}),
        ("options", {"method": "magic"}),
        ("options", {"nothing": 1}),
        ("options", {"black": 5, "white": 5}),
        ("find", {"how": "magic"}),
        ("find", {"how": "motion", "length": 1e9}),
        ("find", {"how": "blind", "size": 4}),
        ("find", {"how": "pair"}),
        ("region", {"region": [0, 0, 600, 10]}),
        ("region", {"region": [39, 0, 32, 32]}),
        ("region", {"region": "all"}),
        ("taps", {"taps": [[1], [1, 2]]}),
        ("restore", {}),
    ]:
        status, body, _ = client.ask("POST", f"/api/photos/{key}/{path}", json.dumps(wish))
        assert status == 400, (path, wish)
        assert "\n" not in json.loads(body)["error"]
    assert client.ask("POST", f"/api/photos/{key}/options", "no json")[0] == 400
    assert client.ask("POST", "/api/photos/gone/restore", "{}")[0] == 404


def test_words_give_what_was_chosen_and_nothing_that_was_not(tmp_path: Path) -> None:
    photo = Photo("k", "it's a photo.jpg", tmp_path, tmp_path / "source.jpg")
    assert photo.command == "deblur apply 'it'\"'\"'s a photo.jpg'"
    photo.options = Options().changed({"strength": 2, "method": "fast", "noise": 0.01})
    photo.how = How.of({"how": "motion", "length": 9, "angle": 30}, photo.how)
    assert photo.command.endswith("--kernel motion:length=9,angle=30 --method fast --strength 2 --noise 0.01")
    wanted = "deblur.apply(\"it's a photo.jpg\", 'motion:length=9,angle=30', method='fast', strength=2.0, noise=0.01)"
    assert wanted in photo.python
    with pytest.raises(Refused, match="expected noise as a number"):
        Options().changed({"noise": 3})


def test_a_download_has_the_bytes_of_the_command_that_the_page_gives(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png((60, 52), np.uint16)
    key = client.upload(data, "deep one.png")[1]["id"]
    client.wish(f"/api/photos/{key}/find", how="gaussian", sigma=1.2)
    photo = client.wait("ready", "failed")
    assert photo["error"] == ""
    assert photo["kernel"]["words"]
    client.wish(f"/api/photos/{key}/options", strength=1.5, noise=0.01)
    client.wait("ready")
    client.wish(f"/api/photos/{key}/restore")
    photo = client.wait("done", "failed")
    assert photo["error"] == ""
    body, headers = client.ask("GET", photo["result"]["url"])[1:]
    assert headers["content-disposition"].startswith('attachment; filename="deep one.deblurred.png"')
    monkeypatch.chdir(tmp_path)
    Path("deep one.png").write_bytes(data)
    import shlex

    assert main(shlex.split(photo["command"])[1:]) == 0
    assert Path("deep one.deblurred.png").read_bytes() == body
    space: dict[str, Any] = {}
    exec(photo["python"], space)
    with Image.open(io.BytesIO(body)) as image:
        assert np.array_equal(space["restored"], np.asarray(image))
    with Image.open(io.BytesIO(client.ask("GET", photo["preview"]["after"])[1])) as shown:
        assert np.abs(np.asarray(shown).astype(int) - (space["restored"] / 257).round()).max() <= 1
    zipped = client.ask("GET", "/api/results.zip")[1]
    assert zipped.startswith(b"PK")
    assert body in zipped


@pytest.mark.slow
def test_a_cancel_ends_the_process_within_a_second(client: Client, session: Session) -> None:
    big = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1200, 1600), np.uint8)).save(big, "PNG")
    key = client.upload(big.getvalue())[1]["id"]
    for _ in range(20):
        while client.photos()[0]["stage"] != "finding the blur":
            time.sleep(0.05)
        working = session._tasks._working
        assert working is not None
        process = working.process
        start = time.perf_counter()
        client.wish(f"/api/photos/{key}/cancel")
        assert time.perf_counter() - start < 1
        assert not Path(f"/proc/{process}").exists()
        client.wish(f"/api/photos/{key}/find", how="blind")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_that_waits_takes_little_memory_and_no_time(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    words = [sys.executable, "-m", "deblur.web", "--no-browser"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        address = server.stdout.readline()
        assert address.startswith("the page: http://127.0.0.1:")
        client = Client(int(address.split(":")[3].split("/")[0]), Session(tmp_path))
        assert client.ask("GET", "/", Cookie="deblur_token=" + address.strip().rpartition("=")[2])[0] == 200
        status = dict(line.split(":", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
        assert int(status["VmRSS"].split()[0]) < 60 << 10
        spent = Path(f"/proc/{server.pid}/stat").read_text().split()[13:15]
        time.sleep(0.5)
        later = Path(f"/proc/{server.pid}/stat").read_text().split()[13:15]
        assert sum(map(int, later)) - sum(map(int, spent)) <= 2  # hundredths of a second
    finally:
        server.terminate()
        server.wait()
    assert list((tmp_path / "deblur" / "page").iterdir()) == []
