"""A solve or a weight gradient described for the CUDA kernels: strides, sizes and shared memory, worked out once.

The structure mirrors `Problem` of csrc/cuda/problem.cuh, field by field. Corners and adjoints are signed strides,
dilations independent images; the numbers of shared memory repeat the layouts that the kernels' comments draw.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass

import torch

from deblur.errors import OptionError
from deblur.ops.geometry import ORIENTATIONS, Geometry, opposite

__all__ = ["Launch", "Plan", "Problem", "plan_solve", "plan_weight_grad"]

LANES = 32  # threads of a warp, rows of a band
CHUNK = 8  # times of a chunk
BAND_WARPS = {4: 16, 8: 8}  # of a block, by bytes of a value
PART_PITCH = LANES + 4
MOST_HALO = 256  # rows above a band, held in registers on their way
QUAD = 4  # values loaded together
TILE, OUTPUTS = 4, {4: 4, 8: 2}  # pixels of a thread of the wavefront kernel; its output channels, by bytes of a value
MOST_PARTS = 8  # that its sums are cut into
WAVEFRONT_THREADS, INVERT_THREADS, FOLD_THREADS, GRADIENT_THREADS = 384, 384, 256, 256
TILE_ROWS, TILE_COLUMNS = 8, 64  # of a weight gradient
GRADIENT_BLOCKS = 512  # that share its pixels: enough for any device, few enough to add up

_POINTERS = ("y", "x", "weight", "inverse", "folded", "ring", "partial", "gradient", "flags")
_STRIDES = (
    *("origin", "frame_step", "channel_step", "row_step", "column_step"),
    *("weight_group", "weight_out", "weight_in", "weight_row", "weight_column"),
)
_SIZES = (
    *("batch", "groups", "channels", "height", "width", "taps_h", "taps_w", "dilation_h", "dilation_w"),
    *("bands", "images", "padded", "parts"),
)


class Problem(ctypes.Structure):
    """`Problem` of csrc/cuda/problem.cuh."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _STRIDES),
        *((name, ctypes.c_int32) for name in _SIZES),
    ]


assert ctypes.sizeof(Problem) == 208, "csrc/cuda/problem.cuh expects this layout"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One kernel of a plan: its name and source, blocks, threads of a block and bytes of dynamic shared memory."""

    kernel: str
    source: str
    grid: int
    block: int
    shared_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one kind of call is computed.

    Attributes:
        problem: The description, all but the pointers.
        launches: The kernels, in order; the last one solves.
        scratch: Elements of the buffers that exist for this call alone, by the name of their pointer.
        flags: Integers that must be zero before it starts: the ticket and the progress of every band.
    """

    problem: Problem
    launches: tuple[Launch, ...]
    scratch: dict[str, int]
    flags: int


@functools.lru_cache(maxsize=256)
def plan_solve(
    shape: torch.Size,
    dtype: torch.dtype,
    kernel_size: tuple[int, int],
    geometry: Geometry,
    shared_limit: int,
) -> Plan:
    """Work out a solve of (B, C, H, W) images, none of the four zero, with that much shared memory for a block."""
    problem = _describe(shape, kernel_size, geometry)
    shared_bytes = _band_shared_bytes(problem, dtype.itemsize)
    if problem.channels == 1 and shared_bytes <= shared_limit and problem.taps_h - 1 <= MOST_HALO:
        tasks = problem.bands * problem.images
        solve = Launch(
            kernel="deblur_band_solve",
            source="band.cuh",
            grid=tasks,
            block=BAND_WARPS[dtype.itemsize] * LANES,
            shared_bytes=shared_bytes,
        )
        return Plan(problem=problem, launches=(solve,), scratch={}, flags=1 + tasks)
    return _wavefront(problem, dtype.itemsize, shared_limit)


