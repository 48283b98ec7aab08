"""One photograph of a session: what is known and asked of it, and the words of the command that restores it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "METHODS", "How", "Options", "Photo", "Refused"]

KINDS = ("blind", "motion", "defocus", "gaussian", "file", "pair")
METHODS = ("auto", "fast", "best")

_CHOICES = {
    "method": METHODS,
    "transfer": ("auto", "srgb", "linear"),
    "boundary": ("unknown", "reflect", "replicate", "zero", "circular"),
}
_RANGES = {"strength": (1e-3, 1e3), "noise": (0.0, 0.99), "saturation": (1e-3, 1.99), "black": (-1e9, 1e9)}
_RANGES["white"] = _RANGES["black"]
_WORDS = {"noise": ("auto",), "saturation": ("auto", "none"), "black": (None,), "white": (None,)}


class Refused(Exception):  # noqa: N818 - it is an answer
    """What was asked cannot be done; the message says why, in one sentence."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class How:
    """How the blur is known: a kind of KINDS, with its numbers."""

    how: str = "blind"
    length: float = 15.0
    angle: float = 0.0
    radius: float = 3.0
    sigma: float = 1.5
    size: int | None = None
    name: str = ""

    @classmethod
    def of(cls, asked: dict[str, Any], before: How) -> How:
        """What was asked, checked.

        Raises:
            Refused: another kind, or a number out of its range.
        """
        kind = asked.get("how")
        if kind not in KINDS:
            raise Refused(f"expected a blur out of {', '.join(KINDS)}")
        numbers = {}
        for name, (low, high) in {
            "length": (1, 500),
            "angle": (-360, 360),
            "radius": (0.1, 200),
            "sigma": (0.1, 100),
        }.items():
            numbers[name] = _number(name, asked.get(name, getattr(before, name)), low, high)
        size = asked.get("size")
        if size is not None and not (isinstance(size, int) and 3 <= size <= 151 and size % 2):
            raise Refused("expected a size that is an odd number from 3 to 151")
        return cls(kind, size=size, name=before.name if kind in ("file", "pair") else "", **numbers)

    @property
    def specification(self) -> str | None:
        """The kernel by name and numbers, where it is one."""
        if self.how == "motion":
            return f"motion:length={self.length:g},angle={self.angle:g}"
        if self.how == "defocus":
            return f"defocus:radius={self.radius:g}"
        return f"gaussian:sigma={self.sigma:g}" if self.how == "gaussian" else None


@dataclass(frozen=True)
class Options:
    """How the photograph is restored, as `deblur apply` takes it."""

    method: str = "auto"
    strength: float = 1.0
    noise: float | str = "auto"
    saturation: float | str = "auto"
    transfer: str = "auto"
    boundary: str = "unknown"
    black: float | None = None
    white: float | None = None

    def changed(self, asked: dict[str, Any]) -> Options:
        """These with some changed.

        Raises:
            Refused: an unknown one, or a value out of its range.
        """
        values = asdict(self)
        for name, value in asked.items():
            if name not in values:
                raise Refused(f"there is no option of that name; known: {', '.join(values)}")
            if name in _CHOICES:
                if value not in _CHOICES[name]:
                    raise Refused(f"expected {name} out of {', '.join(_CHOICES[name])}")
            elif value not in _WORDS.get(name, ()):
                value = _number(name, value, *_RANGES[name])
            values[name] = value
        if values["black"] is not None and values["white"] is not None and values["black"] >= values["white"]:
            raise Refused("expected black below white")
        return Options(**values)

    @property
    def words(self) -> list[str]:
        """The options of the command line that say what differs from the usual."""
        usual, words = Options(), []
        for each in fields(self):
            value = getattr(self, each.name)
            if value != getattr(usual, each.name):
                words += [f"--{each.name}", f"{value:.6g}" if isinstance(value, float) else str(value)]
        return words

    @property
    def python(self) -> dict[str, Any]:
        """The same as keywords of `deblur.apply`."""
        usual = Options()
        return {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != getattr(usual, each.name)
        }


@dataclass
class Photo:
    """A photograph and what became of it.

    Args:
        key: its name in addresses.
        name: what its owner calls it; never a path.
        folder: where its files lie.
        source: the file as it came.
    """

    key: str
    name: str
    folder: Path
    source: Path
    status: str = "waiting"
    stage: str = ""
    share: float = 0.0
    left: float = 0.0
    error: str = ""
    notes: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0
    how: How = field(default_factory=How)
    options: Options = field(default_factory=Options)
    region: tuple[int, int, int, int] | None = None
    kernel: dict[str, Any] | None = None
    view: dict[str, Any] | None = None
    preview: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    times: dict[str, float] = field(default_factory=dict)
    version: int = 0

    @property
    def kernel_file(self) -> Path:
        """The kernel that serves now."""
        return self.folder / "kernel.npy"

    @property
    def sharp_file(self) -> Path:
        """The sharp picture of a pair."""
        return self.folder / "sharp"

    @property
    def output_name(self) -> str:
        """What the restored picture is called."""
        path = Path(self.name)
        return f"{path.stem}.deblurred{path.suffix}"

    @property
    def kernel_words(self) -> list[str]:
        """`--kernel ...` as its owner would type it; nothing where the kernel is found."""
        if self.how.specification is not None:
            return ["--kernel", self.how.specification]
        if self.how.how == "blind" and self.how.size is None:
            return []
        return ["--kernel", self.how.name or f"{Path(self.name).stem}.kernel.npy"]

    @property
    def command(self) -> str:
        """The command that gives the download."""
        return shlex.join(["deblur", "apply", self.name, *self.kernel_words, *self.options.words])

    @property
    def python(self) -> str:
        """The same in Python, as an array."""
        kernel = self.kernel_words[1:]
        given = [repr(self.name), *(repr(each) for each in kernel)]
        given += [f"{name}={value!r}" for name, value in self.options.python.items()]
        return f"import deblur\n\nrestored = deblur.apply({', '.join(given)})"

    def record(self) -> dict[str, Any]:
        """What the page is told of it."""
        base = f"/api/photos/{self.key}"
        kernel = None
        if self.kernel is not None:
            told = {name: self.kernel[name] for name in ("words", "confidence", "sure", "size", "still", "warnings")}
            kernel = {**told, "picture": f"{base}/kernel.png?v={self.version}", "file": f"{base}/kernel.npy"}
        names = (
            "name",
            "width",
            "height",
            "status",
            "stage",
            "share",
            "left",
            "error",
            "notes",
            "times",
            "view",
            "preview",
        )
        return {
            "id": self.key,
            **{name: getattr(self, name) for name in names},
            "how": asdict(self.how),
            "kernel": kernel,
            "region": self.region,
            "options": asdict(self.options),
            "result": self.result,
            "command": self.command,
            "python": self.python,
        }


def _number(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused(f"expected {name} as a number from {low:g} to {high:g}")
    return float(value)
