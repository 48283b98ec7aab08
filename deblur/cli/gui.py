"""`deblur gui`: the page."""

from __future__ import annotations

from typing import Annotated

import typer

from deblur.errors import OptionError

__all__ = ["gui"]


def gui(
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]", help="Pictures to begin with.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 (default) takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's own lets others in.")] = (
        "127.0.0.1"
    ),
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address and open nothing.")] = False,
) -> None:
    """Open a local page: drop a photograph, see before and after, choose, download.

    Nothing leaves this machine. Ctrl-C ends it.
    """
    import subprocess
    import sys
    from importlib.util import find_spec
    from pathlib import Path

    from deblur.errors import FileError

    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise OptionError("the page needs starlette and uvicorn; pip install 'deblur-wavefront[web]'")
    for name in images or []:
        if not Path(name).is_file():
            raise FileError(f"{name}: there is no such file; check the name")
    words = [*(images or []), "--port", str(port), "--host", host, *(["--no-browser"] if no_browser else [])]
    server = subprocess.Popen([sys.executable, "-m", "deblur.web", *words])  # small: this process has loaded much
    try:
        status = server.wait()
    except KeyboardInterrupt:
        status = 0 if server.wait() in (0, 130) else 1
    raise typer.Exit(status)
