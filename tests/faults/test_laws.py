"""Laws of `apply` over random settings: what holds for every shape, dtype, kernel, method and boundary."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

import deblur
from deblur import images, psf
from deblur.metrics import psnr

KERNELS = ("gaussian:sigma=1.2", "motion:length=6,angle=30", "defocus:radius=2", "box:size=3")
METHODS = ("auto", "wiener", "tv", "hyperlaplacian", "rl", "fast")
BOUNDARIES = ("unknown", "zero", "reflect", "replicate", "circular")
DTYPES = ("uint8", "uint16", "float32", "float64")


@dataclass(frozen=True)
class Case:
    """A sharp scene, and how it is blurred and restored."""

    seed: int
    size: tuple[int, int]
    channels: int
    kernel: str
    options: dict[str, Any]

    @property
    def scene(self) -> Any:
        """(H, W, C), 0.1 to 0.8."""
        random, (height, width) = np.random.default_rng(self.seed), self.size
        planes = [gaussian_filter(random.random((height, width)), 1.0) for _ in range(self.channels)]
        scene = np.stack(planes, 2)
        scene = 0.1 + 0.7 * (scene - scene.min()) / (scene.max() - scene.min())
        scene[height // 3 : height // 2, width // 4 : width // 2] = 0.75
        return scene.astype(np.float32)

    def blurred(self, noise: float = 0.003) -> Any:
        return deblur.blur(self.scene, self.kernel, noise=noise, seed=1, transfer="linear")

    def shown(self, frame: Any) -> Any:
        """The part of the scene that the frame shows."""
        top, left = ((a - b) // 2 for a, b in zip(self.size, frame.shape[:2], strict=True))
        return self.scene[top : top + frame.shape[0], left : left + frame.shape[1]]

    def restored(self, image: Any, **others: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return deblur.apply(image, self.kernel, threads=1, **{**self.options, **others})


@st.composite
def cases(draw: Any, channels: tuple[int, ...] = (1, 2, 3, 4, 5), boundaries: tuple[str, ...] = BOUNDARIES) -> Case:
    size = draw(st.integers(28, 44)), draw(st.integers(28, 44))
    options = {
        "method": draw(st.sampled_from(METHODS)),
        "boundary": draw(st.sampled_from(boundaries)),
        "transfer": draw(st.sampled_from(("srgb", "linear"))),
        "trust": draw(st.sampled_from(("auto", "none"))),
        "saturation": draw(st.sampled_from(("auto", "none"))),
    }
    return Case(
        draw(st.integers(0, 999)), size, draw(st.sampled_from(channels)), draw(st.sampled_from(KERNELS)), options
    )


def law(few: int, many: int, **strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """A test of a few examples, always the same, and a slow one of many."""

    def decorate(test: Callable[..., None]) -> Any:
        @pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.slow)])
        def run(examples: int) -> None:
            bounded = settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            )
            bounded(given(**strategies)(test))()

        run.__name__ = test.__name__
        return run

    return decorate


def stored(scene: Any, dtype: str) -> Any:
    """Values of 0 to 1 in a sample type."""
    if np.dtype(dtype).kind == "f":
        return scene.astype(dtype)
    return np.rint(scene * np.iinfo(dtype).max).astype(dtype)


@law(20, 150, case=cases(), dtype=st.sampled_from(DTYPES), alpha=st.booleans(), plane=st.booleans())
def test_shape_dtype_and_alpha_are_kept(case: Case, dtype: str, alpha: bool, plane: bool) -> None:
    frame = stored(case.blurred(), dtype)
    frame = frame[..., 0] if plane else frame
    alpha = alpha and not plane
    if alpha:
        opacity = np.full((*frame.shape[:2], 1), frame.max())
        opacity[:5, :7] = 0
        frame = np.concatenate([frame, opacity], axis=2)
    kept = frame.copy()
    result = case.restored(frame, alpha=alpha)
    assert np.array_equal(frame, kept)
    assert (result.shape, result.dtype) == (frame.shape, frame.dtype)
    assert np.isfinite(result.astype(np.float64)).all()
    if alpha:
        assert np.array_equal(result[..., -1], frame[..., -1])


@law(15, 100, case=cases(channels=(1, 3), boundaries=("unknown", "reflect", "replicate")))
def test_brightness_is_kept(case: Case) -> None:
    frame = case.blurred(noise=0)
    result = case.restored(frame, noise=0.003, transfer="linear")
    inside = (slice(4, -4), slice(4, -4))
    change = abs(float(result[inside].mean()) - float(case.shown(frame)[inside].mean()))
    assert change < 0.02


@law(15, 100, case=cases(channels=(1,), boundaries=("unknown",)), row=st.floats(-0.5, 0.5), column=st.floats(-0.5, 0.5))
def test_nothing_moves(case: Case, row: float, column: float) -> None:
    rows, columns = np.mgrid[:45, :45].astype(np.float64)
    at = (22 + row, 22 + column)
    spot = np.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 8)
    scene = 0.1 + 0.6 * spot[..., None].astype(np.float32)
    frame = deblur.blur(scene, case.kernel, transfer="linear", boundary="replicate")
    result = case.restored(frame, noise=0.002, transfer="linear", boundary="unknown")[..., 0] - 0.1
    light = np.clip(result, 0.02, None) - 0.02
    assert abs((light * rows).sum() / light.sum() - at[0]) < 0.15
    assert abs((light * columns).sum() / light.sum() - at[1]) < 0.15


@law(20, 150, case=cases(channels=(1, 3), boundaries=("unknown",)))
def test_the_true_kernel_makes_nothing_worse(case: Case) -> None:
    frame = case.blurred()
    result = case.restored(frame, noise=0.003, transfer="linear")
    scenes = (case.shown(frame), frame, result)
    truth, before, after = (torch.from_numpy(np.moveaxis(each, 2, 0).copy()) for each in scenes)
    assert psnr(after, truth) > psnr(before, truth) - 0.05


@law(12, 80, case=cases(channels=(1, 3)), dtype=st.sampled_from(("uint8", "uint16")))
def test_an_array_a_tensor_and_a_lossless_file_are_restored_alike(case: Case, dtype: str) -> None:
    frame = stored(case.blurred(), dtype)
    frame = frame[..., 0] if frame.shape[2] == 1 else frame
    tensor = torch.from_numpy(frame if frame.ndim == 2 else np.ascontiguousarray(np.moveaxis(frame, 2, 0)))
    result = case.restored(frame)
    moved = case.restored(tensor).numpy()
    assert np.array_equal(result, moved if frame.ndim == 2 else np.moveaxis(moved, 0, 2))
    with images_folder() as folder:
        path = folder / "a.png"
        scale = float(np.iinfo(dtype).max)
        pixels = tensor if frame.ndim == 3 else tensor[None]
        made = images.Frame(pixels=pixels.float() / scale, dtype=dtype, white=scale)  # type: ignore[arg-type]
        images.write_frames(path, [made])
        assert np.array_equal(case.restored(str(path)), result)


@law(8, 40, case=cases(channels=(1, 3)))
def test_a_jpeg_by_its_name_and_as_a_picture_is_restored_alike(case: Case) -> None:
    frame = stored(case.blurred(), "uint8")
    file = io.BytesIO()
    Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame).save(file, "JPEG", quality=90)
    with images_folder() as folder:
        path = folder / "a.jpg"
        path.write_bytes(file.getvalue())
        (picture,) = images.read_frames(path)
        by_name, as_picture = case.restored(str(path)), case.restored(picture)
        pixels = as_picture.pixels.numpy()
        again = np.rint(np.clip(pixels, 0, 1) * 255)
        planes = by_name[None] if by_name.ndim == 2 else np.moveaxis(by_name, 2, 0)
        assert np.abs(again - planes).max() <= 1  # one of them is dithered


def test_a_kernel_of_one_tap_changes_nothing() -> None:
    for dtype in DTYPES:
        frame = stored(np.random.default_rng(0).random((20, 30, 3)), dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.array_equal(deblur.apply(frame, psf.Kernel([[1.0]])), frame)


def images_folder() -> Any:
    """A temporary folder as a path."""
    import contextlib
    import tempfile

    @contextlib.contextmanager
    def made() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)

    return made()
