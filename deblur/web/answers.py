"""How the server answers: in one sentence where something cannot be done, with files of the page, with downloads."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from deblur.web.photo import Photo, Refused

__all__ = ["Answer", "attached", "done", "guarded", "page_file", "result_of", "wish"]

STATIC = Path(__file__).resolve().parent / "page"

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_KINDS |= {".svg": "image/svg+xml", ".png": "image/png"}
_LONGEST = 1 << 20  # bytes of a wish

Answer = Callable[[Request], Awaitable[Response]]


def guarded(answer: Answer) -> Answer:
    """An answer that says in one sentence what cannot be done."""

    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except Refused as error:
            return JSONResponse({"error": str(error)}, status_code=error.status)
        except ClientDisconnect:
            return JSONResponse({"error": "it stopped coming"}, status_code=400)

    return guarded


async def wish(request: Request) -> dict[str, Any]:
    """The JSON that was sent."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > 16 * _LONGEST:
            raise Refused("that is too much", 413)
    try:
        wish = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        wish = None
    if not isinstance(wish, dict):
        raise Refused("expected a JSON object")
    return wish


def page_file(name: str) -> Response:
    """A file of the page."""
    path = STATIC / name
    if path.parent != STATIC or path.suffix not in _KINDS or not path.is_file():
        raise Refused("there is no such file", 404)
    return Response(path.read_bytes(), media_type=_KINDS[path.suffix], headers={"cache-control": "no-cache"})


def result_of(photo: Photo) -> Path:
    """Where a photograph's result lies."""
    found = list((photo.folder / "done").glob("*")) if photo.result is not None else []
    if not found:
        raise Refused("it is not restored yet", 404)
    return found[0]


def attached(data: bytes, name: str) -> Response:
    """A download."""
    plain = name.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_").replace("?", "_")
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return Response(data, media_type="application/octet-stream", headers={"content-disposition": disposition})


def done() -> Response:
    """The answer to a wish that is granted."""
    return JSONResponse({})
