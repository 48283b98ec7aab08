"""The command line: a command is a signature, a call and a report.

`main` is the console script `deblur` and the only place that catches errors. A new command is one file beside this one
and one line in `COMMANDS`; two words make a command of a group.

Nothing here imports torch, OpenCV or NumPy before a command runs, so that `--help` and `--version` answer at once.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

import deblur
from deblur.cli import (
    apply,
    blur,
    console,
    denoise,
    evaluate,
    evaluate_prior,
    fit,
    gui,
    info,
    interrupt,
    psf_make,
    psf_show,
    sample,
    surroundings,
    train_prior,
)

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, Callable[..., None]] = {
    "apply": apply.apply,
    "fit": fit.fit,
    "denoise": denoise.denoise,
    "blur": blur.blur,
    "psf make": psf_make.make,
    "psf show": psf_show.show,
    "evaluate": evaluate.evaluate,
    "train-prior": train_prior.train_prior,
    "evaluate-prior": evaluate_prior.evaluate_prior,
    "sample": sample.sample,
    "gui": gui.gui,
    "info": info.info,
}

_GROUPS = {"psf": "Make blur kernels and look at them."}

# The options of `psf make` are the parameters of the shape it is asked for, so it takes whatever comes.
_CONTEXT: dict[str, dict[str, Any]] = {"psf make": {"ignore_unknown_options": True}}


_Misuse: Any = typer.BadParameter.__mro__[2]  # what Typer raises of what is typed, and its kinds

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of malloc.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; nothing a user can type ends in a traceback.

    0: done. 1: refused or failed, with one line `deblur: error: ...` on stderr. 2: wrong usage. 130: interrupted; no
    partial file is left, since every file is written under another name first. A defect of ours is one line too. With
    `DEBLUR_DEBUG=1` in the environment every error shows its traceback instead.

    Args:
        arguments: the words after the command's name; those of the process by default.
    """
    if arguments is None:
        surroundings.open_streams()
        surroundings.ignore_warnings()
        interrupt.watch()
        _keep_memory()
        _wait_quietly()
        _start_small()
    surroundings.listen()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        surroundings.check_folder()
        code = _run(words)
        if arguments is None:
            surroundings.flush()
    except KeyboardInterrupt:
        return interrupt.STATUS
    except Exception as error:
        if os.environ.get("DEBLUR_DEBUG"):
            raise
        console.error(console.describe(error))
        return 1
    return code


def _run(words: list[str]) -> int:
    """Run the command that the words ask for; a usage error is said here."""
    if words and _is_picture(words[0]):
        console.line(console.shortened(f"did you mean: deblur apply {shlex.join(words)}"), on_stderr=True)
        return 2
    try:
        result = _application()(args=words, prog_name="deblur", standalone_mode=False)
    except SystemExit as leaving:  # of a pipe whose reader left
        result = leaving.code
    except typer.Abort:
        return interrupt.STATUS
    except _Misuse as error:
        said = error.format_message()
        if "\n" not in said:  # else it is the help, which stands for an error where a group is given no command
            error.format_message = lambda: console.shortened(said)
        error.show()
        return int(error.exit_code)
    return result if isinstance(result, int) else 0


def _is_picture(word: str) -> bool:
    """Whether the first word is a picture and no command."""
    if word.startswith("-") or word in {command.split()[0] for command in COMMANDS}:
        return False
    if os.path.isfile(word):
        return True
    if not os.path.splitext(word)[1]:
        return False
    from deblur.images import format_named

    return format_named(word) is not None


def _keep_memory() -> None:
    """Let the process keep what it frees, in large pages: getting them anew took a quarter of a restoration's time."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it before its first tensor
    try:
        mallopt = ctypes.CDLL(None).mallopt  # glibc's
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26)):
        mallopt(parameter, value)


def _wait_quietly() -> None:
    """Let idle threads spin for some 30 microseconds, then sleep: on a busy machine they take the processor from those
    that they wait for, and a thumbnail took twice as long (benchmarks/busy.py)."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"  # GNU's, read when torch loads it
        os.environ["KMP_BLOCKTIME"] = "0"  # LLVM's and Intel's


def _start_small() -> None:
    """Let NumPy's, SciPy's and OpenCV's OpenBLAS, which little is asked of here, take no buffer for each processor when
    they are loaded: where memory is short they wait for one for ever."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _application() -> typer.Typer:
    app = _group()
    app.callback()(_root)
    groups = {name: _group(text) for name, text in _GROUPS.items()}
    for words, function in COMMANDS.items():
        *group, name = words.split()
        parent = groups[group[0]] if group else app
        parent.command(name, context_settings=_CONTEXT.get(words))(function)
    for name, subcommands in groups.items():
        app.add_typer(subcommands, name=name)
    return app


def _group(text: str | None = None) -> typer.Typer:
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"deblur {deblur.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Restore blurred pictures, and find their blur kernels."""
