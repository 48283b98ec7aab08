"""Finding the blur of one photograph: each kind is found, no blur is an answer, one measure ranks them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.signal import fftconvolve
from skimage import data

from deblur import FitOptions, images, psf
from deblur.errors import KernelError
from deblur.finding import candidates, find
from deblur.finding.candidates import Candidate
from deblur.finding.gray import Gray
from deblur.finding.uniformity import NAMED, SHARED, own_share
from deblur.finding.weighing import FEATURES, Weighed, Weighing, table
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.progress import Step
from deblur.psf import Kernel
from deblur.transfer import TRANSFERS

SRGB = TRANSFERS["srgb"]


def _jpeg(kernel: np.ndarray, noise: float = 0.01, quality: int = 92, side: int = 200) -> images.Frame:
    """A part of a photograph blurred in light, with photon noise, as a JPEG."""
    sharp = data.astronaut()[20 : 20 + side + kernel.shape[0] - 1, 60 : 60 + side + kernel.shape[1] - 1] / 255
    light = SRGB.decode(torch.from_numpy(sharp)).numpy()
    seen = np.stack([fftconvolve(light[..., c], kernel, "valid") for c in range(3)], -1)
    generator = np.random.default_rng(0)
    counts = generator.poisson(seen.clip(0) / noise**2) * noise**2
    stored = SRGB.encode(torch.from_numpy(counts.clip(0, 1))).numpy()
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * stored).astype(np.uint8)).save(file, "JPEG", quality=quality)
    (frame,) = images.read_frames(file.getvalue())
    return frame


@pytest.fixture(scope="module")
def without_free() -> object:
    """What is found where no free taps are looked for, which take long."""
    patch = pytest.MonkeyPatch()
    patch.delitem(candidates.KINDS, "free")
    yield
    patch.undo()


@pytest.mark.parametrize(
    ("spec", "near"),
    [
        ("defocus:radius=3", {"radius": (3, 0.15)}),
        ("motion:length=12,angle=40", {"length": (12, 0.8), "angle": (40, 4)}),
    ],
)
def test_a_named_blur_is_found_in_a_photograph(without_free: object, spec: str, near: dict) -> None:
    found = find(_jpeg(psf.make(spec)), FitOptions())
    name, _, rest = found.kernel.source.partition(":")
    numbers = {key: float(value) for key, _, value in (part.partition("=") for part in rest.split(","))}
    assert name == spec.partition(":")[0] == found.method
    for key, (value, within) in near.items():
        assert abs(numbers[key] - value) < within
    assert found.confidence > 0.5


@pytest.mark.parametrize("quality", [92, pytest.param(60, marks=pytest.mark.slow)])
def test_no_blur_is_found_in_a_sharp_photograph(without_free: object, quality: int) -> None:
    found = find(_jpeg(np.ones((1, 1)), quality=quality), FitOptions())
    assert found.kernel.still
    assert found.kernel.shape == (1, 1)


def test_a_blur_by_name_is_looked_for_even_where_there_is_none() -> None:
    found = find(_jpeg(np.ones((1, 1)), side=160), FitOptions(parametric="defocus"))
    assert found.kernel.source.startswith("defocus:")
    assert found.confidence < 0.5


def test_points_are_refused_where_there_are_none() -> None:
    with pytest.raises(KernelError, match="points"):
        find(_jpeg(psf.make("defocus:radius=3"), side=160), FitOptions(parametric="points"))


def test_progress_never_goes_back_and_ends(without_free: object) -> None:
    steps: list[Step] = []
    find(_jpeg(psf.make("gaussian:sigma=2"), side=160), FitOptions(), steps.append)
    told = [step.index for step in steps]
    assert told == sorted(told)
    assert steps[-1].index == steps[-1].total


def test_the_same_kernel_weighs_the_same_whatever_it_is_weighed_beside() -> None:
    gray = Gray.of(_jpeg(psf.make("defocus:radius=3"), side=160), ApplyOptions())
    weigh = Weighing(gray, ApplyOptions())
    one = Candidate(kernel=Kernel(psf.make("defocus:radius=3")), kind="named")
    first = weigh(one).score
    weigh(Candidate(kernel=Kernel(psf.make("shake:size=31,seed=1")), kind="free", free=True))
    assert weigh(one).score == first


def test_the_true_kernel_outweighs_wrong_ones() -> None:
    true = psf.make("shake:size=15,seed=5")
    weigh = Weighing(Gray.of(_jpeg(true), ApplyOptions()), ApplyOptions())
    score = {
        name: weigh(Candidate(kernel=Kernel(taps), kind="free", free=True)).score
        for name, taps in {
            "true": true,
            "turned": true[::-1, ::-1],
            "another": psf.make("shake:size=15,seed=6"),
            "disc": psf.make("defocus:radius=4"),
        }.items()
    }
    assert max(score, key=lambda name: score[name]) == "true"
    assert score["true"] > 0


def test_no_blur_weighs_nothing_and_is_never_better_than_the_file() -> None:
    gray = Gray.of(_jpeg(np.ones((1, 1)), side=160), ApplyOptions())
    none = Weighing(gray, ApplyOptions())(candidates.NONE)
    assert none.score == 0
    assert none.confidence == 0


def test_the_table_has_a_weight_for_whatever_is_shown() -> None:
    assert set(table()["weights"]) == set(FEATURES)
    assert set(table()["misfit"]) == {"offset", *FEATURES}


def test_confidence_rises_with_the_score() -> None:
    one = Candidate(kernel=Kernel(np.ones((3, 3))), kind="named")
    said = [Weighed(candidate=one, score=score).confidence for score in (-2.0, 0.0, 2.0)]
    assert said == sorted(said)


def test_what_coding_left_counts_as_noise_of_the_gray_plane() -> None:
    fine, coarse = (Gray.of(_jpeg(psf.make("defocus:radius=3"), quality=q, side=160), ApplyOptions()) for q in (97, 60))
    assert coarse.plane.sigma > 1.5 * fine.plane.sigma
    assert coarse.bands is not None


def test_noise_that_is_told_is_taken() -> None:
    frame = _jpeg(psf.make("defocus:radius=3"), side=160)
    told = Gray.of(frame, ApplyOptions(noise=0.02))
    assert told.bands is None
    assert told.plane.sigma > 3 * Gray.of(frame, ApplyOptions()).sigma


def test_a_part_of_a_gray_frame_is_measured_as_the_whole() -> None:
    gray = Gray.of(_jpeg(psf.make("defocus:radius=3"), side=160), ApplyOptions())
    part = gray.part((16, 8, 64, 48))
    assert part.plane.values.shape == (48, 64)
    assert part.measured is gray.measured
    assert part.plane.sigma == gray.plane.sigma


def _lens(scene: np.ndarray) -> np.ndarray:
    """Blurred more and more towards the right."""
    from scipy.ndimage import gaussian_filter

    levels = np.linspace(0.8, 4, 9)
    stack = np.stack([gaussian_filter(scene, sigma) for sigma in levels])
    at = np.linspace(0, len(levels) - 1, scene.shape[1])
    lower = np.minimum(at.astype(int), len(levels) - 2)
    share = at - lower
    columns = np.arange(scene.shape[1])
    blended: np.ndarray = (1 - share) * stack[lower, :, columns].T + share * stack[lower + 1, :, columns].T
    return blended


def test_a_blur_that_grows_across_the_frame_is_told_from_an_even_one() -> None:
    scene = data.camera()[:400, :400] / 255
    noise = 0.004 * np.random.default_rng(0).normal(size=scene.shape)
    kernel = psf.make("gaussian:sigma=2.4")
    even = fftconvolve(np.pad(scene, 12, mode="reflect"), kernel, "same")[12:-12, 12:-12]
    grays = [
        Gray.of(Picture(pixels=torch.from_numpy(frame + noise).float()[None]), ApplyOptions(transfer="linear"))
        for frame in (even, _lens(scene))
    ]
    shares = [own_share(gray, kernel) for gray in grays]
    assert None not in shares
    assert shares[0] < NAMED < shares[1]  # type: ignore[operator]


def test_a_frame_with_too_small_parts_says_nothing_of_uniformity() -> None:
    gray = Gray.of(_jpeg(psf.make("defocus:radius=3"), side=160), ApplyOptions())
    assert own_share(gray, psf.make("defocus:radius=3")) is None
    assert SHARED > NAMED
