"""`deblur denoise` from file to file; what it shares with `apply` is tested there."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from skimage import data

from deblur import denoising
from deblur.cli.denoise import denoise
from deblur.cli.jobs.denoise import Settings
from deblur.flows import build, checkpoint

SMALL = {"architecture": "image_prior", "steps": 1, "features": 4, "taps": 3}


def _pictures() -> None:
    """noisy.png (16 bits, gray, 66 x 57) with noise of 15/255, what it shows, and other.pt, an untrained prior."""
    sharp = data.camera()[200:257, 200:266] / 255
    noise = np.random.default_rng(0).normal(0, 15 / 255, sharp.shape)
    for name, image in (("truth.png", sharp), ("noisy.png", sharp + noise)):
        cv2.imwrite(name, np.round(np.clip(image, 0, 1) * 65535).astype(np.uint16))
    checkpoint.save("other.pt", SMALL, build(SMALL))


@pytest.fixture(autouse=True)
def pictures(folder: Path, stock: Any) -> None:
    stock(_pictures)


def _read(name: str) -> np.ndarray:
    image = cv2.imread(name, cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def test_a_noisy_picture_becomes_cleaner_and_keeps_its_form(run: Any) -> None:
    result = run("denoise", "noisy.png", "--truth", "truth.png", "--noise", "15/255", "--json")
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["psnr"] > record["psnr_noisy"] + 4
    assert record["ssim"] > record["ssim_noisy"]
    assert (record["method"], record["steps"], record["output"]) == ("flow", 1, "noisy.denoised.png")
    assert record["sigma"] == pytest.approx(15 / 255)
    assert (_read("noisy.denoised.png").shape, _read("noisy.denoised.png").dtype) == ((57, 66), np.uint16)


def test_the_summary_is_one_line(run: Any) -> None:
    result = run("denoise", "noisy.png", "--truth", "truth.png")
    assert result.code == 0, result.err
    (line,) = result.out.splitlines()
    assert line.startswith("noisy.png -> noisy.denoised.png: flow, sigma 0.0")
    for word in ("/255), ", "1 step, ", " s, ", "PSNR ", "SSIM "):
        assert word in line


def test_colour_and_alpha_are_kept(run: Any) -> None:
    colour = data.astronaut()[60:100, 180:222]
    noise = np.random.default_rng(0).normal(0, 15, colour.shape)
    pixels = np.clip(np.round(colour + noise), 0, 255).astype(np.uint8)
    alpha = np.full(colour.shape[:2], 255, np.uint8)
    alpha[:9] = 0
    cv2.imwrite("c.png", np.dstack([pixels, alpha]))
    assert run("denoise", "c.png", "--noise", "15/255", "-o", "d.png").code == 0
    after = _read("d.png")
    np.testing.assert_array_equal(after[..., 3], alpha)
    np.testing.assert_array_equal(after[:9, :, :3], pixels[:9])
    before, seen = (np.square(image[9:, :, :3] - colour[9:].astype(float)).mean() for image in (pixels, after))
    assert seen < before / 3


def test_a_region_is_denoised_as_the_whole_is_there(run: Any) -> None:
    words = ["denoise", "noisy.png", "--noise", "15/255"]
    assert run(*words, "-o", "whole.png").code == 0
    assert run(*words, "-o", "part.png", "--region", "5,7,20,16").code == 0
    part, whole = _read("part.png").astype(float), _read("whole.png").astype(float)
    assert np.abs(part - whole[7:23, 5:25]).max() < 257


def test_another_prior_is_used(run: Any) -> None:
    for words, name in (([], "a.png"), (["--prior", "other.pt"], "b.png")):
        assert run("denoise", "noisy.png", "--noise", "15/255", *words, "-o", name).code == 0
    assert not np.array_equal(_read("a.png"), _read("b.png"))


def test_one_bad_picture_does_not_stop_the_others(run: Any, folder: Path) -> None:
    result = run("denoise", "none.png", "noisy.png", "--compare", "-o", "out/")
    assert result.code == 1
    assert "none.png" in result.error
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["noisy.compare.png", "noisy.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prior", "none.pt"], "none.pt: there is no such checkpoint"),
        (["--prior", "truth.png"], "truth.png: expected a checkpoint of a flow, got something else"),
        (["--config", "bad.yaml"], "bad.yaml: unknown key 'kernel'"),
        (["--noise", "15"], "expected noise as a fraction of full scale in [0, 1), got 15; for 15 of 255 levels"),
        (["--strength", "0"], "expected a strength above 0"),
        (["--prior", "other.pt", "--force", "-o", "other.pt"], "other.pt"),
        (["-o", "noisy.png", "--force"], "noisy.png: is read and would be written too"),
        (["--region", "0,0,99,9"], "leaves the frame of 66 x 57 pixels"),
    ],
)
def test_what_is_refused(refuse: Any, words: list[str], message: str) -> None:
    Path("bad.yaml").write_text("kernel: k.npy\n")
    refuse("denoise", "noisy.png", *words, message=message)


@pytest.mark.parametrize("words", [["none.pt"], ["truth.png"], ["flow.pt"], ["other.pt", "--method", "tv"]])
def test_apply_refuses_a_prior_before_any_work(refuse: Any, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    from deblur import restoring

    config = {"architecture": "multiscale", "shape": [1, 8, 8], "levels": 1, "steps": 1, "hidden": 4}
    checkpoint.save("flow.pt", config, build(config))
    monkeypatch.setattr(restoring, "restore", lambda *_, **__: pytest.fail("the work began"))
    message = "tv takes no learned prior" if "tv" in words else words[0]
    refuse("apply", "noisy.png", "--kernel", "gaussian:sigma=1", "--prior", *words, message=message)


def test_apply_takes_a_prior_from_a_flag_and_from_a_file(run: Any) -> None:
    Path("x.yaml").write_text("prior: other.pt\nsettings: {prior: {steps: 2}}\n")
    for words in (["--config", "x.yaml"], ["--prior", "other.pt", "--method", "flow"]):
        result = run("apply", "noisy.png", "--kernel", "gaussian:sigma=1", *words, "--force", "--json")
        assert result.code == 0, result.err
        assert json.loads(result.out)["method"] == "flow"


def test_values_beyond_white_are_denoised_as_the_same_picture_within(run: Any) -> None:
    image = _read("noisy.png").astype(np.float32) / 65535
    tifffile.imwrite("bright.tif", 20 * image)
    assert run("denoise", "bright.tif", "--noise", "0.9", "-o", "b.tif").code == 0
    after = tifffile.imread("b.tif") / 20
    truth = _read("truth.png") / 65535
    assert np.square(after - truth).mean() < np.square(image - truth).mean() / 2


def test_a_prior_that_diverges_is_not_written(refuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising, "denoised", lambda image, *_: image * torch.inf)
    refuse("denoise", "noisy.png", message="noisy.png: flow diverged")


def test_every_setting_has_a_flag_that_leaves_it_to_the_file() -> None:
    flags = {name.rstrip("_") for name in typing.get_type_hints(denoise)}
    parameters = inspect.signature(denoise).parameters
    for field in dataclasses.fields(Settings):
        assert field.name in flags
        assert parameters[field.name if field.name in parameters else f"{field.name}_"].default is None
