"""How much memory this process took at most, where the operating system tells it (Linux)."""

from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""See proc(5): sets the peak resident size back to the present one."""


def reset_peak() -> bool:
    """Begin to measure; return whether that is possible here."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def peak_mib() -> float | None:
    """Return the largest resident size since `reset_peak` in MiB; None where nobody tells."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return round(int(sizes[0]) / 1024, 1) if sizes else None
