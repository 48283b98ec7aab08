"""The blur of a frame as a linear operator, its adjoint, and what lies outside the frame.

The unknown of a restoration, the *scene*, is what the camera looked at; the *frame* is what it stored. The blur is

    y = M C E x

with E what is assumed outside the frame (the scene's values on a *grid* large enough that nothing wraps around into
the frame), C the convolution with the kernel on that grid (circular, by FFT) and M the cut to the frame. For the
boundaries `unknown` and `circular` E is the identity: the scene *is* the grid, larger than the frame in the first
case (everything that the frame can see is estimated), equal to it in the second. For `zero`, `reflect` and
`replicate` the scene is the frame, and E fills the rest of the grid from it.

The origin of a kernel of shape (kh, kw) is its tap (kh // 2, kw // 2), so that a scene pixel p shows up around frame
pixel p.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.fft import irfft2, rfft2

from deblur.errors import KernelError, OptionError, ShapeError
from deblur.fourier import fast_length

__all__ = ["BOUNDARIES", "Blur", "blur", "each_channel", "of_channel", "transfer_function"]

SPARE = (32, 128)
"""Least and most pixels of the grid that nothing in the frame sees, between what lies beyond opposite borders of an
unknown scene: an eighth of the frame, within these. A restoration rings far where a kernel's spectrum is near zero."""

BOUNDARIES = ("unknown", "zero", "reflect", "replicate", "circular")


def each_channel(image: Tensor) -> list[slice]:
    """The channels of an image (C, H, W), one after the other, as slices that keep the dimension."""
    return [slice(index, index + 1) for index in range(len(image))]


def of_channel(planes: Tensor, channel: slice) -> Tensor:
    """What planes (C, H, W), or (1, H, W) for all channels, hold for one channel, (1, H, W); a view."""
    return planes if len(planes) == 1 else planes[channel]


def transfer_function(taps: Tensor, grid: tuple[int, int], origin: tuple[int, int]) -> Tensor:
    """Half spectrum (rfft2) of taps (..., kh, kw) on a circular grid, with the tap `origin` at the grid's origin.

    Taps that do not fit the grid wrap around, as a circular convolution has it.

    Example:
        >>> transfer_function(torch.ones(1, 1), (4, 4), (0, 0)).shape
        torch.Size([4, 3])
    """
    kh, kw = taps.shape[-2:]
    placed = taps.new_zeros(*taps.shape[:-2], *grid)
    rows = (torch.arange(kh, device=taps.device) - origin[0]) % grid[0]
    columns = (torch.arange(kw, device=taps.device) - origin[1]) % grid[1]
    flat = (rows[:, None] * grid[1] + columns).reshape(-1)
    placed.view(*taps.shape[:-2], -1).index_add_(-1, flat, taps.reshape(*taps.shape[:-2], -1))
    spectrum: Tensor = rfft2(placed)
    return spectrum


