"""`deblur.apply` and `deblur.restore`: any kind of array in, the same out; what does not fit is said in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pictures import of, picture, psnr

import deblur
from deblur import psf as psfs
from deblur.errors import DeblurError, DtypeError, KernelError, OptionError, ShapeError
from deblur.options import ApplyOptions
from deblur.progress import Step
from deblur.psf import Kernel
from deblur.psf.operator import blur
from deblur.restoration import RESTORERS, Restoration
from deblur.restoration.auto import DEFAULT_METHOD, LARGE_SETTINGS, SMALL_METHOD, choose, configured
from deblur.restoration.tiles import Tile, cut
from deblur.restoring import OVERLAP
from deblur.transfer import TRANSFERS

KERNEL = psfs.make("motion:length=7,angle=30")
SRGB = TRANSFERS["srgb"]


def _colour(height: int = 56, width: int = 64) -> torch.Tensor:
    gray = picture(height, width)
    return torch.cat([gray, 0.9 * gray.flip(-1), 0.5 + 0.4 * gray.flip(-2)]).clamp(0, 1)


def _stored(light: torch.Tensor) -> torch.Tensor:
    """What a camera stores of a scene in light: blurred, with noise, through the curve."""
    frame = blur(light, KERNEL)
    return SRGB.encode(frame + 0.003 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0)))


def _seen(image: torch.Tensor) -> torch.Tensor:
    top, left = ((k - 1 - k // 2) for k in KERNEL.shape)
    return image[
        :, top : image.shape[1] - KERNEL.shape[0] + 1 + top, left : image.shape[2] - KERNEL.shape[1] + 1 + left
    ]


@pytest.fixture(scope="module")
def colour() -> tuple[torch.Tensor, torch.Tensor]:
    """A stored colour frame and its truth, (3, H, W)."""
    light = SRGB.decode(_colour())
    return _stored(light), _seen(SRGB.encode(light))


@pytest.mark.parametrize(
    ("shape", "options", "method"),
    [
        ((1, 64, 64), {}, SMALL_METHOD),
        ((1, 64, 64), {"boundary": "circular"}, SMALL_METHOD),
        ((1, 256, 256), {}, SMALL_METHOD),
        ((2, 128, 256), {}, SMALL_METHOD),
        ((1, 257, 256), {}, DEFAULT_METHOD),
        ((3, 128, 256), {}, DEFAULT_METHOD),
        ((1, 63, 64), {}, DEFAULT_METHOD),
        ((1, 64, 64), {"boundary": "reflect"}, DEFAULT_METHOD),
        ((1, 64, 64), {"confidence": 0.9}, DEFAULT_METHOD),
        ((1, 64, 64), {"quiet": True}, DEFAULT_METHOD),
        ((1, 64, 64), {"settings": {"inner": 6}}, DEFAULT_METHOD),
        ((1, 64, 64), {"method": "tv"}, "tv"),
    ],
)
def test_a_small_frame_gets_the_learned_prior(shape: tuple[int, ...], options: dict[str, Any], method: str) -> None:
    assert choose(shape, Kernel(KERNEL, confidence=options.pop("confidence", None)), **options)[0] == method


def test_the_learned_prior_takes_fewer_levels_in_a_large_frame() -> None:
    light = configured("flow", LARGE_SETTINGS["flow"])
    assert choose((3, 723, 725), Kernel(KERNEL), "flow")[1] == RESTORERS["flow"]
    assert choose((1, 725, 724), Kernel(KERNEL), "flow")[1] == light
    assert light.prior.steps < RESTORERS["flow"].prior.steps
    own = {"prior": {"steps": 30}}
    assert choose((1, 1024, 1024), Kernel(KERNEL), "flow", settings=own)[1] == configured("flow", own)


def test_a_methods_caution_multiplies_the_misfit() -> None:
    """As no confidence in the kernel doubles it."""
    frame = picture(64, 64)
    cautious, doubted = (
        deblur.restore(of(frame), KERNEL, ApplyOptions(method="hyperlaplacian", noise=0.01, **options)).image
        for options in ({"settings": {"caution": 2.0}}, {"confidence": 0.0})
    )
    torch.testing.assert_close(cautious, doubted, rtol=0, atol=0)
    plain = deblur.restore(of(frame), KERNEL, ApplyOptions(method="hyperlaplacian", noise=0.01)).image
    assert not torch.equal(cautious, plain)


@pytest.mark.parametrize("caution", [0.0, -1.0, float("nan")])
def test_no_caution_is_refused(caution: float) -> None:
    with pytest.raises(OptionError, match="expected caution"):
        configured("flow", {"caution": caution})


@pytest.mark.parametrize("side", [63, 64])
def test_auto_restores_as_the_method_for_the_frame_does(side: int) -> None:
    frame = picture(side, side)
    method, _ = choose(tuple(frame.shape), Kernel(KERNEL))
    auto, named = (deblur.restore(of(frame), KERNEL, ApplyOptions(method=name)) for name in ("auto", method))
    assert auto.method == named.method == method
    torch.testing.assert_close(auto.image, named.image, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", ["HW", "HW1", "HW3", "HWA", "HW3A"])
def test_array_in_array_out(dtype: type, shape: str, colour: tuple[torch.Tensor, torch.Tensor]) -> None:
    frame, truth = colour
    channels = 3 if "3" in shape else 1
    white = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    array = np.moveaxis(frame[:channels].numpy(), 0, 2)
    if shape.endswith("A"):
        array = np.concatenate([array, np.full_like(array[..., :1], 0.5)], 2)
    array = (array.clip(0, 1) * white + (0.5 if white > 1 else 0)).astype(dtype)
    array = array[..., 0] if shape == "HW" else array
    restored = deblur.apply(array, KERNEL, method="hyperlaplacian", alpha=shape.endswith("A"))
    assert restored.dtype == array.dtype
    assert restored.shape == array.shape
    planes = restored.reshape(*restored.shape[:2], -1)[..., :channels].astype(np.float64) / white
    gain = psnr(torch.tensor(np.moveaxis(planes, 2, 0)), truth[:channels]) - psnr(frame[:channels], truth[:channels])
    assert gain > 3
    if shape.endswith("A"):
        np.testing.assert_array_equal(restored[..., -1], array[..., -1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_tensor_in_tensor_out(dtype: torch.dtype) -> None:
    frame = (blur(picture(), KERNEL)[0] * (255 if dtype == torch.uint8 else 1)).to(dtype)
    restored = deblur.apply(frame, "motion:length=7,angle=30", method="wiener", transfer="linear")
    assert isinstance(restored, torch.Tensor)
    assert restored.dtype == dtype
    assert restored.shape == frame.shape


@pytest.mark.parametrize(
    ("method", "rounding", "exposure"),
    [
        *((DEFAULT_METHOD, 2e-3, exposure) for exposure in (1e-3, 0.1, 100.0)),
        (SMALL_METHOD, 1 / 255, 100.0),  # the prior's score jumps where a ReLU has its kink
        *(pytest.param(SMALL_METHOD, 1 / 255, exposure, marks=pytest.mark.slow) for exposure in (1e-3, 0.1)),
    ],
)
def test_exposure_changes_nothing_in_light(method: str, rounding: float, exposure: float) -> None:
    frame = blur(picture(), KERNEL)[0].numpy()
    bright = frame * np.float32(exposure)
    plain, scaled = (deblur.apply(x, KERNEL, transfer="linear", method=method) for x in (frame, bright))
    np.testing.assert_allclose(scaled / exposure, plain, atol=rounding, rtol=0)
    assert np.median(np.abs(scaled / exposure - plain)) < 2e-4


def test_restoring_in_light_beats_restoring_stored_values() -> None:
    """On a photograph with highlights, blurred in light as cameras do: the reason for the default."""
    samples = Path(__file__).parent.parent / "samples"
    frame, truth = (cv2.imread(str(samples / f"{name}.png"), cv2.IMREAD_UNCHANGED) for name in ("blurred", "truth"))
    kernel = np.load(samples / "kernel.npy")
    top, left = ((k - 1 - k // 2) for k in kernel.shape)
    seen = torch.tensor(truth[top : top + frame.shape[0], left : left + frame.shape[1]] / 255)
    in_light, as_stored = (
        psnr(torch.tensor(deblur.apply(frame, kernel, method="wiener", transfer=transfer) / 65535), seen)
        for transfer in ("srgb", "linear")
    )
    assert in_light > as_stored + 3


def test_values_beyond_white_are_taken_as_light_and_that_is_said() -> None:
    frame = 50 * blur(picture(), KERNEL)
    default = deblur.restore(of(frame), KERNEL, deblur.ApplyOptions(method="wiener"))
    linear = deblur.restore(of(frame), KERNEL, deblur.ApplyOptions(method="wiener", transfer="linear"))
    torch.testing.assert_close(default.image, linear.image)
    assert "taken as linear light" in default.notes[0]


def test_float_pictures_are_not_clipped() -> None:
    frame = 3 * blur(picture(), KERNEL)[0].numpy() - 0.5
    restored = deblur.apply(frame, KERNEL, method="hyperlaplacian", transfer="linear")
    assert restored.max() > 2
    assert restored.min() < 0


def test_one_kernel_per_channel(colour: tuple[torch.Tensor, torch.Tensor]) -> None:
    frame = np.moveaxis(colour[0].double().numpy(), 0, 2)
    same = deblur.apply(frame, np.stack([KERNEL] * 3))
    np.testing.assert_allclose(same, deblur.apply(frame, KERNEL), atol=1e-6)


def test_saturated_pixels_are_left_out_of_the_data() -> None:
    scene = picture()
    scene[:, 30:34, 20:24] = 4.0  # a light far beyond white
    frame = blur(scene, KERNEL).clamp(max=1)
    masked, believed = (
        deblur.restore(
            of(frame), KERNEL, deblur.ApplyOptions(transfer="linear", saturation=saturation, noise=0.003)
        ).image
        for saturation in (1.0, "none")
    )
    away = (..., slice(12, 40), slice(34, 44))
    assert psnr(masked[away], _seen(scene)[away]) > psnr(believed[away], _seen(scene)[away])


def test_frame_saturated_everywhere_survives() -> None:
    result = deblur.restore(of(torch.ones(1, 30, 30), ceiling=1.0), KERNEL)
    assert bool(torch.isfinite(result.image).all())
    assert "100% of the pixels" in result.notes[0]


def test_transparent_pixels_keep_their_colour_and_do_not_reach_the_others() -> None:
    frame = blur(picture(), KERNEL)
    alpha = torch.ones(frame.shape[-2:])
    alpha[:, 40:44] = 0
    spoilt = torch.where(alpha > 0, frame, 0.9)
    options = deblur.ApplyOptions(method="wiener")
    images = [deblur.restore(of(f, alpha=alpha), KERNEL, options).image for f in (frame, spoilt)]
    torch.testing.assert_close(images[0][:, alpha > 0], images[1][:, alpha > 0])
    assert bool((images[1][:, alpha == 0] == 0.9).all())


@pytest.mark.parametrize("method", [pytest.param("wiener", marks=pytest.mark.slow), "auto"])
def test_tiles_leave_no_seam(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = blur(torch.nn.functional.avg_pool2d(picture(640, 600), 3, stride=1), KERNEL)
    frame = frame + 0.01 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0))
    options = deblur.ApplyOptions(method=method, transfer="linear")
    whole = deblur.restore(of(frame), KERNEL, options).image
    monkeypatch.setattr("deblur.restoring.TILE", 240)
    told: list[Step] = []
    tiled = deblur.restore(of(frame), KERNEL, options, on_step=told.append).image
    rim = 16  # what lies beyond the frame's own border is a guess, and differs
    difference = (tiled - whole).abs()[:, rim:-rim, rim:-rim]
    assert float(difference.max()) < 0.5 / 255
    assert told[-1].index <= told[-1].total
    assert [step.index for step in told] == sorted(step.index for step in told)


@pytest.mark.slow
def test_tiles_leave_no_seam_in_shadows(monkeypatch: pytest.MonkeyPatch) -> None:
    light = SRGB.decode(torch.nn.functional.avg_pool2d(picture(640, 600), 3, stride=1))
    light[:, 100:] *= 0.05  # where the curve's slope is near its largest, 12.9
    kernel = psfs.make("shake:size=13,seed=1")
    frame = blur(light, kernel)
    frame = SRGB.encode(frame + 0.002 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0)))
    options = deblur.ApplyOptions(method="wiener")
    whole = deblur.restore(of(frame), kernel, options).image
    monkeypatch.setattr("deblur.restoring.TILE", 240)
    tiled = deblur.restore(of(frame), kernel, options).image
    rim = 16  # of the frame itself, as above
    assert float((tiled - whole).abs()[:, rim:-rim, rim:-rim].max()) < 1 / 255


def test_tiles_of_large_kernels_are_no_larger_than_the_kernels_need(monkeypatch: pytest.MonkeyPatch) -> None:
    overlaps: list[int] = []

    def seen(frame: tuple[int, int], size: int, overlap: int) -> list[Tile]:
        overlaps.append(overlap)
        return cut(frame, size, overlap)

    monkeypatch.setattr("deblur.restoring.cut", seen)
    for side in (9, 25, 151):
        taps = np.full((side, side), side**-2)
        deblur.restore(of(torch.rand(1, 160, 160)), taps, deblur.ApplyOptions(settings={"limit": 1}))
    assert overlaps == [16 * 9 + OVERLAP, 16 * 25 + OVERLAP, 4 * 151 + OVERLAP]


def test_channels_of_large_pictures_are_restored_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = _stored(_colour())
    clean, frame = frame, frame.clone()
    frame[1, 20:24, 30:34] = 1.0
    kernels = np.stack([KERNEL, KERNEL[::-1], np.ones_like(KERNEL) / KERNEL.size])
    options = deblur.ApplyOptions(method="wiener", settings={"tolerance": 1e-6}, transfer="linear", noise=0.01)
    together = deblur.restore(of(frame, ceiling=1.0), kernels, options).image
    alike = deblur.restore(of(frame, ceiling=1.0), KERNEL, options).image
    assert float((alike[1:] - together[1:]).abs().amin(0).max()) > 0.05  # each by its own kernel
    unspoilt = deblur.restore(of(clean, ceiling=1.0), kernels, options).image
    assert float((unspoilt - together)[1].square().mean().sqrt()) < 0.035  # it would be .06 with the hole believed
    monkeypatch.setattr("deblur.restoring.TILE", 40)  # three channels are too large, one is not
    told: list[Step] = []
    apart = deblur.restore(of(frame, ceiling=1.0), kernels, options, on_step=told.append).image
    assert told[0].total == 3 * configured(options.method, options.settings).limit
    torch.testing.assert_close(apart, together, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("method", "preconditioner", "size", "tiles"),
    [
        ("hyperlaplacian", "auto", (3, 480, 360), 1),
        pytest.param("hyperlaplacian", "auto", (3, 480, 361), 6, marks=pytest.mark.slow),
        pytest.param("hyperlaplacian", "auto", (4, 480, 360), 6, marks=pytest.mark.slow),
        pytest.param("hyperlaplacian", "four-quadrant", (3, 480, 360), 6, marks=pytest.mark.slow),
        ("tv", "circulant", (3, 480, 360), 1),
        pytest.param("rl", "auto", (3, 480, 361), 6, marks=pytest.mark.slow),
        ("rl", "auto", (1, 480, 358), 1),
        pytest.param("flow", "auto", (3, 480, 360), 6, marks=pytest.mark.slow),
    ],
)
def test_three_times_the_pixels_of_a_tile_are_whole_where_the_method_is_lean_or_the_channel_one(
    method: str, preconditioner: str, size: tuple[int, int, int], tiles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deblur.restoring.TILE", 240)
    monkeypatch.setattr("deblur.restoring.REACH", 1)
    told: list[Step] = []
    options = deblur.ApplyOptions(method=method, preconditioner=preconditioner, settings={"limit": 1})
    deblur.restore(of(torch.rand(*size)), KERNEL, options, on_step=told.append)
    assert told[0].seconds > 0
    assert len(told[1:]) == tiles


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixels_may_ask_for_a_gradient_and_get_none(dtype: torch.dtype) -> None:
    frame = blur(picture(), KERNEL).to(dtype)
    options = deblur.ApplyOptions(method="hyperlaplacian")
    expected = deblur.restore(of(frame), KERNEL, options).image
    image = deblur.restore(of(frame.clone().requires_grad_()), KERNEL, options).image
    assert not image.requires_grad
    torch.testing.assert_close(image, expected)


def test_no_tile_outlives_its_blend(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    summed = deblur.restoring._summary

    def summary(records: list[Restoration], *rest: Any) -> Restoration:
        kept.extend(record.image.untyped_storage().nbytes() for record in records)
        return summed(records, *rest)

    monkeypatch.setattr("deblur.restoring._summary", summary)
    monkeypatch.setattr("deblur.restoring.TILE", 170)
    monkeypatch.setattr("deblur.restoring.REACH", 1)
    deblur.restore(of(torch.rand(3, 310, 310)), KERNEL, deblur.ApplyOptions(settings={"limit": 1}))
    assert kept == [0] * 4


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    deblur.restore(of(torch.rand(1, 20, 20)), KERNEL, deblur.ApplyOptions(threads=1))
    assert torch.get_num_threads() == before


def test_strength_smooths() -> None:
    frame = blur(picture(), KERNEL)
    frame = frame + 0.01 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0))
    rough, smooth = (
        deblur.restore(of(frame), KERNEL, deblur.ApplyOptions(strength=strength)).image.diff().abs().mean()
        for strength in (0.5, 4.0)
    )
    assert smooth < rough


def test_record_says_what_was_done() -> None:
    result = deblur.restore(of(torch.rand(1, 24, 24)), KERNEL, deblur.ApplyOptions(noise="2.5/255", method="tv"))
    assert result.method == "tv"
    assert result.sigma == pytest.approx(2.5 / 255)
    assert result.seconds > 0
    assert math.isfinite(result.residual)


@pytest.mark.parametrize("method", [*RESTORERS, "auto"])
def test_every_method_by_name(method: str) -> None:
    kernel = "exponential:decay=1,angle=0" if method == "exact" else KERNEL
    assert deblur.apply(np.full((24, 30), 0.5, np.float32), kernel, method=method).shape == (24, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "winer"}, "unknown method 'winer', did you mean 'wiener'?"),
        ({"noise": 3}, r"expected noise as a fraction of full scale in \[0, 1\), got 3; .* give 3/255"),
        ({"noise": "high"}, "expected noise to be one of auto, got 'high'"),
        ({"noise": None}, "expected noise to be int or float or str, got None"),
        ({"saturation": 250}, "above 0 and below 2, got 250; for 250 of 255 levels give 250/255"),
        ({"strength": 0}, "expected a strength above 0, got 0"),
        ({"threads": "2"}, "expected threads to be int or NoneType, got '2'"),
        ({"threads": 0}, "expected at least 1 thread, got 0"),
        ({"boundary": "mirror"}, "expected boundary to be one of unknown, zero"),
        ({"transfer": "gamma"}, "expected transfer to be one of auto, srgb, linear"),
        ({"preconditioner": "ilu"}, "expected preconditioner to be one of auto, four-quadrant, circulant"),
        ({"device": "tpu"}, "expected device to be one of auto, cpu, cuda"),
        ({"settings": {"wieght": 1}}, "unknown setting of hyperlaplacian 'wieght'"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message) as error:
        deblur.apply(np.zeros((20, 20)), KERNEL, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("array", "kernel", "kind"),
    [
        (np.zeros((20, 20), np.int32), KERNEL, DtypeError),
        (np.zeros((20, 20), bool), KERNEL, DtypeError),
        (np.zeros(20), KERNEL, ShapeError),
        (np.zeros((0, 20)), KERNEL, ShapeError),
        (np.zeros((3, 20, 20)), KERNEL, ShapeError),
        (np.full((20, 20), np.nan), KERNEL, ShapeError),
        (np.zeros((4, 4)), KERNEL, KernelError),
        (np.zeros((20, 20)), np.zeros((3, 3)), KernelError),
        (np.zeros((20, 20)), np.ones((2, 3, 3)), KernelError),
        (np.zeros((20, 20)), "missing.npy", DeblurError),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(array: np.ndarray, kernel: object, kind: type[Exception]) -> None:
    with pytest.raises(kind) as error:
        deblur.apply(array, kernel)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("job", [deblur.restore, deblur.remove_noise, deblur.estimate])
def test_the_jobs_for_pictures_say_so_to_an_array(job: Any) -> None:
    with pytest.raises(DeblurError, match=r"expected a Picture, got (ndarray|float\d*|float64); use deblur\.apply"):
        job(np.zeros((40, 40)), *([KERNEL] if job is deblur.restore else []))


@pytest.mark.parametrize(
    "options",
    [
        {"size": None},
        {"size": 5.5},
        {"model": 5},
        {"parametric": None},
        {"region": (1, 2)},
        {"region": "a"},
        {"settings": 3},
    ],
)
def test_options_of_a_fit_of_the_wrong_kind_are_refused_in_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"expected .* got"):
        deblur.fit(np.zeros((40, 40)), **options)


def test_a_blur_without_a_number_for_its_noise_is_refused() -> None:
    with pytest.raises(OptionError, match=r"expected noise as a number in \[0, 1\), got 'auto'"):
        deblur.blur(np.zeros((40, 40)), KERNEL, noise="auto")  # type: ignore[arg-type]
    assert deblur.blur(np.zeros((40, 40)), KERNEL, noise="2/255").shape == (36, 32)  # type: ignore[arg-type]
