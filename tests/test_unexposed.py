"""What was not exposed is recognised, whatever its form and how the picture was stored, and no dark scene is."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import deblur
from deblur.images import encode, read_frames
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.unexposed import unexposed

SIDE = 160
SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("*.png"))


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """A blurred photograph, (160, 160, 3) in [0, 1], with the noise of a camera."""
    blurred = deblur.blur(data.astronaut()[20:186, 130:296] / 255, "defocus:radius=3", noise=0.003)
    return blurred[:SIDE, :SIDE]


def _barred(frame: np.ndarray) -> np.ndarray:
    return np.pad(frame, ((20, 32), (0, 0), (0, 0)))


def _turned(frame: np.ndarray) -> np.ndarray:
    channels = [Image.fromarray(frame[..., c].astype(np.float32)).rotate(9, Image.BILINEAR) for c in range(3)]
    return np.clip(np.dstack([np.asarray(channel) for channel in channels]), 0, 1)


def _round(frame: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return frame * (np.hypot(y, x) < 70)[..., None]


def _shifted(frame: np.ndarray) -> np.ndarray:
    """Two pictures on one canvas, which leave two of its corners empty."""
    canvas = np.zeros((SIDE, SIDE), bool)
    canvas[:-30, :-40] = canvas[30:, 40:] = True
    return frame * canvas[..., None]


FRAMED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "bars": (_barred, "black bars of 20 rows at the top and 32 rows at the bottom"),
    "turned": (_turned, "black corners"),
    "round": (_round, r"all outside a circle of 1(39|40|41) pixels across"),
    "shifted": (_shifted, "black corners"),
}


def _read(array: np.ndarray, **how: object) -> Picture:
    file = io.BytesIO()
    Image.fromarray((255 * array).round().astype(np.uint8)).save(file, **how)  # type: ignore[arg-type]
    return read_frames(file.getvalue())[0]


@pytest.mark.parametrize("kind", FRAMED)
@pytest.mark.parametrize("how", [{"format": "PNG"}, {"format": "JPEG", "quality": 90}], ids=["png", "jpeg"])
def test_what_was_not_exposed_is_found_and_nothing_else(kind: str, how: dict[str, object], frame: np.ndarray) -> None:
    put, _ = FRAMED[kind]
    exposed = put(np.ones_like(frame))[..., 0] > 0
    found = unexposed(_read(put(frame), **how))
    assert found is not None
    where = found.where[0].numpy()
    assert (where & ~exposed).sum() > 0.97 * (~exposed).sum()
    assert (where & exposed).sum() < 0.03 * exposed.sum()


@pytest.mark.parametrize("kind", FRAMED)
def test_it_is_named(kind: str, frame: np.ndarray) -> None:
    put, words = FRAMED[kind]
    found = unexposed(_read(put(frame), format="PNG"))
    assert found is not None
    assert re.fullmatch(words, found.words), found.words


def test_bars_on_all_sides_are_named_by_their_depths(frame: np.ndarray) -> None:
    found = unexposed(_read(np.pad(frame, ((1, 0), (12, 12), (0, 0))), format="PNG"))
    assert found is not None
    assert found.words == "black bars of 1 row at the top and 12 columns at the left and right"


def _night(frame: np.ndarray) -> np.ndarray:
    """Stars and the edge of a hill, over a sky of zeros."""
    sky = np.zeros((SIDE, SIDE))
    sky[np.random.default_rng(0).integers(0, SIDE, (40, 2)).T.tolist()[0], 30:34] = 0.8
    sky[120:] = 0.3
    blurred = deblur.blur(sky, "gaussian:sigma=1.5", boundary="reflect")
    return np.repeat(np.floor(blurred * 255)[..., None] / 255, 3, 2)


DARK: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a picture that fills its frame": lambda frame: frame,
    "crushed shadows": lambda frame: np.clip(1.6 * frame - 0.6, 0, 1),
    "a dark picture": lambda frame: 0.15 * frame.clip(0, 1) ** 1.5,
    "a black frame": np.zeros_like,
    "a night sky": _night,
    "a clipped white sky": lambda frame: np.where(np.mgrid[:SIDE, :SIDE][0][..., None] < 40, 1.0, frame),
    "bars that were blurred with the scene": lambda frame: deblur.blur(_barred(frame), "gaussian:sigma=2"),
    "a lit disk, out of focus": lambda frame: deblur.blur(
        0.8 * (_round(np.ones_like(frame)) > 0), "gaussian:sigma=2", boundary="zero"
    ),
}


@pytest.mark.parametrize("kind", DARK)
@pytest.mark.parametrize("how", [{"format": "PNG"}, {"format": "JPEG", "quality": 90}], ids=["png", "jpeg"])
def test_dark_scene_is_scene(kind: str, how: dict[str, object], frame: np.ndarray) -> None:
    found = unexposed(_read(DARK[kind](frame), **how))
    assert found is None, found.words


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_nothing_is_found_in_the_samples(path: Path) -> None:
    assert unexposed(read_frames(path)[0]) is None


@pytest.mark.parametrize("kind", FRAMED)
def test_it_stays_as_it_was_and_no_light_comes_from_it(kind: str, frame: np.ndarray) -> None:
    put, _ = FRAMED[kind]
    picture = _read(put(frame), format="PNG")
    found = unexposed(picture)
    assert found is not None
    options = ApplyOptions(method="wiener", noise=0.003)
    auto = deblur.restore(picture, "defocus:radius=3", options).image
    where = found.where.expand_as(auto)
    assert torch.equal(auto[where], picture.pixels[where])
    named = dataclasses.replace(options, mask=(~found.where[0]).numpy())
    torch.testing.assert_close(auto[~where], deblur.restore(picture, "defocus:radius=3", named).image[~where])
    plain = deblur.restore(picture, "defocus:radius=3", dataclasses.replace(options, mask="none")).image
    assert not torch.allclose(auto[~where], plain[~where], atol=0.05)


def test_a_region_sees_what_the_whole_frame_shows(frame: np.ndarray) -> None:
    whole = _read(_barred(frame), format="PNG")
    part = whole.window(slice(0, 60), slice(30, 130))  # no bar by itself: its other end is picture
    options = ApplyOptions(method="wiener", noise=0.003)
    image = deblur.restore(part, "defocus:radius=3", options, whole=whole).image
    full = deblur.restore(whole, "defocus:radius=3", options).image[:, :60, 30:130]
    assert float((image - full)[:, :40, 20:-20].abs().mean()) < 0.01
    assert torch.equal(image[:, :20], part.pixels[:, :20])


def test_a_jpeg_stays_recognised_after_it_was_restored(frame: np.ndarray) -> None:
    picture = _read(_barred(frame), format="JPEG", quality=92)
    result = deblur.restore(picture, "defocus:radius=3", ApplyOptions(method="wiener"))
    (again,) = read_frames(encode([dataclasses.replace(picture, pixels=result.image)], ".jpg"))  # type: ignore[list-item]
    assert unexposed(again) is not None
