"""The memory tier of a job, from its settings and its device."""

from stylehead.memory import MemoryTier, choose_tier, device_memory
from stylehead.methods.config import StylizeConfig, TeacherSettings
from stylehead.precision import choose_dtype


def tier_of(config: StylizeConfig, device: str, *, largest_image: int) -> MemoryTier:
    """Return the tier that was asked for, or the first that fits into what is free on the device.

    Args:
        config: Settings of the job.
        device: Where it runs.
        largest_image: Edge in pixels of the largest picture that it makes or looks at.
    """
    asked = config.vae_precision if isinstance(config, TeacherSettings) else config.generator_precision
    return choose_tier(
        config.memory,
        device_bytes=device_memory(device),
        largest_image=largest_image,
        pictures=config.batch * (2 * config.views + 1) / 3,  # each view and its mirrored one, and a grid
        bytes_a_number=choose_dtype(asked, device).itemsize,
    )
