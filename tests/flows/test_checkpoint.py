"""The file that keeps a flow: all of it comes back, and what is no checkpoint is said in a line."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from deblur.errors import FileError
from deblur.flows import build, checkpoint
from deblur.layers.actnorm import ActNorm

CONFIG = {"architecture": "multiscale", "shape": [1, 8, 8], "levels": 2, "steps": 1, "hidden": 4}


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    flow = build(CONFIG)
    flow.initialise(torch.rand(4, 1, 8, 8))
    return flow


@pytest.fixture
def saved(tmp_path: Path, model: torch.nn.Module) -> Path:
    path = tmp_path / "prior.pt"
    checkpoint.save(path, CONFIG, model, record={"steps": 3, "bits": [4.5, 4.25]}, noise=torch.arange(3))
    return path


def rewritten(path: Path, **changes: object) -> Path:
    torch.save({**torch.load(path, weights_only=True), **changes}, path)
    return path


def test_model_configuration_and_what_else_was_kept_come_back(saved: Path, model: torch.nn.Module) -> None:
    torch.manual_seed(1)
    loaded = checkpoint.load(saved)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded.model.log_prob(x), model.log_prob(x))
    assert loaded.config == CONFIG
    assert loaded.extra["record"] == {"steps": 3, "bits": [4.5, 4.25]}
    assert torch.equal(loaded.extra["noise"], torch.arange(3))
    assert loaded.model.initialised
    assert not loaded.model.training


def test_the_fixed_permutations_are_in_it(saved: Path, model: torch.nn.Module) -> None:
    """They are drawn when a model is built, so that a checkpoint without them would be another model."""
    names = [name for name in torch.load(saved, weights_only=True)["weights"] if name.endswith("permutation")]
    assert len(names) == 2


def test_to_load_one_draws_no_random_numbers(saved: Path) -> None:
    """So that a run which goes on from a checkpoint draws what it would have drawn."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    checkpoint.load(saved)
    assert torch.equal(torch.rand(3), expected)


def test_an_existing_file_is_kept_unless_asked(saved: Path, model: torch.nn.Module) -> None:
    before = saved.read_bytes()
    with pytest.raises(FileError, match="already exists"):
        checkpoint.save(saved, CONFIG, model)
    assert saved.read_bytes() == before
    checkpoint.save(saved, CONFIG, model, force=True)
    assert checkpoint.load(saved).extra == {}


def test_a_failure_while_writing_leaves_the_old_file(saved: Path, model: torch.nn.Module) -> None:
    before = saved.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(saved, CONFIG, model, force=True, bad=lambda: None)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_opening_one_runs_no_code(tmp_path: Path, saved: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    rewritten_path = tmp_path / "bomb.pt"
    torch.save({"format": "deblur flow", "version": 1, "config": Bomb()}, rewritten_path)
    with pytest.raises(FileError, match="expected a checkpoint of a flow, got a damaged file or another"):
        checkpoint.load(rewritten_path)
    assert not (tmp_path / "ran").exists()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none.pt: there is no such checkpoint; check the name$"):
        checkpoint.load(tmp_path / "none.pt")
    with pytest.raises(FileError, match="cannot be read"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({"a": 1})])
def test_another_kind_of_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.pt").write_bytes(content)
    with pytest.raises(FileError, match="expected a checkpoint of a flow, got something else"):
        checkpoint.load(tmp_path / "other.pt")


def test_another_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("text", "hello")
    with pytest.raises(FileError, match="expected a checkpoint of a flow, got a damaged file or another"):
        checkpoint.load(tmp_path / "other.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(FileError, match="got another torch file"):
        checkpoint.load(tmp_path / "tensor.pt")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_is_cut_short(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileError, match="got one that is cut short"):
        checkpoint.load(saved)


def test_a_flipped_bit_in_the_weights(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(saved.read_bytes())
    content[largest.header_offset + largest.compress_size // 2 + 100] ^= 1
    saved.write_bytes(content)
    with pytest.raises(FileError, match="is damaged at"):
        checkpoint.load(saved)


def test_another_version(saved: Path) -> None:
    with pytest.raises(FileError, match="expected checkpoint version 1, got 2; use"):
        checkpoint.load(rewritten(saved, version=2))


def test_entries_that_do_not_belong(saved: Path) -> None:
    with pytest.raises(FileError, match="expected the entries config, extra"):
        checkpoint.load(rewritten(saved, more=1))


def test_a_configuration_from_elsewhere(saved: Path) -> None:
    with pytest.raises(FileError, match=r"its configuration builds no model here .*unknown key 'depth'"):
        checkpoint.load(rewritten(saved, config={**CONFIG, "depth": 3}))


def test_weights_of_another_configuration(saved: Path) -> None:
    with pytest.raises(FileError, match=r"expected .* of its configuration to be .*, got "):
        checkpoint.load(rewritten(saved, config={**CONFIG, "hidden": 5}))
    weights = torch.load(saved, weights_only=True)["weights"]
    name = next(iter(weights))
    with pytest.raises(FileError, match="got no such weight"):
        checkpoint.load(rewritten(saved, config=CONFIG, weights={k: v for k, v in weights.items() if k != name}))
    with pytest.raises(FileError, match=r"extra\.weight of its configuration to be no such weight"):
        checkpoint.load(rewritten(saved, config=CONFIG, weights={**weights, "extra.weight": torch.zeros(1)}))


def test_a_model_is_saved_from_where_it_is_without_moving_it(saved: Path, model: torch.nn.Module) -> None:
    assert next(model.parameters()).requires_grad
    assert any(isinstance(module, ActNorm) for module in model.modules())
    assert checkpoint.load(saved, device="cpu").model.training is False
