"""What the page asks for: its files, the state of the session, uploads, wishes and downloads."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import deblur
from deblur.web import answers, uploads
from deblur.web.answers import Answer
from deblur.web.photo import How, Photo, Refused
from deblur.web.safety import Safety
from deblur.web.session import Session

__all__ = ["application"]

PATIENCE = 15.0
"""Seconds after which a listener is told that the server is alive."""

_KERNEL_BYTES = 16 << 20


def application(
    session: Session, token: str, hosts: frozenset[str], samples: Path | None = None, given: tuple[str, ...] = ()
) -> Safety:
    """The whole server, as an ASGI application.

    Args:
        session: the photographs.
        token: the key in the address that is opened first.
        hosts: the names of this server.
        samples: a folder of pictures to try.
        given: pictures to begin with, by their paths.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        session.start()
        for path in given:
            await _take(session, Path(path), Path(path).name)
        yield
        await session.end()

    routes = _Routes(session, samples)
    return Safety(Starlette(routes=routes.all(), lifespan=lifespan), token, hosts)


async def _take(session: Session, path: Path, name: str) -> Photo:
    """Take in a file of this machine."""
    photo = session.room_for(name)

    async def pieces() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece

    await uploads.stored(pieces(), photo.source)
    uploads.check(photo.source, name)
    session.add(photo)
    return photo


