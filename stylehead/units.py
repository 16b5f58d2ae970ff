"""Times, spans of time and sizes, written for people and manifests."""

import time
from datetime import datetime


def now() -> str:
    """Return the time, UTC, ISO 8601, in seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def seconds_between(start: str, end: str) -> float:
    """Return the seconds from one time to another, both as `now` writes them.

    Raises:
        ValueError: One of them is no such time.
    """
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def format_duration(seconds: float) -> str:
    """Write a time span for people: "42s", "38m", "2h05m"."""
    if seconds < 99.5:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02d}m"


def format_bytes(count: float) -> str:
    """Write a size for people: "512 B", "1.4 MB", "3.2 GB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
