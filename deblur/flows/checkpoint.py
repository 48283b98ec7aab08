"""A trained flow in one file: its weights, the configuration that builds it, and further facts about it.

The file is torch's own archive of a dictionary with plain data and tensors only, so it is read with
`weights_only=True`: opening one runs no code of its own.

Example:
    >>> import tempfile
    >>> from deblur.flows import build
    >>> config = {"architecture": "multiscale", "shape": [1, 8, 8], "levels": 1, "steps": 1, "hidden": 4}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/prior.pt", config, build(config), steps=0)
    ...     loaded = load(f"{folder}/prior.pt")
    >>> loaded.config == config, loaded.extra, type(loaded.model).__name__
    (True, {'steps': 0}, 'Flow')
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deblur.errors import DeblurError, FileError
from deblur.files import atomic_write
from deblur.flows import build

__all__ = ["Checkpoint", "load", "save"]

_FORMAT = "deblur flow"
_VERSION = 1
_KEYS = {"format", "version", "config", "weights", "extra"}


@dataclass(frozen=True)
class Checkpoint:
    """What a file held.

    Attributes:
        model: the flow, in evaluation mode.
        config: what `deblur.flows.build` makes it from.
        extra: whatever else was saved: plain data and tensors.
    """

    model: nn.Module
    config: dict[str, Any]
    extra: dict[str, Any]


def save(
    path: str | Path, model_config: Mapping[str, Any], model: nn.Module, *, force: bool = False, **extra: Any
) -> None:
    """Write a checkpoint whole or not at all.

    Args:
        path: the file.
        model_config: what `deblur.flows.build` makes the model from.
        model: the model.
        force: replace an existing file.
        extra: plain data (numbers, text, lists, dictionaries) and tensors to keep beside it.

    Raises:
        FileError: the file may not be written, see `deblur.files.atomic_write`.
    """
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    content = {"format": _FORMAT, "version": _VERSION, "config": dict(model_config), "weights": weights, "extra": extra}
    atomic_write(path, lambda file: torch.save(content, file), force=force)


def load(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint and build its model.

    Raises:
        FileError: there is no such file, it is no checkpoint, of another version, cut short, damaged, or its weights
            are not those of its configuration.
    """
    content = _read(Path(path), device)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise FileError(f"{path}: expected a checkpoint of a flow, got another torch file; make one with train-prior")
    if content.get("version") != _VERSION:
        raise FileError(
            f"{path}: expected checkpoint version {_VERSION}, got {content.get('version')}; "
            "use the program that wrote it"
        )
    if set(content) != _KEYS:
        raise FileError(f"{path}: expected the entries {', '.join(sorted(_KEYS))}, got {', '.join(map(str, content))}")
    if not all(isinstance(content[name], dict) for name in ("config", "weights", "extra")):
        raise FileError(f"{path}: expected its config, weights and extra to be dictionaries; train it again")
    try:
        with torch.random.fork_rng(devices=[]):  # building draws weights, which are overwritten: leave torch's state
            model = build(content["config"])
    except DeblurError as error:
        raise FileError(f"{path}: its configuration builds no model here ({error})") from error
    _fill(path, model, content["weights"])
    return Checkpoint(model.to(device).eval(), content["config"], content["extra"])


def _read(path: Path, device: str | torch.device) -> Any:
    """Return what torch.save wrote; the archive's checksums are looked at first."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if not zipfile.is_zipfile(path):
            what = "one that is cut short" if start == b"PK\x03\x04" else "something else"
            raise FileError(f"{path}: expected a checkpoint of a flow, got {what}; make one with train-prior")
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise FileError(f"{path}: is damaged at {damaged}; copy or train it again")
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such checkpoint; check the name") from None
    except (FileError, MemoryError):
        raise
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # torch raises whatever a broken file makes it trip over
        reason = _first_line(error)
        raise FileError(f"{path}: expected a checkpoint of a flow, got a damaged file or another ({reason})") from error


def _fill(path: str | Path, model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Put the weights into the model; where they don't fit, name the first that does not."""
    wanted = model.state_dict()
    for name in [*wanted, *weights]:
        mine, theirs = wanted.get(name), weights.get(name)
        if _kind(mine) != _kind(theirs):
            said = [_kind(mine), _kind(theirs)]
            raise FileError(
                f"{path}: expected {name} of its configuration to be {said[0]}, got {said[1]}; train it again"
            )
    model.load_state_dict(dict(weights))


def _kind(weight: object) -> str:
    """What a weight is, in words that are the same where one may take the other's place."""
    if not isinstance(weight, torch.Tensor):
        return "no such weight" if weight is None else "no tensor"
    kind = "complex " if weight.is_complex() else "" if weight.is_floating_point() else "whole "
    layout = "" if weight.layout == torch.strided else "sparse "
    return f"{layout}{kind}{tuple(weight.shape)}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
