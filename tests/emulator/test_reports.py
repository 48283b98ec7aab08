"""The emulator itself, on kernels of a few lines: what it reports, where, and what it makes of a launch."""

from __future__ import annotations

import pytest
import torch
from emulated import Emulator, EmulatorError, HostCompiler, Runner

from deblur.ops._cuda import modules
from deblur.ops._cuda.plan import Problem


def launch(
    body: str, *, grid: int = 1, block: int = 64, shared: int = 0, seed: int = 0, resident: int = 8, sanitizer: str = ""
) -> torch.Tensor:
    """Run a kernel with this body, which starts in line 4 of toy.cuh, and return the integers it left in `flags`."""
    text = f'#include "problem.cuh"\nDEBLUR_KERNEL(toy, 1024) {{\nint* const flags = problem.flags;\n{body}\n}}\n'
    headers = {**modules.find_sources(), "toy.cuh": text}
    driver = (Runner if sanitizer else Emulator)(seed=seed, resident=resident)
    image = HostCompiler(sanitizer).compile("toy.cuh", headers, ("-DDEBLUR_SCALAR=float",), "sm_90")
    function = driver.load(0, image, ("toy",))["toy"]
    flags = torch.zeros(256, dtype=torch.int32)
    driver.launch(function, 0, grid, block, shared, Problem(flags=flags.data_ptr()), (flags,))
    return flags


def report(body: str, **options) -> str:
    with pytest.raises(EmulatorError) as caught:
        launch(body, **options)
    return str(caught.value)


def test_every_thread_of_every_block_runs_once() -> None:
    flags = launch("atomicAdd(flags + blockIdx.x, 1 + int(threadIdx.x));", grid=20, block=64)
    assert flags[:20].tolist() == [64 + 63 * 32] * 20
    assert not flags[20:].any()


def test_shared_memory_is_nan_at_first() -> None:
    body = "DEBLUR_SHARED_MEMORY(shared);\nif (shared[threadIdx.x] != shared[threadIdx.x]) atomicAdd(flags, 1);"
    assert launch(body, shared=64 * 4)[0] == 64


def test_shared_memory_has_not_a_byte_more_than_asked_for() -> None:
    body = "DEBLUR_SHARED_MEMORY(shared);\nshared[threadIdx.x] = 0;"
    launch(body, shared=64 * 4, sanitizer="address")
    assert "heap-buffer-overflow" in report(body, shared=63 * 4, sanitizer="address")


def test_divergent_barriers_are_named_with_file_and_line() -> None:
    text = report("if (threadIdx.x < 32) {\n__syncthreads();\n} else {\n__syncthreads();\n}")
    assert text.startswith("divergent barriers: ")
    assert "toy.cuh:5" in text
    assert "toy.cuh:7" in text


@pytest.mark.parametrize("seed", range(4))
def test_an_exit_before_a_barrier_is_reported(seed: int) -> None:
    text = report("if (threadIdx.x == 40) return;\n__syncthreads();", seed=seed)
    assert "toy.cuh:5" in text
    assert "end" in text


def test_a_lane_missing_from_its_mask_is_reported() -> None:
    assert report("__syncwarp(0x0000ffffu);") == "thread 16 of block 0 is missing from its own mask at toy.cuh:4"


def test_a_lane_that_ended_is_missed_by_its_warp() -> None:
    text = report("if (threadIdx.x % 32 == 3) return;\n__syncwarp();")
    assert "waits for its warp at toy.cuh:5, but thread 3 of block 0 has ended" in text


def test_a_shuffle_from_outside_the_mask_is_reported() -> None:
    body = "if (threadIdx.x < 8) flags[threadIdx.x] = __shfl_xor_sync(0xffu, int(threadIdx.x), 8);"
    assert "reads a lane that is missing from the mask at toy.cuh:4" in report(body)


def test_a_shuffle_exchanges_values() -> None:
    flags = launch("flags[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 10 * int(threadIdx.x), 5);")
    assert flags[:64].tolist() == [10 * (k ^ 5) for k in range(64)]


def test_a_shuffle_orders_nothing() -> None:
    body = (
        "flags[threadIdx.x] = 1;\n"
        "const int other = __shfl_xor_sync(0xffffffffu, int(threadIdx.x), 1);\n"
        "{}"
        "flags[64 + threadIdx.x] = flags[other];"
    )
    assert "data race" in report(body.format(""), sanitizer="thread")
    launch(body.format("__syncwarp();\n"), sanitizer="thread")


def test_a_deadlock_says_who_waits_where() -> None:
    text = report(
        "while (load_acquire(flags) < int(blockIdx.x)) pause();\n__syncthreads();", grid=3, resident=2, block=32
    )
    assert text.startswith("deadlock:")
    assert "block 1: 32 threads, each waits for a flag at toy.cuh:4" in text
    text = report("if (threadIdx.x < 32) __syncwarp();\nelse __syncthreads();\nif (threadIdx.x < 32) return;", seed=3)
    assert "toy.cuh:5" in text


def test_a_flag_that_is_stored_to_ends_the_wait() -> None:
    body = "if (blockIdx.x == 0) {\nstore_release(flags, 7);\n} else {\nwhile (load_acquire(flags) != 7) pause();\n}"
    for seed in range(5):
        assert launch(body, grid=4, seed=seed)[0] == 7


def test_a_seed_is_an_order_of_blocks_and_threads() -> None:
    body = "const int turn = atomicAdd(flags + 255, 1);\nflags[turn] = 64 * blockIdx.x + threadIdx.x;"

    def order(seed: int) -> list[int]:
        return launch(body, grid=3, seed=seed)[:192].tolist()

    assert order(0) == list(range(192))
    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(2)) == list(range(192))


@pytest.mark.parametrize("resident", [1, 3])
def test_no_more_blocks_are_alive_than_fit(resident: int) -> None:
    body = (
        "if (threadIdx.x == 0) {\nconst int alive = 1 + atomicAdd(flags, 1);\nflags[1 + blockIdx.x] = alive;\n}\n"
        "__syncthreads();\nif (threadIdx.x == 0) atomicAdd(flags, -1);"
    )
    flags = launch(body, grid=12, seed=2, resident=resident)
    assert int(flags[1:13].max()) == resident


def test_a_launch_has_the_arguments_layout_of_the_kernel() -> None:
    """ctypes' offsets are the compiler's, for every field; the sizes are asserted in both languages."""
    names = [name for name, *_ in Problem._fields_]
    checks = "".join(f"flags[{k}] = __builtin_offsetof(Problem, {name});\n" for k, name in enumerate(names))
    flags = launch("if (threadIdx.x == 0) {\n" + checks + "}")
    assert flags[: len(names)].tolist() == [getattr(Problem, name).offset for name in names]
