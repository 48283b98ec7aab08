"""Where to compute: how many threads a process may take."""

import os
from pathlib import Path

import pytest
import torch

from deblur.device import processors, using_threads


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


def system(root: Path, membership: str, **files: str) -> Path:
    """A folder with the cgroup files of a process: names are paths below sys/fs/cgroup, with __ for a slash."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name.replace("__", "/").replace("cpu_max", "cpu.max")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_without_a_quota_all_the_affinity_mask_allows(tmp_path):
    assert processors(system(tmp_path, "0::/\n", cpu_max="max 100000\n")) == 8


def test_without_cgroups_all_the_affinity_mask_allows(tmp_path):
    assert processors(tmp_path) == 8


@pytest.mark.parametrize(("quota", "count"), [("300000 100000", 3), ("250000 100000", 2), ("50000 100000", 1)])
def test_a_quota_leaves_its_whole_processors(tmp_path, quota, count):
    assert processors(system(tmp_path, "0::/\n", cpu_max=quota)) == count


def test_the_least_quota_above_a_process_counts(tmp_path):
    files = {"a__cpu_max": "200000 100000", "a__b__cpu_max": "600000 100000"}
    assert processors(system(tmp_path, "0::/a/b\n", **files)) == 2


def test_a_quota_of_the_first_version_counts(tmp_path):
    folder = tmp_path / "sys/fs/cgroup/cpu/job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("400000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert processors(system(tmp_path, "4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n")) == 4


def test_no_more_threads_than_processors_and_torch_gets_its_own_back(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    before = torch.get_num_threads()
    with using_threads(64):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_small_frame_takes_one_thread_unless_more_are_asked_for():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for count, pixels, threads in ((None, 80 * 80, 1), (2, 80 * 80, 2), (None, 2**20, 2), (None, None, 2)):
            with using_threads(count, pixels):
                assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