def _describe(shape: torch.Size, kernel_size: tuple[int, int], geometry: Geometry) -> Problem:
    orientation, transpose, groups, dilation, _ = geometry
    batch, all_channels, height, width = shape
    channels = all_channels // groups
    taps = kernel_size[0] * kernel_size[1]
    looks_down, looks_right = ORIENTATIONS[opposite(orientation) if transpose else orientation]
    weight_out, weight_in = channels * taps, taps
    if transpose:
        weight_out, weight_in = weight_in, weight_out
    # Along each axis: pixels, step in the image, taps, step in the weight, dilation.
    rows = (height, -width if looks_down else width, kernel_size[0], kernel_size[1], min(dilation[0], height))
    columns = (width, -1 if looks_right else 1, kernel_size[1], 1, min(dilation[1], width))
    # A row costs nearly twice the time of a column. Taps in one column only are turned, however: then every row is by
    # itself, and a NaN stays where it belongs.
    if columns[2] == 1 < rows[2] or (height > width and rows[2] > 1):
        rows, columns = columns, rows
    tallest, widest = -(-rows[0] // rows[4]), -(-columns[0] // columns[4])
    bands, images = -(-tallest // LANES), batch * groups * rows[4] * columns[4]
    if max(height, width) >= 2**30:
        raise OptionError(f"expected fewer than 2^30 pixels a side on a GPU, got {height} x {width}; cut the image")
    if bands * images >= 2**31:
        raise OptionError(
            "expected fewer than 2^31 independent bands (B * groups * dilation * rows / 32) on a GPU, "
            f"got {bands * images}; split the batch"
        )
    return Problem(
        origin=(height - 1) * width * looks_down + (width - 1) * looks_right,
        frame_step=all_channels * height * width,
        channel_step=height * width,
        row_step=rows[1],
        column_step=columns[1],
        weight_group=channels * channels * taps,
        weight_out=weight_out,
        weight_in=weight_in,
        weight_row=rows[3],
        weight_column=columns[3],
        batch=batch,
        groups=groups,
        channels=channels,
        height=rows[0],
        width=columns[0],
        taps_h=min(rows[2], tallest),
        taps_w=min(columns[2], widest),
        dilation_h=rows[4],
        dilation_w=columns[4],
        bands=bands,
        images=images,
        padded=-(-channels // QUAD) * QUAD,
    )


def _wavefront(problem: Problem, itemsize: int, shared_limit: int) -> Plan:
    """Anchors inverted and folded in, then a block for every image, with what fits in its shared memory."""
    tallest = -(-problem.height // problem.dilation_h)
    widest = -(-problem.width // problem.dilation_w)
    size, taps = problem.channels, problem.taps_h * problem.taps_w - 1
    invert_bytes = size * (5 * itemsize + 2 * ctypes.sizeof(ctypes.c_int))
    if invert_bytes > shared_limit:
        most = size * shared_limit // invert_bytes
        raise OptionError(f"expected at most {most} channels per group on this GPU, got {size}; use more groups")
    ring = (problem.taps_h + problem.taps_w - 1) * (problem.taps_h + tallest + TILE - 2) * problem.padded
    folded = taps * problem.padded * size
    outputs = OUTPUTS[itemsize]
    per_pass = min(-(-min(tallest, widest) // TILE) * -(-size // outputs), WAVEFRONT_THREADS)
    most_parts = max(1, min(WAVEFRONT_THREADS // per_pass, MOST_PARTS, taps * problem.padded // QUAD // 2))
    fixed = {
        "deblur_wavefront_solve_all": ring + folded,
        "deblur_wavefront_solve_ring": ring,
        "deblur_wavefront_solve": 0,
    }
    kernel, parts, shared = next(  # the last one, with a single part, takes at most 24 kB: every device has them
        (kernel, parts, needed)
        for kernel in fixed
        for parts in range(most_parts, 0, -1)
        if (needed := fixed[kernel] + parts * per_pass * TILE * outputs) * itemsize <= shared_limit
    )
    problem.parts = parts
    block = -(-parts * per_pass // LANES) * LANES
    quads = problem.padded // QUAD
    frames, pixels = problem.batch * problem.groups, problem.height * problem.width
    fold = functools.partial(Launch, source="wavefront.cuh")
    launches = (
        fold(
            kernel="deblur_invert_anchors",
            grid=problem.groups,
            block=min(INVERT_THREADS, size * LANES),
            shared_bytes=invert_bytes,
        ),
        fold(
            kernel="deblur_fold_taps",
            grid=-(-problem.groups * taps * quads * size // FOLD_THREADS),
            block=FOLD_THREADS,
        ),
        fold(
            kernel="deblur_apply_anchors",
            grid=-(-frames * -(-pixels // QUAD) * quads // FOLD_THREADS),
            block=FOLD_THREADS,
        ),
        fold(kernel=kernel, grid=problem.images, block=block, shared_bytes=shared * itemsize),
    )
    scratch = {"inverse": 2 * problem.groups * size * size, "folded": problem.groups * folded}
    if not fixed[kernel]:
        scratch["ring"] = problem.images * ring
    return Plan(problem=problem, launches=tuple(each for each in launches if each.grid), scratch=scratch, flags=0)


@functools.lru_cache(maxsize=256)
def plan_weight_grad(
    shape: torch.Size,
    dtype: torch.dtype,
    kernel_size: tuple[int, int],
    geometry: Geometry,
    shared_limit: int,
) -> Plan | None:
    """Work out a weight gradient, not of an adjoint, or return None where the kernel does not serve.

    It serves one channel per group and taps whose tile fits in shared memory: 121 a side in float32
    where a block has 99 kB, 76 in float64.
    """
    groups = geometry.groups
    if shape[1] != groups:
        return None
    problem = _describe(shape, kernel_size, geometry)
    octets = -(-problem.taps_w // CHUNK)
    passes = -(-problem.taps_h * octets // GRADIENT_THREADS)
    tallest, widest = -(-problem.height // problem.dilation_h), -(-problem.width // problem.dilation_w)
    tiles = problem.images // groups * -(-tallest // TILE_ROWS) * -(-widest // TILE_COLUMNS)
    problem.parts = max(1, min(tiles, GRADIENT_BLOCKS // (groups * passes)))
    tile = TILE_ROWS * TILE_COLUMNS + (TILE_ROWS + problem.taps_h - 1) * ((TILE_COLUMNS + octets * CHUNK) | 1)
    shared_bytes = max(tile, GRADIENT_THREADS * CHUNK) * dtype.itemsize
    if shared_bytes > shared_limit:
        return None
    taps = problem.taps_h * problem.taps_w
    launch = functools.partial(Launch, source="gradient.cuh", block=GRADIENT_THREADS)
    return Plan(
        problem=problem,
        launches=(
            launch(kernel="deblur_weight_gradient", grid=groups * passes * problem.parts, shared_bytes=shared_bytes),
            launch(kernel="deblur_sum_parts", grid=-(-groups * taps // GRADIENT_THREADS)),
        ),
        scratch={"partial": groups * problem.parts * taps},
        flags=0,
    )


def _band_shared_bytes(problem: Problem, itemsize: int) -> int:
    """Bytes of `Band` (csrc/cuda/band_memory.cuh): ring, taps, the warps' sums, a right-hand side, the ticket."""
    halo, windows = problem.taps_h - 1, (problem.taps_w + CHUNK - 2) // CHUNK
    pitch: int = -(-(max(halo, CHUNK - 1) + LANES - 4) // 8) * 8 + 4
    ring: int = CHUNK * (2 + windows - (-halo // CHUNK)) * pitch
    weights: int = problem.taps_h * CHUNK * (windows + 2)
    return (ring + weights + (BAND_WARPS[itemsize] + 1) * CHUNK * PART_PITCH) * itemsize + ctypes.sizeof(ctypes.c_int)
