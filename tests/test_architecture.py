"""The house as a whole: what is public, what an import costs, where things stand."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import deblur
import deblur.psf

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "deblur"
FOLDERS_OF_PAGES = ("docs", "benchmarks", "csrc", "samples", "configs")
MODULES = sorted(PACKAGE.rglob("*.py"))

PUBLIC = {
    "deblur": [
        "ApplyOptions",
        "DenoiseOptions",
        "FitOptions",
        "Picture",
        "__version__",
        "apply",
        "blur",
        "denoise",
        "estimate",
        "fit",
        "remove_noise",
        "restore",
    ],
    "deblur.errors": [
        "ConfigError",
        "DeblurError",
        "DeblurWarning",
        "DivergedError",
        "DtypeError",
        "FileError",
        "KernelError",
        "OptionError",
        "ShapeError",
        "SingularAnchorError",
        "UnstableInverseError",
        "did_you_mean",
    ],
    "deblur.estimation": ["ESTIMATORS", "Estimate", "Estimator", "check_names", "estimator"],
    "deblur.files": ["Content", "atomic_write", "check_writable", "together", "write_together"],
    "deblur.flows": [
        "FLOWS",
        "Architecture",
        "Flow",
        "ImageFlow",
        "ImagePrior",
        "ImagePriorFlow",
        "MultiScale",
        "NoiseConditional",
        "build",
    ],
    "deblur.flows.checkpoint": ["Checkpoint", "load", "save"],
    "deblur.images": [
        "FORMATS",
        "LOSSY",
        "Coding",
        "Format",
        "Frame",
        "Metadata",
        "Resolution",
        "check_storable",
        "check_writable",
        "encode",
        "format_named",
        "losses",
        "output_format",
        "read_bytes",
        "read_frames",
        "write_frames",
        "written_as",
        "written_name",
    ],
    "deblur.layers": [
        "TRANSFORMS",
        "ActNorm",
        "AffineCoupling",
        "ChannelReversal",
        "Composition",
        "DCTWhitening",
        "FIncUnit",
        "FeatureCoupling",
        "InverseConv",
        "InvertibleConv1x1",
        "Logit",
        "MaskedConv",
        "MaskedWhitening",
        "SplineActivation",
        "SplineCoupling",
        "Split",
        "Squeeze",
        "Transform",
        "UniformDequantisation",
        "VariationalDequantisation",
    ],
    "deblur.layout": ["as_batch", "as_given", "as_planes", "channels_first", "middle", "rows_first"],
    "deblur.metrics": ["METRICS", "common_part", "psnr", "shift_tolerant_psnr", "ssim"],
    "deblur.ops": ["StabilityReport", "log_abs_det", "masked_conv2d", "masked_conv2d_solve", "stability", "warmup"],
    "deblur.psf": [
        "SHAPES",
        "Description",
        "Factors",
        "Kernel",
        "MaskedForm",
        "Reading",
        "airy",
        "box",
        "check",
        "check_name",
        "defocus",
        "describe",
        "draw",
        "encode",
        "exponential",
        "factorize",
        "fits",
        "flip",
        "gaussian",
        "laplace",
        "make",
        "masked_form",
        "motion",
        "origin",
        "read",
        "remarks",
        "resolve",
        "save",
        "shake",
        "trim",
        "understood",
    ],
    "deblur.psf.operator": ["BOUNDARIES", "Blur", "blur", "each_channel", "of_channel", "transfer_function"],
    "deblur.restoration": ["PRECONDITIONERS", "RESTORERS", "Problem", "Restoration", "Restorer", "RichardsonLucy"],
    "deblur.restoration.auto": [
        "DEFAULT_METHOD",
        "LARGE",
        "LARGE_SETTINGS",
        "QUIET",
        "SMALL_METHOD",
        "WORDS",
        "choose",
        "configured",
        "named",
    ],
    "deblur.transfer": [
        "LEAST_SLOPE",
        "TRANSFERS",
        "Transfer",
        "coded",
    ],
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_decided(module: str) -> None:
    """A name that comes or goes is a decision: change it here and say it in CHANGELOG.md."""
    assert sorted(importlib.import_module(module).__all__) == sorted(PUBLIC[module])


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there_and_explained(module: str) -> None:
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        assert hasattr(loaded, name), name
        if callable(getattr(loaded, name)):
            assert getattr(loaded, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="deblurr"):
        deblur.deblurr  # noqa: B018


@pytest.mark.parametrize(
    "module", ["deblur", "deblur.errors", "deblur.layout", "deblur.config", "deblur.files", "deblur.cli"]
)
def test_a_light_module_imports_nothing_heavy(module: str) -> None:
    heavy = ("torch", "numpy", "cv2", "scipy", "skimage")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "[]", result.stderr


def test_torch_waits_until_it_is_needed() -> None:
    """Kernels are NumPy arrays: to make, read or save one takes no torch."""
    code = "import sys, deblur.psf; deblur.psf.make('box:size=3'); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "False", result.stderr


#: Still to be cut in two; the list only shrinks.
def test_a_module_is_one_idea() -> None:
    """It says what it is about, and is no longer than one can read in a sitting."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in MODULES}
    without = [name for name, text in texts.items() if not ast.get_docstring(ast.parse(text))]
    assert without == [], "a module starts with its idea"
    lengths = {name: len(text.splitlines()) for name, text in texts.items()}
    long = {name: length for name, length in lengths.items() if length > 300}
    assert long == {}, "a module has at most 300 lines"


def test_only_the_console_prints() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
            assert called != "print", f"{path}:{node.lineno}"


def test_the_version_is_stated_alike() -> None:
    stated = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert stated is not None
    assert stated[1] == deblur.__version__
    assert f"## {deblur.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_is_pinned_for_the_checks() -> None:
    """So that a fresh clone gets what was tested, and no newer torch of several gigabytes."""
    project = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|test) = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL)
    needed = {re.split(r"[<>=\[]", word)[0].lower() for text in lists for word in re.findall(r'"([^"]+)"', text)}
    pins = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert {"torch", "typer", "pytest"} <= needed
    assert needed <= pins


def test_links_in_the_docs_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(page for folder in FOLDERS_OF_PAGES for page in (ROOT / folder).rglob("*.md"))]
    assert len(pages) > 20
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_examples_in_the_docs_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    gray = np.random.default_rng(0).integers(0, 256, (72, 80), dtype=np.uint8)
    names = {"array": deblur.blur(gray, "motion:length=5,angle=0"), "kernel": "motion:length=5,angle=0"}
    deblur.psf.save("k.npy", deblur.psf.make("box:size=3"))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        block = block.replace("deblur.fit(array)", 'deblur.fit(array, parametric="motion")')  # in seconds
        exec(block.replace("deblur.apply(array)", 'deblur.apply(array, "motion")'), names)
    assert names["restored"].dtype == np.uint8


def test_the_tree_in_the_docs_is_the_tree() -> None:
    """Every folder and module of the package stands in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    folders = [path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    modules = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    for name in folders:
        assert re.search(rf"\b{name}/", text), name
    for name in modules:
        assert name in text, name
