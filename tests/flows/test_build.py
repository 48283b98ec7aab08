"""Models from plain data: strict, and the same from the same seed."""

from __future__ import annotations

import pytest
import torch

from deblur.errors import ConfigError, OptionError
from deblur.flows import FLOWS, build

CONFIG = {"architecture": "multiscale", "shape": [1, 8, 8], "steps": 1, "hidden": 4}


def test_the_seed_decides_all_parameters() -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(4)
        models.append(build(CONFIG).state_dict())
    assert all(torch.equal(models[0][name], value) for name, value in models[1].items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kernelsize": 3}, "unknown key 'kernelsize', did you mean 'kernel_size'?"),
        ({"architecture": "multi_scale"}, "unknown architecture 'multi_scale', did you mean 'multiscale'?"),
        ({"architecture": None}, "no architecture"),
        ({"step": "fink"}, "step: expected one of finc, inverse, glow, none, got 'fink'"),
        ({"shape": [1, 8]}, "shape: expected 3 values, got 2"),
        ({"hidden": "many"}, "hidden: expected a whole number"),
    ],
)
def test_a_wrong_key_or_value_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        build({**CONFIG, **change})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"levels": 0}, "expected levels of 1 to 4096, got 0"),
        ({"shape": [1, 8, 6], "levels": 2}, r"divisible by 2\^levels = 4, got \(1, 8, 6\)"),
        ({"activation": "rellu"}, "unknown activation 'rellu', did you mean 'relu'"),
        ({"alpha": 0.5}, "expected alpha between 0 and 0.5, got 0.5"),
        ({"orientations": []}, "at least one orientation"),
        ({"orientations": ["top"]}, "expected an orientation of top_left, .*, got 'top'"),
    ],
)
def test_a_value_that_makes_no_flow_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        build({**CONFIG, **change})


def test_every_architecture_explains_itself() -> None:
    assert all(architecture.__doc__ for architecture in FLOWS.values())
