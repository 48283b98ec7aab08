"""Really blurred photographs before and after: `python benchmarks/real.py FOLDER -o sheet.png [--parametric motion]`.

Every picture in the folder is shrunk to at most `--side` pixels, its kernel found from it alone, and the picture
restored with that. The sheet has a row for each: kernel, before, after. Nobody knows the truth, so what is printed is
what `deblur fit` says of its kernels; whether a picture got better is for eyes to judge.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from deblur import ApplyOptions, FitOptions, Picture, estimate, psf, restore
from deblur.errors import DeblurError
from deblur.images import Frame, read_frames, write_frames

_GAP = 6


def panel(image: Tensor, width: int, height: int) -> Tensor:
    """A picture on a black ground of this size, in colour."""
    colour = image.clamp(0, 1).expand(3, -1, -1)
    ground = torch.zeros(3, height, width)
    ground[:, : colour.shape[1], : colour.shape[2]] = colour[:, :height, :width]
    return ground


def shrunk(pixels: Tensor, side: int) -> Tensor:
    factor = -(-max(pixels.shape[1:]) // side)
    return torch.nn.functional.avg_pool2d(pixels[None], factor)[0] if factor > 1 else pixels


def row(path: Path, options: argparse.Namespace) -> Tensor | None:
    """Kernel, before and after of one picture; None where it is refused."""
    try:
        frame = read_frames(path)[0]
        pixels = shrunk(frame.pixels, options.side)
        given = Picture(pixels=pixels, ceiling=frame.ceiling, transfer=frame.transfer)
        found = estimate(given, FitOptions(parametric=options.parametric, threads=options.threads))
        restored = restore(given, found, ApplyOptions(threads=options.threads))
    except DeblurError as error:
        print(f"{path.name}: {error}", flush=True)
        return None
    notes = "; ".join(found.warnings)
    what = found.kernel.source if ":" in found.kernel.source else found.method
    print(
        f"{path.name}: {pixels.shape[2]} x {pixels.shape[1]}, {found.size[1]} x {found.size[0]} taps, {what}, "
        f"confidence {found.confidence:.2f}, {found.seconds:.1f} + {restored.seconds:.1f} s {notes}",
        flush=True,
    )
    drawn = torch.from_numpy(psf.draw(found.kernel, size=120)).float()[None] / 255
    height, width = pixels.shape[1:]
    gap = torch.ones(3, height, _GAP)
    return torch.cat(
        [panel(drawn, 160, height), gap, panel(pixels, width, height), gap, panel(restored.image, width, height)], 2
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of pictures")
    parser.add_argument("-o", "--output", required=True, help="the sheet, a .png or .jpg file")
    parser.add_argument("--parametric", default="none", help="none (free taps, the default), auto, motion, ...")
    parser.add_argument("--side", type=int, default=800, help="pixels of the longer side at most (default 800)")
    parser.add_argument("--limit", type=int, default=100, help="pictures at most")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    paths = sorted(path for path in Path(options.folder).iterdir() if path.is_file())[: options.limit]
    rows = [made for path in paths if (made := row(path, options)) is not None]
    if not rows:
        raise SystemExit(f"{options.folder}: no picture in it could be restored")
    width = max(made.shape[2] for made in rows)
    rows = [torch.nn.functional.pad(made, (0, width - made.shape[2], 0, _GAP)) for made in rows]
    write_frames(options.output, [Frame(pixels=torch.cat(rows, 1))], force=True)
    print(options.output)


if __name__ == "__main__":
    main()
