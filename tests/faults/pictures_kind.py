"""Bad pictures: header fields at their extremes, files cut at every marker, bits turned over by seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from faults.fault import Fault, flipped, spread
from faults.formats import bmp_fields, jpeg_fields, png, png_fields, sample, tiff, tiff_fields, webp_fields

__all__ = ["cut", "fields", "flips"]

_FIELDS = {"png": png_fields, "tif": tiff_fields, "jpg": jpeg_fields, "webp": webp_fields, "bmp": bmp_fields}
_GOOD = {
    "a.png": "PNG",
    "gray.png": "PNG:L",
    "palette.png": "PNG:P",
    "bits.png": "PNG:1",
    "alpha.png": "PNG:RGBA",
    "a.jpg": "JPEG",
    "gray.jpg": "JPEG:L",
    "slow.jpg": "JPEG:progressive",
    "a.tif": "TIFF",
    "gray.tif": "TIFF:L",
    "palette.tif": "TIFF:P",
    "float.tif": "TIFF:F",
    "a.webp": "WEBP",
    "lossy.webp": "WEBP:RGB",
    "a.bmp": "BMP",
    "palette.bmp": "BMP:P",
}
_KERNEL = ("-k", "gaussian:sigma=1", "--method", "wiener")


def _words(name: str, index: int) -> tuple[str, ...]:
    """A command for a picture: mostly `apply`, now and then another that reads one."""
    good = "good.png"
    output = "o.tif"
    commands = (
        ("blur", name, "-k", "gaussian:sigma=1", "-o", output),
        ("apply", good, *_KERNEL, "--mask", name, "-o", output),
        ("apply", good, "-k", name, "--method", "wiener", "-o", output),
        ("apply", good, *_KERNEL, "--truth", name, "-o", output),
        ("evaluate", name, good),
        ("psf", "show", name),
        ("apply", name, *_KERNEL, "--region", "3,4,20,17", "-o", output),
    )
    return commands[index // 4 % len(commands)] if index % 4 == 3 else ("apply", name, *_KERNEL, "-o", output)


def _faults(inputs: Iterator[tuple[str, str, bytes]]) -> Iterator[Fault]:
    for index, (what, name, data) in enumerate(inputs):
        yield Fault(what, _words(name, index), {name: data, "good.png": sample("PNG")})


def fields(seed: int) -> Iterator[Fault]:
    """Header fields."""
    yield from _faults(
        (f"{kind} {what}", f"a.{kind}", data) for kind, all_of in _FIELDS.items() for what, data in all_of()
    )


def cut(seed: int) -> Iterator[Fault]:
    """Files that end too early."""
    yield from _faults(
        (f"{name} cut to {length}", name, sample(mode)[:length])
        for name, mode in _GOOD.items()
        for length in spread(len(sample(mode)), 9)
    )


def flips(seed: int) -> Iterator[Fault]:
    """Bits turned over: in the file as it is, or in a PNG's pixels and header with the checksums made right again."""
    random = Random(seed)
    inputs = []
    for name, mode in _GOOD.items():
        for index in range(12):
            within = random.choice([None, 200])
            data = flipped(sample(mode), random, random.choice([1, 2, 8]), within)
            inputs.append((f"{name} flips {index} seed {seed}", name, data))
    for index in range(30):
        header = (40, 36, random.choice([1, 2, 4, 8, 16]), random.choice([0, 2, 3, 4, 6]), 0, 0, random.choice([0, 1]))
        rows = random.randbytes(random.choice([500, 5000, 12000]))
        inputs.append((f"png of noise {index} seed {seed}", "a.png", png(header, rows)))
        tags = {
            random.choice([256, 257, 258, 259, 262, 277, 278, 279, 284, 317, 338, 339, 322, 323]): (
                random.choice([1, 3, 4, 16]),
                random.choice([0, 1, 1, 1, 3]),
                random.choice([0, 1, 2, 3, 8, 255, 65535, 1 << 20]),
            )
            for _ in range(random.choice([1, 2, 3]))
        }
        inputs.append((f"tiff of odd tags {index} seed {seed}", "a.tif", tiff(tags)))
    yield from _faults(iter(inputs))
