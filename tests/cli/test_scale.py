"""Samples of fewer bits than their type has are told on the command line, and said by --white."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from pictures import picture


def test_the_command_line_tells_the_guess_too(run: Any, folder: Path) -> None:
    scene = picture(48, 56)[0].double().numpy()
    tifffile.imwrite(folder / "a.tif", np.rint(scene / scene.max() * 4000).astype(np.uint16))
    words = ("apply", "a.tif", "-k", "gaussian:sigma=1", "--method", "wiener", "-o", "o.tif")
    assert "12 bits, white at 4095 (--white 65535" in run(*words).err
    record = json.loads(run(*words, "--white", "65535", "--json", "-f").out)
    assert not any("12 bits" in note for note in record["notes"])
    both = json.loads(run(*words, "--truth", "a.tif", "--json", "-f").out)
    assert both["psnr_blurred"] is None  # infinite: the truth is on the scale of the picture