class _Routes:
    def __init__(self, session: Session, samples: Path | None) -> None:
        self._session = session
        self._samples = (
            {}
            if samples is None or not samples.is_dir()
            else {
                path.name: path
                for path in sorted(samples.iterdir())
                if path.suffix in (".png", ".jpg") and path.stem != "truth"
            }
        )

    def all(self) -> list[Route]:
        """Every route."""
        one = "/api/photos/{key}"
        posts: dict[str, Answer] = {
            "/api/photos": self.upload,
            "/api/samples": self.sample,
            "/api/restore": self.restore_all,
            f"{one}/find": self.find,
            f"{one}/kernel": self.given_kernel,
            f"{one}/taps": self.taps,
            f"{one}/sharp": self.sharp,
            f"{one}/region": self.region,
            f"{one}/options": self.options,
            f"{one}/restore": self.restore,
            f"{one}/cancel": self.cancel,
            f"{one}/remove": self.remove,
        }
        gets: dict[str, Answer] = {
            "/": self.static,
            "/static/{name}": self.static,
            "/api/state": self.state,
            "/api/events": self.events,
            "/api/results.zip": self.results,
            f"{one}/result": self.result,
            f"{one}/kernel.npy": self.kernel_file,
            f"{one}/taps": self.taps_now,
            one + "/{picture}.png": self.picture,
        }
        made = [Route(path, answers.guarded(answer), methods=["POST"]) for path, answer in posts.items()]
        return made + [Route(path, answers.guarded(answer), methods=["GET"]) for path, answer in gets.items()]

    async def static(self, request: Request) -> Response:
        """One of the page's files."""
        return answers.page_file(request.path_params.get("name", "index.html"))

    async def state(self, request: Request) -> Response:
        """All that the page shows."""
        return JSONResponse(self._state())

    async def events(self, request: Request) -> Response:
        """The same, whenever it changes."""

        async def told() -> AsyncIterator[str]:
            yield f"data: {json.dumps(self._state())}\n\n"
            async for new in self._session.changes(PATIENCE):
                yield f"data: {json.dumps(self._state())}\n\n" if new else ": here\n\n"

        return StreamingResponse(told(), media_type="text/event-stream")

    async def upload(self, request: Request) -> Response:
        """A photograph."""
        name = uploads.name_of(request.headers.get("x-name", "photograph"))
        photo = self._session.room_for(name)
        try:
            await uploads.stored(request.stream(), photo.source)
            uploads.check(photo.source, photo.name)
        except BaseException:
            photo.source.unlink(missing_ok=True)
            photo.folder.rmdir()
            raise
        self._session.add(photo)
        return JSONResponse({"id": photo.key})

    async def sample(self, request: Request) -> Response:
        """A photograph that comes with the program."""
        name = (await answers.wish(request)).get("name")
        if name not in self._samples:
            raise Refused("there is no such sample", 404)
        return JSONResponse({"id": (await _take(self._session, self._samples[name], name)).key})

    async def find(self, request: Request) -> Response:
        """Find the blur again, or take the one that is named."""
        photo = self._photo(request)
        self._session.find(photo, How.of(await answers.wish(request), photo.how))
        return answers.done()

    async def given_kernel(self, request: Request) -> Response:
        """A kernel's file."""
        return await self._beside(request, "file", "given", _KERNEL_BYTES)

    async def sharp(self, request: Request) -> Response:
        """The sharp picture of a pair."""
        return await self._beside(request, "pair", "sharp", uploads.MOST_BYTES)

    async def taps(self, request: Request) -> Response:
        """A kernel that was edited."""
        photo, asked = self._photo(request), await answers.wish(request)
        import numpy as np

        try:
            taps = np.asarray(asked.get("taps"), float)
            if taps.ndim != 2 or not 1 <= min(taps.shape) <= max(taps.shape) <= 501 or not np.isfinite(taps).all():
                raise ValueError
        except (ValueError, TypeError):
            raise Refused("expected rows of numbers, at most 501 a side") from None
        np.save(photo.folder / "given.npy", taps)
        (photo.folder / "given").write_bytes((photo.folder / "given.npy").read_bytes())
        self._session.find(photo, How(how="file", name=f"{Path(photo.name).stem}.kernel.npy"))
        return answers.done()

    async def taps_now(self, request: Request) -> Response:
        """The taps of the kernel that serves now."""
        photo = self._photo(request)
        if photo.kernel is None:
            raise Refused("the blur is not known yet", 404)
        return JSONResponse({"taps": photo.kernel["taps"]})

    async def region(self, request: Request) -> Response:
        """Another region to restore while one looks."""
        photo, asked = self._photo(request), (await answers.wish(request)).get("region")
        if not (isinstance(asked, list) and len(asked) == 4 and all(type(value) is int for value in asked)):
            raise Refused("expected a region as x, y, width and height in whole pixels")
        x, y, width, height = asked
        least = min(32, photo.width, photo.height)
        inside = 0 <= x <= photo.width - width and 0 <= y <= photo.height - height
        if not (inside and least <= width <= 512 and least <= height <= 512):
            raise Refused("expected a region within the picture, 32 to 512 pixels a side")
        photo.region = (x, y, width, height)
        self._session.look(photo)
        return answers.done()

    async def options(self, request: Request) -> Response:
        """Other options."""
        photo = self._photo(request)
        before, photo.options = photo.options, photo.options.changed(await answers.wish(request))
        photo.result = None  # it was restored by others
        if (before.black, before.white) != (photo.options.black, photo.options.white):
            self._session.reopen(photo)
        else:
            self._session.look(photo)
        self._session.changed()
        return answers.done()

    async def restore(self, request: Request) -> Response:
        """Restore the whole."""
        self._session.restore(self._photo(request))
        return answers.done()

    async def restore_all(self, request: Request) -> Response:
        """Restore all whose blur is known."""
        for photo in [photo for photo in self._session.photos.values() if photo.status == "ready"]:
            self._session.restore(photo)
        return answers.done()

    async def cancel(self, request: Request) -> Response:
        """Stop what is done to a photograph."""
        await self._session.cancel(self._photo(request))
        return answers.done()

    async def remove(self, request: Request) -> Response:
        """Forget a photograph."""
        await self._session.remove(self._photo(request))
        return answers.done()

    async def picture(self, request: Request) -> Response:
        """What is shown: view, before, after, kernel, result."""
        name = request.path_params["picture"]
        if name not in ("view", "before", "after", "kernel", "result"):
            raise Refused("there is no such picture", 404)
        path = self._photo(request).folder / f"{name}.png"
        if not path.exists():
            raise Refused("there is no such picture yet", 404)
        return FileResponse(path, media_type="image/png")

    async def result(self, request: Request) -> Response:
        """The download: the command's own bytes."""
        photo = self._photo(request)
        made = answers.result_of(photo)
        return answers.attached(made.read_bytes(), str(photo.result and photo.result["name"]))

    async def kernel_file(self, request: Request) -> Response:
        """The kernel as a file."""
        photo = self._photo(request)
        if not photo.kernel_file.exists():
            raise Refused("the blur is not known yet", 404)
        return answers.attached(photo.kernel_file.read_bytes(), f"{Path(photo.name).stem}.kernel.npy")

    async def results(self, request: Request) -> Response:
        """All downloads in one."""
        done = [photo for photo in self._session.photos.values() if photo.result is not None]
        if not done:
            raise Refused("nothing is restored yet", 404)
        packed, seen = io.BytesIO(), dict[str, int]()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for photo in done:
                name = Path(str(photo.result and photo.result["name"]))
                seen[name.name] = seen.get(name.name, 0) + 1
                number = f" ({seen[name.name]})" if seen[name.name] > 1 else ""
                archive.write(answers.result_of(photo), f"{name.stem}{number}{name.suffix}")
        return answers.attached(packed.getvalue(), "deblurred.zip")

    def _photo(self, request: Request) -> Photo:
        return self._session.of(request.path_params["key"])

    async def _beside(self, request: Request, kind: str, file: str, most: int) -> Response:
        photo = self._photo(request)
        name = uploads.name_of(request.headers.get("x-name", file))
        await uploads.stored(request.stream(), photo.folder / file, most)
        suffix = Path(name).suffix.lower()
        if kind == "file" and suffix.isascii() and suffix[1:].isalnum():
            (photo.folder / f"given{suffix}").write_bytes((photo.folder / file).read_bytes())
        self._session.find(photo, How(how=kind, name=Path(name.replace("\\", "/")).name))
        return answers.done()

    def _state(self) -> dict[str, Any]:
        photos = [photo.record() for photo in self._session.photos.values()]
        return {
            "version": deblur.__version__,
            "cores": os.cpu_count() or 1,
            "samples": list(self._samples),
            "photos": photos,
        }
