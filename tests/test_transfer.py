"""Transfer curves are increasing and invertible on the whole line."""

from __future__ import annotations

import pytest
import torch
from profiles import PARAMETRIC, gamma_table, profile, rgb

from deblur.curves import Gamma, Table
from deblur.errors import OptionError, ShapeError
from deblur.images.icc import transfer_from_icc
from deblur.transfer import TRANSFERS, Transfer, coded

CURVES = {
    "srgb": TRANSFERS["srgb"],
    "linear": TRANSFERS["linear"],
    **{f"gamma {g}": Transfer("gamma", (Gamma(g),)) for g in (0.45, 1.8, 2.19921875, 2.6)},
    **{f"table {n}": transfer_from_icc(profile(rgb(gamma_table(1.9, n))))[0] for n in (2, 16, 256, 1024, 4096)},
    **{f"code {code}": coded(code) for code in (1, 4, 5, 6, 8, 13, 14, 15, 16, 18)},
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


@pytest.mark.parametrize(
    ("code", "stored", "linear"),
    [
        (1, 0.5, ((0.5 + 0.0992968268) / 1.0992968268) ** (1 / 0.45)),
        (1, 0.05, 0.05 / 4.5),
        (4, 0.5, 0.5**2.2),
        (5, 0.5, 0.5**2.8),
        # ST 2084's codes of 100, 203 (Rec. ITU-R BT.2408: HDR reference white, 58 %) and 1000 of 10 000 cd / m^2
        (16, 0.508078421517399, 0.01),
        (16, 0.580688881041611, 0.0203),
        (16, 0.751827096247041, 0.1),
        (16, 0.149945908345, 0.0001),
        # HLG's joint, its white (Rec. ITU-R BT.2408: 75 %), and BT.2100's table 5
        (18, 0.5, 1 / 12),
        (18, 0.75, 0.26496256),
        (18, 0.25, 0.25**2 / 3),
    ],
)
def test_published_values_of_the_video_curves(code, stored, linear):
    curve = coded(code)
    value = torch.tensor([stored, 0.0, 1.0], dtype=torch.float64)
    light = torch.tensor([linear, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(curve.decode(value), light, rtol=2e-5, atol=1e-9)
    torch.testing.assert_close(curve.encode(light), value, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("code", [1, 16, 18])
def test_the_parts_of_a_curve_meet(code):
    """No step where a toe ends or the range does: a restored value that crosses it does not jump."""
    for joint in (2.0**-16, 0.0812428583, 0.5, 1.0):
        near = torch.tensor([joint * (1 - 1e-9), joint * (1 + 1e-9)], dtype=torch.float64)
        low, high = coded(code).decode(near).tolist()
        assert 0 < high - low < 1e-6 * high


def test_an_unknown_code_is_none():
    assert coded(2) is None
    assert coded(9) is None


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
        with pytest.raises(ShapeError, match=r"expected a contiguous out of shape \(3, 5, 7\)"):
            TRANSFERS["srgb"].decode(x, out=out)


def test_a_table_must_rise():
    with pytest.raises(OptionError, match="at least two samples that rise"):
        Table((0.5, 0.5))
