"""Whether this process is one of several of one run, from its environment; nothing heavy is imported."""

import os


def how_many() -> int:
    """Return how many processes were started for one run, as `torchrun` and `accelerate launch` do it."""
    size = os.environ.get("WORLD_SIZE", "1")
    return int(size) if size.isdigit() and "RANK" in os.environ else 1


def is_follower() -> bool:
    """Whether another process writes and speaks."""
    return how_many() > 1 and os.environ["RANK"] != "0"
