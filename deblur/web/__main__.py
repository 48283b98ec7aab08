"""`python -m deblur.web`: serve the page on this machine, and open a browser on it."""

from __future__ import annotations

import argparse
import secrets
import socket
import sys
import threading
import webbrowser
from pathlib import Path

import uvicorn

from deblur.web.server import application
from deblur.web.session import Session

__all__ = ["main"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def main(words: list[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="deblur gui")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--no-browser", action="store_true")
    asked = parser.parse_args(words)
    family = socket.AF_INET6 if ":" in asked.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((asked.host, asked.port))
        listening.listen(128)  # who comes before the server is up waits
    except OSError as error:
        sys.stderr.write(f"deblur: error: {asked.host}:{asked.port}: cannot be listened on ({error.strerror})\n")
        return 1
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    if asked.host not in LOOPBACK:
        sys.stderr.write(
            f"deblur: note: {asked.host} lets other machines in: whoever has the address below sees your photographs, "
            "and nothing on the way is encrypted\n"
        )
    shown = f"[{asked.host}]" if ":" in asked.host else asked.host
    address = f"http://{shown}:{port}/?token={token}"
    sys.stdout.write(f"the page: {address}\nCtrl-C ends it and removes its files\n")
    sys.stdout.flush()
    if not asked.no_browser:
        threading.Timer(0.3, webbrowser.open, [address]).start()
    samples = Path(__file__).resolve().parents[2] / "samples"  # of a clone
    page = application(Session(), token, LOOPBACK | {asked.host}, samples, tuple(asked.files))
    settings = uvicorn.Config(
        page, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    uvicorn.Server(settings).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
