"""Precision, memory format and allocator, chosen by a short timed step instead of by belief."""

import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from flawsmith.training.config import TrainingConfig

PRODUCT_SIDE = 1024


@dataclass(frozen=True)
class Precision:
    """How a step computes: number format of the products, and memory format of the images."""

    dtype: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of images and convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context in which a forward pass runs."""
        if self.dtype == "fp32":
            return nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)

    def __str__(self) -> str:
        return f"{self.dtype}, {'channels last' if self.channels_last else 'channels first'}"


def candidates(config: TrainingConfig) -> list[Precision]:
    """Return what the configuration leaves to choose from; plain fp32 first."""
    dtypes: list[Literal["fp32", "bf16"]]
    dtypes = ["fp32", "bf16"] if config.precision == "auto" else [config.precision]
    formats = {"auto": [False, True], "yes": [True], "no": [False]}[config.channels_last]
    return [
        Precision(dtype, channels_last)
        for dtype in dtypes
        for channels_last in formats
        # bf16 without channels last was never the fastest on any CPU that we measured.
        if dtype == "fp32" or channels_last or formats == [False]
    ]


def worthwhile(options: list[Precision], device: torch.device) -> list[Precision]:
    """Leave bf16, which comes last, out where a processor's products in it are slower than in fp32.

    A step in it would then be slower, on some processors ten times, and timing a few of them
    would cost more than a short training can win back.
    """
    if device.type != "cpu" or len({option.dtype for option in options}) == 1:
        return options
    if product_seconds(torch.bfloat16) <= product_seconds(torch.float32):
        return options
    return [option for option in options if option.dtype == "fp32"]


def product_seconds(dtype: torch.dtype) -> float:
    """Return the seconds of a matrix product of 1024 x 1024, the best of three after a first."""
    matrix = torch.ones(PRODUCT_SIDE, PRODUCT_SIDE, dtype=dtype)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def choose(
    options: list[Precision], timed_step: Callable[[Precision], Callable[[], object]]
) -> tuple[Precision, dict[str, float]]:
    """Return the fastest option and the seconds a step of each.

    Args:
        options: what to choose from; a single one is taken without timing.
        timed_step: builds a fresh system in this precision and returns its step.
    """
    if len(options) == 1:
        return options[0], {}
    seconds = {}
    for option in options:
        step = timed_step(option)
        step()  # warms up: primitives are compiled and memory is fetched
        times = []
        for _ in range(2):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        seconds[str(option)] = min(times)
    fastest = min(options, key=lambda option: seconds[str(option)])
    return fastest, seconds


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory instead of returning it to the system after every step.

    A training step frees and asks again for the same hundreds of megabytes; page faults on them
    cost up to half of a convolution's time. Returns whether the setting was taken.
    """
    if sys.platform != "linux":
        return False
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(m_mmap_max, 0)) and bool(libc.mallopt(m_trim_threshold, -1))
    except (OSError, AttributeError):
        return False  # musl and others: nothing to set