class Blur:
    """y = M C E x for one kernel and one size of frame.

    Args:
        kernel: (kh, kw), or (C, kh, kw) for one kernel per channel; any real numbers.
        frame: (H, W) of the blurred frame.
        boundary: what the scene is outside the frame: `unknown` (nothing is assumed, the scene is larger than the
            frame), `zero`, `reflect` (about the border pixel's outer edge), `replicate` or `circular`.
        dtype, device: of the computation.

    Raises:
        KernelError: the kernel is larger than the frame.
        OptionError: an unknown boundary.

    Example:
        >>> operator = Blur(np.full((3, 3), 1 / 9), (8, 10))
        >>> operator(operator.extend(torch.ones(1, 8, 10))).shape
        torch.Size([1, 8, 10])
    """

    def __init__(
        self,
        kernel: npt.NDArray[np.floating] | Tensor,
        frame: tuple[int, int],
        boundary: str = "unknown",
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if boundary not in BOUNDARIES:
            raise OptionError(f"expected a boundary out of {', '.join(BOUNDARIES)}, got {boundary!r}")
        taps = _tensor(kernel)
        self.taps = (taps if taps.ndim == 3 else taps[None]).to(dtype=dtype, device=device)
        self.frame, self.boundary = frame, boundary
        kh, kw = self.taps.shape[-2:]
        if kh > frame[0] or kw > frame[1]:
            raise KernelError(
                f"expected a kernel no larger than the frame of {frame[0]} x {frame[1]} pixels, "
                f"got {kh} x {kw}; crop the kernel or take a larger picture"
            )
        self.origin = (kh // 2, kw // 2)
        # Frame pixel p reads the scene from p - (k - 1 - k // 2) to p + k // 2.
        self.offset = (0, 0) if boundary == "circular" else (kh - 1 - kh // 2, kw - 1 - kw // 2)
        # Nothing needs the spare pixels, but they keep a regulariser from tying opposite borders together.
        spare = [_spare(side) if boundary == "unknown" else 0 for side in frame]
        grown = fast_length(frame[0] + kh - 1 + spare[0]), fast_length(frame[1] + kw - 1 + spare[1])
        self.grid = frame if boundary == "circular" else grown
        self.free = boundary in ("unknown", "circular")
        self.scene = self.grid if self.free else frame

    @cached_property
    def spectrum(self) -> Tensor:
        """Half spectrum of the kernel on the grid, (1 or C, grid[0], grid[1] // 2 + 1)."""
        return transfer_function(self.taps, self.grid, self.origin)

    @cached_property
    def _sources(self) -> tuple[Tensor, Tensor]:
        """For every row and column of the grid, the frame row and column that E takes (-1: zero)."""
        kind = "replicate" if self.free else self.boundary
        lower, upper = (k // 2 for k in self.taps.shape[-2:]), self.grid
        return tuple(  # type: ignore[return-value]
            torch.as_tensor(_source(g, n, o, after, kind), device=self.taps.device)
            for g, n, o, after in zip(upper, self.frame, self.offset, lower, strict=True)
        )

    def _fill(self, image: Tensor) -> Tensor:
        rows, columns = self._sources
        grown = image[..., rows.clamp_min(0), :][..., columns.clamp_min(0)]
        return grown * ((rows >= 0)[:, None] & (columns >= 0)) if self.boundary == "zero" else grown

    def _fill_adjoint(self, grown: Tensor) -> Tensor:
        rows, columns = self._sources
        if self.boundary == "zero":
            return self.visible(grown)
        folded = grown.new_zeros(*grown.shape[:-2], self.frame[0], grown.shape[-1]).index_add_(-2, rows, grown)
        return folded.new_zeros(*folded.shape[:-1], self.frame[1]).index_add_(-1, columns, folded)

    def to_grid(self, scene: Tensor) -> Tensor:
        """E: the scene's values on the whole grid."""
        return scene if self.free else self._fill(scene)

    def from_grid(self, grown: Tensor) -> Tensor:
        """The adjoint of E."""
        return grown if self.free else self._fill_adjoint(grown)

    def unfold(self, scene: Tensor) -> Tensor:
        """The scene on a circular grid for priors, which are not to tie opposite borders together.

        Where the scene is the frame and goes on as itself it is mirrored, (C, 2 H, 2 W): no difference is seen at its
        borders. On the grid it would meet itself there, and what no pixel of the frame sees, as an off-centre kernel
        leaves, would be drawn to the other side.
        """
        if not self._mirrored:
            return self.to_grid(scene)
        tall = torch.cat([scene, scene.flip(-2)], -2)
        return torch.cat([tall, tall.flip(-1)], -1)

    def fold(self, grown: Tensor) -> Tensor:
        """The adjoint of `unfold`, and of a mirrored scene the mean of its four images."""
        if not self._mirrored:
            return self.from_grid(grown)
        (height, width), quarter = self.frame, grown / 4
        tall = quarter[..., :width] + quarter[..., width:].flip(-1)
        return tall[..., :height, :] + tall[..., height:, :].flip(-2)

    @property
    def _mirrored(self) -> bool:
        return self.boundary in ("reflect", "replicate")

    @property
    def period(self) -> tuple[int, int]:
        """The size of the grid that `unfold` makes."""
        return (2 * self.frame[0], 2 * self.frame[1]) if self._mirrored else self.grid

    def visible(self, grown: Tensor) -> Tensor:
        """M: the part of a grid that the frame shows, (..., H, W)."""
        (top, left), (height, width) = self.offset, self.frame
        return grown[..., top : top + height, left : left + width]

    def embed(self, frame: Tensor) -> Tensor:
        """The adjoint of M: the frame on a grid of zeros."""
        grown = frame.new_zeros(*frame.shape[:-2], *self.grid)
        self.visible(grown).copy_(frame)
        return grown

    def hide(self, grown: Tensor) -> Tensor:
        """M^T M in place: zero what the frame does not show of a grid."""
        (top, left), (height, width) = self.offset, self.frame
        for rest in (grown[..., :top, :], grown[..., top + height :, :], grown[..., :left], grown[..., left + width :]):
            rest.zero_()
        return grown

    def __call__(self, scene: Tensor) -> Tensor:
        """Blur a scene (C, *self.scene) into a frame (C, H, W)."""
        self._check(scene, self.scene)
        if scene.ndim != 3 or len(scene) == 1:
            return self._blurred(scene, self.spectrum)
        blurred = scene.new_empty(len(scene), *self.frame)
        for channel in each_channel(scene):  # one after the other: their Fourier transforms take the memory
            blurred[channel] = self._blurred(scene[channel], of_channel(self.spectrum, channel))
        return blurred

    def _blurred(self, scene: Tensor, spectrum: Tensor) -> Tensor:
        transformed = rfft2(self.to_grid(scene))
        spread = transformed.mul_(spectrum) if transformed.shape == spectrum.shape else transformed * spectrum
        return self.visible(irfft2(spread, s=self.grid))

    def adjoint(self, frame: Tensor) -> Tensor:
        """Apply the adjoint: a frame (C, H, W) to a scene (C, *self.scene), one channel after the other."""
        self._check(frame, self.frame)
        scene = frame.new_empty(*frame.shape[:-2], *self.scene)
        for channel in each_channel(frame):
            spectrum = rfft2(self.embed(frame[channel])).mul_(of_channel(self.spectrum, channel).conj())
            scene[channel] = self.from_grid(irfft2(spectrum, s=self.grid))
        return scene

    def extend(self, frame: Tensor) -> Tensor:
        """A first guess of the scene: the frame, with its border repeated where the scene is larger."""
        return self._fill(frame) if self.boundary == "unknown" else frame.clone()

    def crop(self, scene: Tensor) -> Tensor:
        """The part of a scene that the frame shows: restored pixel p is the scene at blurred pixel p."""
        return self.visible(scene) if self.boundary == "unknown" else scene

    @staticmethod
    def _check(image: Tensor, size: tuple[int, int]) -> None:
        if tuple(image.shape[-2:]) != tuple(size):
            raise ShapeError(f"expected an image of {size[0]} x {size[1]} pixels, got {tuple(image.shape[-2:])}")


def _tensor(kernel: npt.NDArray[np.floating] | Tensor) -> Tensor:
    """The taps in float64; of an array a copy, since a kernel's may not be written to."""
    if isinstance(kernel, Tensor):
        return kernel.to(torch.float64)
    return torch.from_numpy(np.array(kernel, dtype=np.float64))


def _spare(side: int) -> int:
    least, most = SPARE
    return min(max(side // 8, least), most)


def _source(grid: int, size: int, offset: int, after: int, kind: str) -> npt.NDArray[np.int64]:
    """The frame index that each index of a grid axis takes; its spare part lies after the frame."""
    position = np.arange(grid) - offset
    spare = position >= size + after  # nothing in the frame reads these: share them between both borders
    middle = (size + after + grid - offset) // 2
    position = np.where(spare & (position >= middle), position - grid, position)
    outside = (position < 0) | (position >= size)
    if kind == "zero":
        return np.where(outside, -1, position)
    if kind == "reflect":
        folded = position % (2 * size)
        return np.where(folded < size, folded, 2 * size - 1 - folded)
    return np.clip(position, 0, size - 1)


def blur(image: Tensor, kernel: npt.NDArray[np.floating] | Tensor, boundary: str = "valid") -> Tensor:
    """Blur a picture (C, H, W).

    Args:
        image: (C, H, W), or (..., H, W) with one kernel for all channels.
        kernel: (kh, kw) or (C, kh, kw).
        boundary: `valid` gives what a camera sees of a scene that goes on outside, (C, H - kh + 1, W - kw + 1);
            `zero`, `reflect`, `replicate`, `circular` assume the outside and keep the size.

    Raises:
        KernelError: the kernel is larger than the picture.
        OptionError: an unknown boundary.

    Example:
        >>> blur(torch.ones(1, 8, 10), np.full((3, 3), 1 / 9)).shape
        torch.Size([1, 6, 8])
    """
    known = ("valid", *BOUNDARIES[1:])
    if boundary not in known:
        raise OptionError(f"expected a boundary out of {', '.join(known)}, got {boundary!r}")
    height, width = image.shape[-2:]
    if boundary != "valid":
        operator = Blur(kernel, (height, width), boundary, dtype=image.dtype, device=image.device)
        return operator(image)
    operator = Blur(kernel, (height, width), "circular", dtype=image.dtype, device=image.device)
    (kh, kw), (top, left) = operator.taps.shape[-2:], operator.origin
    top, left = kh - 1 - top, kw - 1 - left
    return operator(image)[..., top : top + height - kh + 1, left : left + width - kw + 1].contiguous()
