"""Every maker keeps its law: sum 1, the promised moments, the promised direction, the same array every time."""

from __future__ import annotations

import math

import numpy as np
import pytest

import deblur.psf as psf
from deblur.errors import OptionError
from deblur.psf.shape import parameters


def moments(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance in (x, up) coordinates about the origin tap."""
    rows, columns = np.indices(kernel.shape)
    up, x = kernel.shape[0] // 2 - rows, columns - kernel.shape[1] // 2
    points = np.stack([x, up], axis=-1).astype(float)
    mean = np.einsum("ij,ijk->k", kernel, points)
    centred = points - mean
    return mean, np.einsum("ij,ijk,ijl->kl", kernel, centred, centred)


def direction(angle: float) -> np.ndarray:
    return np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])


@pytest.mark.parametrize("name", sorted(psf.SHAPES))
def test_example_of_every_maker_is_a_kernel(name: str) -> None:
    maker = psf.SHAPES[name]
    kernel = psf.make(maker.example)
    assert maker.example.startswith(name + ":")
    assert kernel.dtype == np.float64
    assert kernel.ndim == 2
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-14)
    assert np.array_equal(kernel, psf.make(maker.example))
    assert maker.__doc__ is not None
    for parameter in parameters(maker):
        assert f"{parameter}:" in maker.__doc__


@pytest.mark.parametrize(
    "spec",
    [
        "gaussian:sigma=1.7",
        "gaussian:sigma_x=3,sigma_y=1,angle=20",
        "motion:length=11.3,angle=-70",
        "defocus:radius=3.3",
        "box:width=4.5,height=2",
        "airy:na=0.9,wavelength=600,pixel=100",
        "laplace:decay=2",
        "shake:size=21,seed=5",
        "shake:size=20,seed=5",
    ],
)
def test_centroid_is_the_origin_tap(spec: str) -> None:
    assert moments(psf.make(spec))[0] == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize(
    "spec", ["gaussian:sigma=1.7", "defocus:radius=3.3", "airy:na=0.9,wavelength=600,pixel=100", "box:size=4.2"]
)
def test_round_kernels_keep_the_symmetries_of_the_square(spec: str) -> None:
    kernel = psf.make(spec)
    for other in (kernel[::-1], kernel[:, ::-1], kernel.T):
        np.testing.assert_allclose(kernel, other, atol=1e-15)


@pytest.mark.parametrize("angle", [0, 25, 90, 130])
@pytest.mark.parametrize(("along", "across"), [(2.0, 2.0), (4.0, 1.0)])
def test_gaussian_has_its_covariance(angle: float, along: float, across: float) -> None:
    covariance = moments(psf.gaussian(sigma_x=along, sigma_y=across, angle=angle, size=61))[1]
    u, v = direction(angle), direction(angle + 90)
    expected = along**2 * np.outer(u, u) + across**2 * np.outer(v, v)
    np.testing.assert_allclose(covariance, expected, atol=1e-6)


def test_gaussian_of_one_sigma_is_the_isotropic_one() -> None:
    np.testing.assert_allclose(psf.gaussian(sigma=2), psf.gaussian(sigma_x=2, sigma_y=2, angle=33), atol=1e-15)
    assert psf.gaussian(sigma=2).shape == (17, 17)


@pytest.mark.parametrize("angle", [0, 17, 45, 90, 120, -30, 211])
@pytest.mark.parametrize("length", [0.4, 3, 14.7, 15, 60])
def test_motion_has_the_moments_of_its_segment_plus_the_footprint(length: float, angle: float) -> None:
    mean, covariance = moments(psf.motion(length=length, angle=angle))
    u = direction(angle)
    points = np.linspace(-length / 2, length / 2, 400001)[:, None] * np.round(u, 15)
    fractions = points - np.floor(points)
    footprint = np.diag((fractions * (1 - fractions)).mean(0))  # the bilinear weights have variance f (1 - f)
    assert mean == pytest.approx([0, 0], abs=1e-12)
    np.testing.assert_allclose(covariance, length**2 / 12 * np.outer(u, u) + footprint, atol=2e-4)


def test_motion_rises_to_the_right_at_a_positive_angle_as_one_sees_it() -> None:
    kernel = psf.motion(length=9, angle=45)
    assert kernel[0, -1] == pytest.approx(kernel[-1, 0])
    assert kernel[0, -1] > 0  # row 0 is the top
    assert kernel[0, 0] == kernel[-1, -1] == 0
    assert psf.motion(length=9, angle=90).shape == (11, 1)


def test_motion_of_whole_length_is_flat_with_soft_ends() -> None:
    kernel = psf.motion(length=4)
    np.testing.assert_allclose(kernel, [[0.125, 0.25, 0.25, 0.25, 0.125]], atol=1e-15)
    np.testing.assert_allclose(psf.motion(length=0), [[1.0]])


def test_motion_blur_averages_the_interpolated_picture_along_the_segment() -> None:
    picture = np.random.default_rng(0).random((15, 15))
    kernel = psf.motion(length=7.3, angle=37, size=15)
    blurred = (kernel[::-1, ::-1] * picture).sum()
    t = (np.arange(200000) + 0.5) / 200000 * 7.3 - 3.65
    x, y = 7 - t * direction(37)[0], 7 + t * direction(37)[1]
    i, j = np.floor(y).astype(int), np.floor(x).astype(int)
    f, g = y - i, x - j
    samples = (1 - f) * ((1 - g) * picture[i, j] + g * picture[i, j + 1])
    samples += f * ((1 - g) * picture[i + 1, j] + g * picture[i + 1, j + 1])
    assert blurred == pytest.approx(samples.mean(), abs=1e-8)


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.8, 1.0, 2.5, 4.0, 6.37])
def test_defocus_taps_are_the_areas_of_the_disk_inside_the_pixels(radius: float) -> None:
    kernel = psf.defocus(radius=radius)
    half = kernel.shape[0] // 2
    fine = 400
    centres = (np.arange(kernel.shape[0] * fine) + 0.5) / fine - half - 0.5
    inside = (centres[:, None] ** 2 + centres**2 <= radius**2).astype(float)
    areas = inside.reshape(kernel.shape[0], fine, kernel.shape[1], fine).mean(axis=(1, 3))
    np.testing.assert_allclose(kernel * math.pi * radius**2, areas, atol=2e-3)
    np.testing.assert_allclose(kernel * math.pi * radius**2 <= 1 + 1e-12, True)


def test_defocus_variance_is_that_of_the_disk_and_the_pixel() -> None:
    covariance = moments(psf.defocus(radius=8))[1]
    np.testing.assert_allclose(covariance, (8**2 / 4 + 1 / 12) * np.eye(2), atol=0.02)


def test_box_covers_its_rectangle() -> None:
    np.testing.assert_allclose(psf.box(size=3), np.full((3, 3), 1 / 9))
    np.testing.assert_allclose(psf.box(width=2.5, height=1), np.array([[0.75, 1, 0.75]]) / 2.5)
    np.testing.assert_allclose(psf.box(size=0.4), [[1.0]])
    assert psf.box(width=7, height=3).shape == (3, 7)


def test_shake_follows_its_seed_and_fills_its_size() -> None:
    kernel = psf.shake(size=25, seed=7)
    assert np.array_equal(kernel, psf.make("shake:size=25,seed=7"))
    assert not np.array_equal(kernel, psf.shake(size=25, seed=8))
    rows, columns = np.nonzero(kernel)
    assert max(abs(rows - 12).max(), abs(columns - 12).max()) == 12
    assert np.count_nonzero(kernel) < kernel.size / 2  # a path, not a blob


@pytest.mark.parametrize("seed", range(20))
def test_shake_is_one_connected_path(seed: int) -> None:
    from scipy.ndimage import label

    assert label(psf.shake(size=31, seed=seed) > 0, np.ones((3, 3)))[1] == 1


def test_airy_first_dark_ring_lies_at_0_61_wavelengths_over_the_aperture() -> None:
    na, wavelength, pixel = 0.8, 600.0, 10.0  # the ring is 45.7 pixels away
    kernel = psf.airy(na=na, wavelength=wavelength, pixel=pixel, size=141)
    row = kernel[70, 70:]
    ring = int(np.argmax(np.diff(row) > 0))  # the first minimum
    assert ring == pytest.approx(0.6098 * wavelength / na / pixel, abs=0.6)
    assert row[ring] < 1e-4 * row[0]


def test_airy_pixels_hold_the_integral_of_the_pattern() -> None:
    coarse = psf.airy(na=1.4, wavelength=520, pixel=130, size=9)
    fine = psf.airy(na=1.4, wavelength=520, pixel=10, size=9 * 13)  # 13 fine pixels a coarse one
    np.testing.assert_allclose(coarse, fine.reshape(9, 13, 9, 13).sum(axis=(1, 3)), atol=1e-6)


def test_airy_transmits_nothing_beyond_its_cutoff() -> None:
    na, wavelength, pixel = 1.0, 500.0, 50.0
    kernel = psf.airy(na=na, wavelength=wavelength, pixel=pixel, size=255)
    gain = np.abs(np.fft.fft(kernel.sum(0), 1024))
    frequency = np.fft.fftfreq(1024)  # cycles a pixel
    cutoff = 2 * na / wavelength * pixel
    assert gain[np.abs(frequency) > cutoff * 1.05].max() < 5e-3
    assert gain[np.abs(frequency) < cutoff * 0.5].min() > 0.3


@pytest.mark.parametrize("angle", [*range(-180, 180, 15), 7, 61])
@pytest.mark.parametrize("decay", [0.7, 3, 8])
def test_exponential_is_anchored_at_its_origin_and_stably_invertible(decay: float, angle: float) -> None:
    kernel = psf.exponential(decay=decay, angle=angle)
    form = psf.masked_form(kernel)
    assert form is not None
    assert form.weight[0, 0] == kernel[psf.origin(kernel.shape)] == kernel.max()
    mean = moments(kernel)[0]
    assert mean / np.hypot(*mean) == pytest.approx(direction(angle), abs=1e-3)
    spectrum = np.fft.fft2(form.weight, (256, 256))
    r = math.exp(-1 / decay)
    assert np.abs(spectrum).min() >= 0.9 * (1 - r) / (1 + r) * kernel.max()
    for axis in (0, 1):  # no winding and no zero on the torus: no zero inside, so minimum-phase
        steps = np.angle(np.roll(spectrum, -1, axis) / spectrum)
        assert np.abs(steps).max() < 2
        np.testing.assert_allclose(steps.sum(axis), 0, atol=1e-9)


def test_exponential_falls_to_one_over_e_within_its_decay() -> None:
    kernel = psf.exponential(decay=5)
    origin = kernel.shape[1] // 2
    assert kernel[0, origin + 5] / kernel[0, origin] == pytest.approx(math.exp(-1))
    diagonal = psf.exponential(decay=5, angle=-45)
    down = diagonal.shape[0] // 2
    assert diagonal[down + 3, down + 3] / diagonal[down, down] == pytest.approx(math.exp(-math.hypot(3, 3) / 5))
    steep = psf.exponential(decay=5, angle=90)
    np.testing.assert_allclose(steep[::-1, 0], kernel[0])  # up is the first row
    assert kernel[0, -1] / kernel[0, origin] < 1.3e-4


def test_laplace_is_a_trail_times_its_mirror_image_on_each_axis() -> None:
    kernel = psf.laplace(decay_x=2, decay_y=0.5)
    np.testing.assert_allclose(kernel, np.outer(kernel.sum(1), kernel.sum(0)), atol=1e-15)
    row = psf.laplace(decay_x=2)
    assert row.shape[0] == 1
    assert psf.laplace(decay_y=2).shape[1] == 1
    gain = np.fft.fft(np.fft.ifftshift(row[0]))
    r = math.exp(-1 / 2)
    assert gain.real.min() == pytest.approx(((1 - r) / (1 + r)) ** 2, rel=1e-2)  # |1 - r|^2 / |1 + r|^2, no zero
    assert np.abs(gain.imag).max() < 1e-12


@pytest.mark.parametrize("size", [1, 2, 8, 9, 40])
def test_size_sets_the_rows_and_columns(size: int) -> None:
    for spec in ("gaussian:sigma=3", "airy:na=1,wavelength=500,pixel=100", "exponential:decay=3,angle=200"):
        kernel = psf.make(f"{spec},size={size}")
        assert kernel.shape == (size, size)
        assert kernel.argmax() == size // 2 * size + size // 2


def test_size_pads_what_fits_and_refuses_to_cut() -> None:
    small, large = psf.motion(length=6, angle=10), psf.motion(length=6, angle=10, size=12)
    assert large.shape == (12, 12)
    np.testing.assert_allclose(psf.trim(large), small, atol=1e-16)
    with pytest.raises(OptionError, match=r"motion: expected a size of 9 or more for this kernel, got 8"):
        psf.motion(length=7, size=8)
    with pytest.raises(OptionError, match=r"defocus: expected a size of 7 or more for this kernel, got 5"):
        psf.defocus(radius=3, size=5)


MOTION = "length (0 to 500 px), angle (-360 to 360 degrees, default 0), size (1 to 1025 taps)"
NAMES = "airy, box, defocus, exponential, gaussian, laplace, motion, shake"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("motoin:length=3", f"unknown kernel 'motoin', did you mean 'motion'? Known: {NAMES}, or a file"),
        ("", f"unknown kernel ''; Known: {NAMES}, or a file"),
        ("motion", "motion needs length (0 to 500 px), as in motion:length=15,angle=30"),
        ("airy:na=1", "airy needs wavelength (100 to 20000 nm) and pixel (1 to 100000 nm), as in "
         "airy:na=1.4,wavelength=520,pixel=65"),
        ("motion:lenght=3", f"motion: unknown parameter 'lenght', did you mean 'length'? Known: {MOTION}"),
        ("motion:x=3", f"motion: unknown parameter 'x'; Known: {MOTION}"),
        ("motion:length", "motion: expected parameter=value, got 'length'; as in motion:length=15,angle=30"),
        ("motion:15", "motion: expected parameter=value, got '15'; as in motion:length=15,angle=30"),
        ("motion:length=", "motion: expected parameter=value, got 'length='; as in motion:length=15,angle=30"),
        ("motion:length=long", "motion: expected length as a number (0 to 500 px), got 'long'"),
        ("motion:length=nan", "motion: expected length in 0 to 500 px, got nan"),
        ("motion:length=-1", "motion: expected length in 0 to 500 px, got -1"),
        ("motion:length=3,length=3", "motion: length is given twice; keep one"),
        ("shake:size=5.5", "shake: expected size as a whole number (3 to 1025 taps), got 5.5"),
        ("shake:seed=inf", "shake: expected seed as a whole number (0 to 4.29497e+09), got inf"),
        ("gaussian", "gaussian needs either sigma or both sigma_x and sigma_y, as in gaussian:sigma=2"),
        ("gaussian:sigma=2,sigma_y=2",
         "gaussian needs either sigma or both sigma_x and sigma_y, as in gaussian:sigma=2"),
        ("box:width=2", "box needs either size or both width and height, as in box:size=5"),
        ("laplace", "laplace needs either decay or decay_x and decay_y (or one of them), as in laplace:decay=3"),
        ("airy:na=0.01,wavelength=20000,pixel=100",
         "airy: this kernel would be 104857 taps wide, at most 1025 are made; give size="),
    ],
)  # fmt: skip
def test_bad_text_says_what_to_write(spec: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        psf.make(spec)
    assert str(caught.value) == message
    with pytest.raises(OptionError):
        psf.resolve(spec)


def test_ranges_hold_from_python_too() -> None:
    with pytest.raises(OptionError, match=r"defocus: expected radius in 0\.1 to 200 px, got 0"):
        psf.defocus(radius=0)
    with pytest.raises(OptionError, match=r"defocus: expected radius as a number .*, got '4'"):
        psf.defocus(radius="4")  # type: ignore[arg-type]


def test_text_forgives_spaces_and_case() -> None:
    np.testing.assert_array_equal(psf.make(" Motion: length = 5 , angle=30,"), psf.motion(length=5, angle=30))
