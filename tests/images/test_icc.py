"""The curves of ICC profiles are understood; a profile without one, or a damaged one, is taken as sRGB with a note."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from profiles import SRGB_PARAMETERS, SRGB_TABLE, curv, gamma_table, para, profile, rgb

from deblur.errors import ShapeError
from deblur.images.icc import transfer_from_icc
from deblur.transfer import TRANSFERS


def test_three_curves_serve_three_channels():
    curves = {"rTRC": curv(round(1.8 * 256)), "gTRC": curv(round(2.2 * 256)), "bTRC": gamma_table(2.0, 1024)}
    transfer, note = transfer_from_icc(profile(curves, "Three"))
    assert (transfer.name, note, len(transfer.curves)) == ("Three", None, 3)
    x = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([x[:, 0] ** (461 / 256), x[:, 1] ** (563 / 256), x[:, 2] ** 2], 1)
    torch.testing.assert_close(transfer.decode(x), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(transfer.encode(transfer.decode(x)), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(transfer.decode(x[0]), transfer.decode(x)[0])
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., 3, H, W\) for the curves of the transfer 'Three', got"):
        transfer.decode(x[:, :1])


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize(
    ("curves", "name", "stored", "linear"),
    [
        (rgb(para(3, *SRGB_PARAMETERS)), "srgb", 0.5, 0.2140411),
        (rgb(SRGB_TABLE), "srgb", 0.5, 0.2140411),
        (rgb(curv()), "linear", 0.5, 0.5),
        (rgb(curv(256)), "linear", 0.5, 0.5),
        (rgb(curv(563)), "gamma 2.199", 0.5, 0.5 ** (563 / 256)),
        (rgb(para(0, 1.8)), "gamma 1.8", 0.5, 0.5**1.8),
        ({"kTRC": curv(563)}, "gamma 2.199", 0.5, 0.5 ** (563 / 256)),
        (rgb(gamma_table(2.5, 256)), "A profile", 0.5, 0.5**2.5),
        (rgb(para(1, 2.2, 1.1, -0.1)), "A profile", 0.5, 0.45**2.2),
        (rgb(para(4, 2.4, 0.9, 0.1, 0.2, 0.1, 0.01, 0.0)), "A profile", 0.5, 0.55**2.4 + 0.01),
    ],
)  # fmt: skip
def test_profiles(version, curves, name, stored, linear):
    transfer, note = transfer_from_icc(profile(curves, version=version))
    assert (transfer.name, note) == (name, None)
    assert float(transfer.decode(torch.tensor([stored]))) == pytest.approx(linear, abs=3e-5)


def cicp(transfer):
    return b"cicp" + bytes((0, 0, 0, 0, 9, transfer, 0, 1))


@pytest.mark.parametrize(
    ("code", "name"), [(16, "PQ"), (18, "HLG"), (1, "BT.709"), (13, "srgb"), (8, "linear"), (2, "gamma 2.199")]
)
def test_a_cicp_tag_comes_before_the_curves(code, name):
    transfer, note = transfer_from_icc(profile({**rgb(curv(563)), "cicp": cicp(code)}))
    assert (transfer.name, note) == (name, None)


def test_every_sample_of_a_table_is_met():
    values = np.sort(np.random.default_rng(0).choice(np.arange(1, 65535), 30, replace=False))
    transfer, _ = transfer_from_icc(profile(rgb(curv(0, *values.tolist(), 65535))))
    x = torch.linspace(0, 1, 32, dtype=torch.float64)
    expected = torch.tensor([0, *values.tolist(), 65535], dtype=torch.float64) / 65535
    torch.testing.assert_close(transfer.decode(x), expected, rtol=0, atol=2e-3)  # flat steps are lifted a little


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"not a profile",
        profile(rgb(curv(563)))[:140],
        profile(rgb(b"curv\0\0\0\0\0\0\xff\xff")),
        profile(rgb(b"para\0\0\0\0\0\7\0\0")),
        profile(rgb(b"text\0\0\0\0none")),
        profile(rgb(curv(0))),
        profile(rgb(curv(65535, 30000, 0))),
        profile(rgb(para(3, 2.4, 0, 0, 0, 2.0))),
    ],
)
def test_a_damaged_profile_is_taken_as_srgb_with_a_note(damaged):
    transfer, note = transfer_from_icc(damaged)
    assert transfer is TRANSFERS["srgb"]
    assert note == "the ICC profile is damaged; it is taken as sRGB (--transfer linear takes the values as they are)"


def test_a_profile_of_tables_only_is_taken_as_srgb_with_a_note():
    transfer, note = transfer_from_icc(profile({"A2B0": bytes(64)}, "Coated\nFOGRA39"))
    assert transfer is TRANSFERS["srgb"]
    assert note == (
        "the ICC profile 'CoatedFOGRA39' has no simple transfer curve; "
        "it is taken as sRGB (--transfer linear takes the values as they are)"
    )
