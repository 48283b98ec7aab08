"""Who may ask: this machine's own page and nobody else.

A page of somebody else in the same browser could send requests here (its origin gives it away, and it cannot set our
header without being asked for leave, which is never given), and a name that it controls could point here (the host
gives it away). The token keeps out other users of the machine.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "HEADER", "Safety"]

COOKIE, HEADER = "deblur_token", "x-deblur"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class Safety:
    """Lets requests through that come from the page itself.

    Args:
        app: what answers them.
        token: what the address that is opened first holds; a cookie afterwards.
        hosts: names of this server, without a port.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        response = self._first(scope, headers) or self._refusal(scope, headers)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                told["content-security-policy"] = _POLICY
                told["x-content-type-options"] = "nosniff"
                told["referrer-policy"] = "no-referrer"
                told["cross-origin-resource-policy"] = "same-origin"
                told.setdefault("cache-control", "no-store")
            await send(message)

        await (response or self._app)(scope, receive, with_headers)

    def _first(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to the address with the token in it: a cookie, and the page without it."""
        if scope["method"] != "GET" or scope["path"] != "/" or not self._known(headers):
            return None
        given = dict(part.partition("=")[::2] for part in scope["query_string"].decode("latin-1").split("&"))
        if not secrets.compare_digest(given.get("token", "").encode(), self._token.encode()):
            return None
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", path="/")
        return response

    def _known(self, headers: Headers) -> bool:
        host = headers.get("host", "")
        return (urlsplit(f"//{host}").hostname or "") in self._hosts

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._known(headers):
            return _no("this page is not at home under that name; open the address that deblur gui printed", 403)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        foreign = origin is not None and origin != f"http://{headers['host']}"
        if foreign or site not in ("same-origin", "none"):
            return _no("another page may not ask here", 403)
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if not secrets.compare_digest(cookie.encode(), self._token.encode()):
            return _no("open the address that deblur gui printed: it holds the key to this page", 403)
        if scope["method"] not in ("GET", "HEAD") and HEADER not in headers:
            return _no("a request of the page itself carries a header of its own", 403)
        return None


def _no(reason: str, status: int) -> Response:
    return JSONResponse({"error": reason}, status_code=status)
