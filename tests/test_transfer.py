"""Transfer curves are increasing and invertible on the whole line, and ICC profiles are understood."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from deblur.errors import OptionError, ShapeError
from deblur.transfer import TRANSFERS, Gamma, SRGBCurve, Table, Transfer, transfer_from_icc

SRGB_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def curv(*values: int) -> bytes:
    return struct.pack(f">4s4xI{len(values)}H", b"curv", len(values), *values)


def para(kind: int, *parameters: float) -> bytes:
    return struct.pack(f">4s4xHxx{len(parameters)}i", b"para", kind, *(round(p * 65536) for p in parameters))


def profile(curves: dict[str, bytes], name: str = "A profile", version: int = 4) -> bytes:
    """An ICC profile of these tags."""
    if version == 4:
        text = name.encode("utf-16-be")
        description = struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(text), 28) + text
    else:
        description = struct.pack(">4s4xI", b"desc", len(name) + 1) + name.encode() + bytes(1 + 78)
    tags = {"desc": description, **curves}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        table += struct.pack(">4sII", key.encode(), start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    return struct.pack(">I32x4s88x", start + len(body), b"acsp") + table + body


def rgb(curve: bytes) -> dict[str, bytes]:
    return {"rTRC": curve, "gTRC": curve, "bTRC": curve}


def gamma_table(exponent: float, count: int) -> bytes:
    return curv(*(round((i / (count - 1)) ** exponent * 65535) for i in range(count)))


SRGB_TABLE = curv(*(SRGBCurve().to_linear(torch.linspace(0, 1, 1024)) * 65535).round().int().tolist())
PARAMETRIC = [
    para(1, 2.2, 1.1, -0.1),
    para(2, 2.2, 1.0, -0.05, 0.02),
    para(3, *SRGB_PARAMETERS),
    para(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081),
    para(4, 2.4, 0.9, 0.1, 0.2, 0.1, 0.01, 0.02),
]
CURVES = {
    "srgb": TRANSFERS["srgb"],
    "linear": TRANSFERS["linear"],
    **{f"gamma {g}": Transfer("gamma", (Gamma(g),)) for g in (0.45, 1.8, 2.19921875, 2.6)},
    **{f"table {n}": transfer_from_icc(profile(rgb(gamma_table(1.9, n))))[0] for n in (2, 16, 256, 1024, 4096)},
    **{f"parametric {i}": transfer_from_icc(profile(rgb(curve)))[0] for i, curve in enumerate(PARAMETRIC)},
}
LINE = torch.cat([torch.linspace(-3, 6, 90_001), torch.logspace(-6, -1, 1001), -torch.logspace(-6, -1, 1001)])
LINE = LINE.sort().values


@pytest.mark.parametrize("name", CURVES)
def test_round_trip_is_exact_to_a_millionth(name):
    transfer = CURVES[name]
    for there, back in ((transfer.decode, transfer.encode), (transfer.encode, transfer.decode)):
        again = back(there(LINE))
        assert torch.isfinite(again).all()
        if there == transfer.decode:
            assert ((again - LINE).abs() / LINE.abs().clamp(min=1)).max() < 1e-6


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("direction", ["decode", "encode"])
def test_curves_increase_and_are_odd(name, direction):
    function = getattr(CURVES[name], direction)
    values = function(LINE.double())
    assert torch.isfinite(values).all()
    assert (values.diff() >= 0).all()
    distinct = LINE.double().diff() > 1e-5
    assert (values.diff()[distinct] > 0).all()
    torch.testing.assert_close(function(-LINE), -function(LINE), rtol=0, atol=0)
    assert function(torch.zeros(1)) == 0


def test_srgb_values():
    stored = torch.tensor([0.0, 0.04045, 0.5, 1.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 0.04045 / 12.92, 0.21404114048223255, 1.0], dtype=torch.float64)
    torch.testing.assert_close(TRANSFERS["srgb"].decode(stored), expected)


def test_pieces_join_and_only_one_tensor_is_made(monkeypatch):
    x = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    whole = TRANSFERS["srgb"].decode(x)
    monkeypatch.setattr("deblur.transfer._PIECE", 11)
    torch.testing.assert_close(TRANSFERS["srgb"].decode(x), whole, rtol=1e-6, atol=1e-7)
    before = x.data_ptr()
    out = TRANSFERS["srgb"].decode(x, out=x)
    assert out.data_ptr() == before
    torch.testing.assert_close(x, whole, rtol=1e-6, atol=1e-7)
    turned = torch.rand(7, 5, 3).permute(2, 1, 0)
    torch.testing.assert_close(TRANSFERS["srgb"].decode(turned), TRANSFERS["srgb"].decode(turned.contiguous()))


def test_a_wrong_out_is_refused():
    x = torch.rand(3, 5, 7)
    for out in (torch.empty(3, 7, 5), torch.empty(3, 7, 5).transpose(1, 2)):
        with pytest.raises(ShapeError, match=r"out must be a contiguous tensor of shape \(3, 5, 7\)"):
            TRANSFERS["srgb"].decode(x, out=out)


def test_three_curves_serve_three_channels():
    curves = {"rTRC": curv(round(1.8 * 256)), "gTRC": curv(round(2.2 * 256)), "bTRC": gamma_table(2.0, 1024)}
    transfer, note = transfer_from_icc(profile(curves, "Three"))
    assert (transfer.name, note, len(transfer.curves)) == ("Three", None, 3)
    x = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([x[:, 0] ** (461 / 256), x[:, 1] ** (563 / 256), x[:, 2] ** 2], 1)
    torch.testing.assert_close(transfer.decode(x), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(transfer.encode(transfer.decode(x)), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(transfer.decode(x[0]), transfer.decode(x)[0])
    with pytest.raises(ShapeError, match=r"the transfer 'Three' has 3 curves and needs \(\.\.\., 3, H, W\), got"):
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


def test_a_table_must_rise():
    with pytest.raises(OptionError, match="at least two samples that rise"):
        Table((0.5, 0.5))
