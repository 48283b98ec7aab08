"""What is done to a photograph: open it, find its blur, restore the region, restore the whole."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deblur.web.photo import Photo, Refused
from deblur.worker import Ended, Worker

__all__ = ["SIDE", "Tasks"]

SIDE = 512
"""Pixels a side of the region that is restored while one looks."""


class Tasks:
    """The processes: one that waits with everything loaded, one that works, one that keeps a photograph open.

    Args:
        changed: called when something of a photograph is new.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.waiting: Worker | None = None
        self._working: Worker | None = None
        self._open: tuple[str, Worker] | None = None
        self._asking = asyncio.Lock()
        self._wanted: dict[str, int] = {}
        self._looks: set[asyncio.Task[None]] = set()

    async def end(self) -> None:
        """End all processes."""
        for worker in (self.waiting, self._working, self._open and self._open[1]):
            if worker is not None:
                await worker.cancel()

    async def cancel(self) -> None:
        """End the process that works."""
        if self._working is not None:
            await self._working.cancel()

    async def first(self, photo: Photo) -> None:
        """Look at a photograph, find its blur and restore a region of it."""
        photo.status, photo.stage = "finding", "opening"
        self._changed()
        levels = {"source": str(photo.source), "black": photo.options.black, "white": photo.options.white}
        said = await self._ask(photo, {"do": "open", **levels})
        photo.width, photo.height, photo.notes = said["width"], said["height"], said["notes"]
        view = photo.folder / "view.png"
        size = await self._ask(photo, {"do": "view", **levels, "to": str(view)})
        photo.version += 1
        photo.view = {"url": f"/api/photos/{photo.key}/view.png?v={photo.version}", **size}
        self._changed()
        await self.find(photo)

    async def find(self, photo: Photo) -> None:
        """Find the blur, or take the one that is named; then restore the region."""
        photo.status, photo.stage, photo.result = "finding", "finding the blur", None
        self._changed()
        how, kernel, warnings = photo.how, photo.how.specification, list[str]()
        if how.how == "file":
            kernel = str(photo.folder / f"given{Path(how.name).suffix.lower()}")
        elif kernel is None:
            kernel = str(photo.folder / "found" / "kernel.npy")
            ended = await self._command(photo, _fit(photo, Path(kernel)))
            if ended.status:
                _stopped(photo, ended)
                return
            warnings = [warning for record in ended.records for warning in record.get("warnings", [])]
            photo.notes = list(dict.fromkeys([*photo.notes, *_without_paths(photo, ended.notes)]))
            self._take_region(photo, Path(kernel).with_suffix(".json"))
        drawn = {"to": str(photo.folder / "kernel.png"), "save": str(photo.kernel_file)}
        told = await self._ask(photo, {"do": "kernel", "kernel": kernel, **drawn})
        photo.version += 1
        photo.kernel = {**told, "warnings": [*warnings, *told["notes"]], "path": kernel}
        await self.look(photo)

    def look_soon(self, photo: Photo) -> None:
        """Restore the region again, in a task of its own."""
        task = asyncio.create_task(self._look_safely(photo))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _look_safely(self, photo: Photo) -> None:
        try:
            await self.look(photo)
        except Refused as error:
            photo.status, photo.error = "failed", str(error)
        self._changed()

    async def look(self, photo: Photo) -> None:
        """Restore the region; where another wish for it comes meanwhile, this one is dropped."""
        assert photo.kernel is not None
        wanted = self._wanted[photo.key] = self._wanted.get(photo.key, 0) + 1
        if photo.status != "restoring":
            photo.status, photo.stage = "previewing", "restoring the region"
            self._changed()
        version = f"{photo.version}.{wanted}"
        photo.region = photo.region or _middle(photo)
        asked = {
            "do": "preview",
            "kernel": photo.kernel["path"],
            "region": list(photo.region),
            "options": {name: value for name, value in photo.options.python.items() if name not in ("black", "white")},
            "before": str(photo.folder / "before.png"),
            "after": str(photo.folder / "after.png"),
        }
        said = await self._ask(photo, asked, wanted)
        if said.get("dropped") or wanted != self._wanted[photo.key]:
            return
        base = f"/api/photos/{photo.key}"
        photo.preview = {
            "before": f"{base}/before.png?v={version}",
            "after": f"{base}/after.png?v={version}",
            "region": list(photo.region),
            "seconds": round(said["seconds"], 3),
        }
        share = photo.width * photo.height / max(photo.region[2] * photo.region[3], SIDE**2 // 4)  # not all is by area
        photo.times[photo.options.method] = round(max(3.0, 1.3 * share * said["seconds"]), 1)
        if photo.status != "restoring":
            photo.status, photo.stage, photo.error = "ready", "", ""
        self._changed()

    async def restore(self, photo: Photo) -> None:
        """Restore the whole by the command itself."""
        assert photo.kernel is not None
        photo.status, photo.stage, photo.share = "restoring", "restoring the whole picture", 0.0
        self._changed()
        done = photo.folder / "done"
        shutil.rmtree(done, ignore_errors=True)
        done.mkdir()
        words = ["apply", str(photo.source), "--kernel", photo.kernel["path"], *photo.options.words, "--json", "-o"]
        ended = await self._command(photo, [*words, f"{done}/"])
        if ended.status:
            _stopped(photo, ended)
            return
        (made,) = done.iterdir()
        record = ended.records[-1] if ended.records else {}
        name = Path(photo.output_name).with_suffix(made.suffix).name
        result: dict[str, Any] = {
            "name": name,
            "url": f"/api/photos/{photo.key}/result",
            "done": record.get("done", "restored"),
        }
        shown = {"source": str(made), "black": photo.options.black, "white": photo.options.white}
        result["seconds"] = round(float(record.get("seconds_in_all", record.get("seconds", 0.0))), 1)
        await self._ask(photo, {"do": "view", **shown, "to": str(photo.folder / "result.png")})
        photo.version += 1
        result["view"] = f"/api/photos/{photo.key}/result.png?v={photo.version}"
        photo.result, photo.status, photo.stage, photo.share = result, "done", "", 1.0

    async def _command(self, photo: Photo, words: list[str]) -> Ended:
        """Run a command in the process that waits, and let another one wait after it."""
        worker, self.waiting = self.waiting, None
        self._working = worker or Worker()

        def told(event: dict[str, Any]) -> None:
            if "progress" in event:
                photo.stage, photo.share = event["progress"]["stage"], event["progress"]["share"]
                photo.left = event["progress"]["left"]
                self._changed()

        try:
            return await self._working.run(words, photo.folder, told)
        finally:
            self._working = None
            self.waiting = Worker()
            await self.waiting.start()

    async def _ask(self, photo: Photo, asked: dict[str, Any], wanted: int | None = None) -> dict[str, Any]:
        """Ask the process that keeps this photograph open; what is no longer wanted is not waited for."""
        if wanted is not None and self._asking.locked() and self._open is not None:
            await self._open[1].send({"do": "drop"})
        async with self._asking:
            if wanted is not None and wanted != self._wanted[photo.key]:
                return {"dropped": True}
            key = photo.key if asked["do"] == "preview" else None
            for _ in range(2):
                if self._open is None or self._open[1].process is None:
                    worker = Worker("deblur.web.preview")
                    await worker.start()
                    self._open = "", worker
                opened, worker = self._open
                if key is not None and opened != key:
                    levels = {"black": photo.options.black, "white": photo.options.white}
                    await worker.send({"do": "open", "source": str(photo.source), **levels})
                    await worker.answer()
                    self._open = key, worker
                await worker.send(asked)
                said = await worker.answer()
                if said is not None:
                    break
                self._open = None  # it died; once more in a new one
            else:
                raise Refused("the process that restores ended; there may be too little memory for this picture")
        if asked["do"] == "open":
            self._open = photo.key, worker
        if "error" in said:
            raise Refused(_without_paths(photo, [said["error"]])[0])
        return said

    def _take_region(self, photo: Photo, sidecar: Path | None) -> None:
        """The region that the estimator chose, at most SIDE a side."""
        if photo.region is not None:
            return
        photo.region = _middle(photo)
        if sidecar is not None and sidecar.exists():
            found = json.loads(sidecar.read_text()).get("region")
            if found:
                x, y, width, height = found
                photo.region = _around(photo, x + width // 2, y + height // 2)


def _stopped(photo: Photo, ended: Ended) -> None:
    if ended.cancelled:
        photo.status = "ready" if photo.preview is not None else "stopped"
        return
    photo.status, photo.error = "failed", _without_paths(photo, [ended.error])[0]


def _without_paths(photo: Photo, lines: list[str]) -> list[str]:
    """What was said, with the photograph's own name in place of where it lies here."""
    names = {str(photo.source): photo.name, str(photo.sharp_file): "the sharp picture", f"{photo.folder}/": ""}
    for path, name in names.items():
        lines = [line.replace(path, name) for line in lines]
    return lines


def _middle(photo: Photo) -> tuple[int, int, int, int]:
    return _around(photo, photo.width // 2, photo.height // 2)


def _around(photo: Photo, x: int, y: int) -> tuple[int, int, int, int]:
    width, height = min(SIDE, photo.width), min(SIDE, photo.height)
    left, top = (
        max(0, min(at - side // 2, most - side))
        for at, side, most in ((x, width, photo.width), (y, height, photo.height))
    )
    return left, top, width, height


def _fit(photo: Photo, made: Path) -> list[str]:
    """The words that find the blur."""
    shutil.rmtree(made.parent, ignore_errors=True)
    made.parent.mkdir()
    words = ["fit", str(photo.source), "-o", str(made), "--json"]
    words += ["--sharp", str(photo.sharp_file)] if photo.how.how == "pair" else []
    return words + (["--size", str(photo.how.size)] if photo.how.size is not None else [])
