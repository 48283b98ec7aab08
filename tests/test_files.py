"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from deblur.errors import FileError
from deblur.files import atomic_write, check_writable, together, write_together


def test_bytes_and_functions_are_written(tmp_path):
    atomic_write(tmp_path / "a", b"one")
    atomic_write(str(tmp_path / "b"), lambda file: file.write(b"two"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"one", "b": b"two"}


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    message = f"{target}: already exists; choose another name or overwrite it with --force"
    for attempt in (lambda: atomic_write(target, b"new"), lambda: check_writable(target)):
        with pytest.raises(FileError) as caught:
            attempt()
        assert str(caught.value) == message
    assert target.read_bytes() == b"old"
    check_writable(target, force=True)
    atomic_write(target, b"new", force=True)
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, MemoryError, ValueError, FileError])
@pytest.mark.parametrize("exists", [False, True])
def test_an_exception_in_the_middle_leaves_nothing_behind(tmp_path, exception, exists):
    target = tmp_path / "a.tif"
    if exists:
        target.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        file.flush()
        assert len(list(tmp_path.iterdir())) == 1 + exists
        raise exception("stop")

    with pytest.raises(exception, match="stop"):
        atomic_write(target, write, force=exists)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"] * exists


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path):
    def write(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(FileError) as caught:
        atomic_write(tmp_path / "a.tif", write)
    assert str(caught.value) == (
        f"{tmp_path / 'a.tif'}: could not be written (No space left on device); nothing was left behind"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "a"

    def write(file):
        file.write(b"ours")
        target.write_bytes(b"theirs")

    with pytest.raises(FileError, match="already exists"):
        atomic_write(target, write)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"theirs"]


def test_without_hard_links_it_is_renamed(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr("os.link", no_links)
    atomic_write(tmp_path / "a", b"one")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]

    def write(file):
        (tmp_path / "b").write_bytes(b"theirs")

    with pytest.raises(FileError, match="already exists"):
        atomic_write(tmp_path / "b", write)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_permissions_are_the_usual_ones_or_those_replaced(tmp_path):
    usual = tmp_path / "usual"
    usual.write_bytes(b"")
    atomic_write(tmp_path / "new", b"")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    usual.chmod(0o640)
    atomic_write(usual, b"x", force=True)
    assert stat.S_IMODE(usual.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    real, link = tmp_path / "folder" / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    atomic_write(link, b"new", force=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path / "folder": "expected the name of a file, got a folder; add a file name",
        f"{tmp_path}/folder/": "expected the name of a file, got a folder; add a file name",
        tmp_path / "no" / "a.png": f"there is no folder {tmp_path / 'no'}; make it first or choose another one",
        tmp_path / "file" / "a.png": f"there is no folder {tmp_path / 'file'}; make it first or choose another one",
        tmp_path / "pipe": "expected a regular file, got a device or a pipe; choose another name",
        tmp_path / ("x" * 300): "cannot be a file name (File name too long); choose another one",
        "a\0b": "cannot be a file name (",
    }
    for path, message in cases.items():
        for force in (False, True):
            with pytest.raises(FileError) as caught:
                check_writable(path, force)
            assert str(caught.value).startswith(f"{path}: {message}")
            with pytest.raises(FileError):
                atomic_write(path, b"x", force=force)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "pipe"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="cannot be written to; choose another one"):
        check_writable(tmp_path / "a")


def test_an_input_is_never_overwritten(tmp_path):
    photo, other = tmp_path / "photo.png", tmp_path / "other.png"
    photo.write_bytes(b"original")
    other.symlink_to(photo)
    for target in (photo, other):
        with pytest.raises(FileError, match=r"is the input itself, which is never overwritten; choose another name$"):
            check_writable(target, force=True, sources=["-", tmp_path / "missing.png", photo])
    check_writable(tmp_path / "new.png", sources=[photo])


@pytest.mark.parametrize("failure", [FileError("full"), KeyboardInterrupt()])
def test_files_that_belong_together_are_written_all_or_none(tmp_path: Path, failure: BaseException) -> None:
    (tmp_path / "old").write_bytes(b"old")

    def fail(*, force: bool) -> None:
        raise failure

    def fine(name: str) -> tuple[str, Callable[..., None]]:
        return name, lambda force: atomic_write(name, b"new", force=force)

    names = [str(tmp_path / name) for name in ("old", "made/a", "made/b")]
    with pytest.raises(type(failure)):
        write_together([*map(fine, names), (str(tmp_path / "c"), fail)], force=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    write_together([*map(fine, names)], force=True)
    assert all(Path(name).read_bytes() == b"new" for name in names)


def all_of(
    folder: Path, names: Iterable[str], content: bytes, *, force: bool = False, then: Callable[[], object] | None = None
) -> None:
    """Write files of one content together; `then` is called before they take their names."""
    with together():
        for name in names:
            atomic_write(folder / name, content, force=force)
        if then is not None:
            then()


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_where_one_of_several_can_not_have_its_name_all_old_files_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int, links: bool
) -> None:
    names = ["old", "new", "other"]
    for name in ("old", "other"):
        (tmp_path / name).write_bytes(b"before")
    replace = os.replace

    def rename(source: Path, target: Path) -> None:
        if Path(target).name == names[broken]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, target)

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", rename)
        if not links:
            patched.setattr(os, "link", no_links)
        with pytest.raises(FileError, match=rf"{names[broken]}: could not be written \(Input/output error\)"):
            all_of(tmp_path, names, b"after", force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"old": b"before", "other": b"before"}


def test_a_file_that_appears_while_others_are_written_is_kept_and_they_go(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="b: already exists"):
        all_of(tmp_path, "abc", b"ours", then=lambda: (tmp_path / "b").write_bytes(b"theirs"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b": b"theirs"}


@pytest.mark.parametrize("late", [False, True])
def test_an_interruption_between_two_names_leaves_all_old_or_all_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"old")
    replace = os.replace

    def rename(source: Path, target: Path) -> None:
        replace(source, target)
        if Path(target).name == ("b" if late else "a") and Path(target).read_bytes() == b"new":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", rename)
    with pytest.raises(KeyboardInterrupt):
        all_of(tmp_path, "ab", b"new", force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(
        "ab", b"new" if late else b"old"
    )


def test_a_writer_that_says_nothing_of_a_full_disk_is_a_full_disk(tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        try:
            file.write(b"x" * 4096)
            file.flush()
        except OSError:
            raise RuntimeError("unexpected position 64 vs 0") from None

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(FileError, match=r"could not be written \(File too large\)"):
            atomic_write(tmp_path / "a", write)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
