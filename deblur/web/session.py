"""The photographs of a session, their files, and the queue of their jobs: one at a time, in the order of the asking.

Every job is a process that can be ended; the files of a session lie in one folder, which goes when the server ends,
or a day later where it was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from deblur.web.photo import How, Photo, Refused
from deblur.web.tasks import Tasks
from deblur.worker import Worker

__all__ = ["MOST_BYTES", "MOST_PHOTOS", "Session", "cache_folder"]

MOST_PHOTOS, MOST_BYTES = 400, 8 << 30
"""Photographs, and bytes of their files, in a session."""

_DAY = 86_400.0
_ROOM = 255  # letters of a name that is shown


def cache_folder() -> Path:
    """Where sessions lie."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "deblur" / "page"


class Session:
    """All photographs, and the process that works on one of them.

    Args:
        folder: for their files; a new one in the cache by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / secrets.token_hex(8)
        self.photos: dict[str, Photo] = {}
        self.bytes = 0
        self._changed = asyncio.Event()
        self._jobs: asyncio.Queue[tuple[Photo, Callable[[Photo], Coroutine[Any, Any, None]]]] = asyncio.Queue()
        self._running: tuple[Photo, asyncio.Task[None]] | None = None
        self._queued: dict[str, int] = {}
        self._tasks = Tasks(self.changed)
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make the folder, sweep old ones, and begin to work through the queue."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in self.folder.parent.iterdir():
            with contextlib.suppress(OSError):
                if other != self.folder and time.time() - other.stat().st_mtime > _DAY:
                    shutil.rmtree(other)
        self._worker = asyncio.create_task(self._work())

    async def end(self) -> None:
        """End every process and remove the files."""
        if self._worker is not None:
            self._worker.cancel()
        if self._running is not None:
            self._running[1].cancel()
        await self._tasks.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def changed(self) -> None:
        """Tell who listens that something is new."""
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    async def changes(self, patience: float) -> AsyncIterator[bool]:
        """True whenever something is new, False after so many seconds without."""
        while True:
            try:
                await asyncio.wait_for(self._changed.wait(), patience)
                await asyncio.sleep(0.05)  # what comes together is told together
                yield True
            except asyncio.TimeoutError:
                yield False

    def room_for(self, name: str) -> Photo:
        """A new photograph, whose file is to come; its name is for people alone.

        Raises:
            Refused: there are too many.
        """
        if len(self.photos) >= MOST_PHOTOS:
            raise Refused(f"expected at most {MOST_PHOTOS} photographs at a time; remove some", 429)
        if self.bytes > MOST_BYTES:
            raise Refused("the photographs of this session take too much room; remove some", 429)
        key = secrets.token_hex(6)
        folder = self.folder / key
        folder.mkdir()
        shown = re.split(r"[/\\]", name)[-1]
        shown = "".join(letter for letter in shown if letter.isprintable())[-_ROOM:].strip(". ") or "photograph"
        suffix = Path(shown).suffix.lower()
        return Photo(
            key, shown, folder, folder / ("source" + (suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""))
        )

    def add(self, photo: Photo) -> None:
        """Take in a photograph whose file is there, and find its blur."""
        self.photos[photo.key] = photo
        self.bytes += photo.source.stat().st_size
        self.ask(photo, self._tasks.first)

    def of(self, key: str) -> Photo:
        """The photograph of that name.

        Raises:
            Refused: there is none.
        """
        if key not in self.photos:
            raise Refused("there is no such photograph any more", 404)
        return self.photos[key]

    def find(self, photo: Photo, how: How) -> None:
        """Find the blur, or take the one that is named, and restore the region."""
        if how.how == "pair" and not photo.sharp_file.exists():
            raise Refused("choose the sharp picture first")
        if how.how == "file" and not (photo.folder / "given").exists():
            raise Refused("choose the kernel's file first")
        photo.how = how
        self.ask(photo, self._tasks.find)

    def reopen(self, photo: Photo) -> None:
        """Read a photograph again, by other levels of black and white, and find its blur."""
        self.ask(photo, self._tasks.first)

    def look(self, photo: Photo) -> None:
        """Restore the region again; one that is being restored is dropped."""
        if photo.kernel is not None:
            self._tasks.look_soon(photo)

    def restore(self, photo: Photo) -> None:
        """Restore the whole.

        Raises:
            Refused: its blur is not known yet.
        """
        if photo.kernel is None:
            raise Refused("the blur is not known yet")
        self.ask(photo, self._tasks.restore)

    def ask(self, photo: Photo, task: Callable[[Photo], Coroutine[Any, Any, None]]) -> None:
        """Put a job into the queue; what this photograph waits for already is forgotten."""
        self._queued[photo.key] = self._queued.get(photo.key, 0) + 1
        photo.status, photo.stage, photo.share, photo.left, photo.error = (
            "waiting",
            "waiting for its turn",
            0.0,
            0.0,
            "",
        )
        self._jobs.put_nowait((photo, task))
        self.changed()

    async def cancel(self, photo: Photo) -> None:
        """Stop what is done to a photograph, and what it waits for."""
        self._queued[photo.key] = 0
        if self._running is not None and self._running[0] is photo:
            await self._tasks.cancel()
        photo.status = "ready" if photo.preview is not None else "stopped"
        photo.stage, photo.share, photo.left = "", 0.0, 0.0
        self.changed()

    async def remove(self, photo: Photo) -> None:
        """Stop it, and remove its files here."""
        await self.cancel(photo)
        self.photos.pop(photo.key, None)
        self.bytes -= photo.source.stat().st_size if photo.source.exists() else 0
        shutil.rmtree(photo.folder, ignore_errors=True)
        self.changed()

    async def _work(self) -> None:
        while True:
            photo, task = await self._jobs.get()
            if not self._queued.get(photo.key) or photo.key not in self.photos:
                continue
            self._queued[photo.key] -= 1
            if self._queued[photo.key]:
                continue  # a later wish stands in the queue
            job = asyncio.create_task(self._safely(photo, task))
            self._running = photo, job
            await asyncio.wait([job])
            self._running = None

    async def _safely(self, photo: Photo, task: Callable[[Photo], Coroutine[Any, Any, None]]) -> None:
        try:
            await task(photo)
        except Refused as error:
            photo.status, photo.error = "failed", str(error)
        except OSError as error:
            photo.status, photo.error = "failed", f"{error.strerror or error}"
        finally:
            self.changed()

    @property
    def idle_worker(self) -> Worker | None:
        """The process that waits for the next command, if there is one."""
        return self._tasks.waiting
