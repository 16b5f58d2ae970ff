"""Fixed numbers as tensors, made once for each type and device.

Made anew in every call they would be uploaded in every call, and a graphics card is waited for each time.
"""

import functools
from typing import Any

import torch
from torch import Tensor


@functools.cache
def constant(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers, or nested tuples of them, as a tensor that must not be written to."""
    with torch.inference_mode(False):  # else it could never take part in a training afterwards
        return torch.tensor(values, dtype=dtype, device=device)


def like(values: Any, tensor: Tensor) -> Tensor:
    """Return numbers, or nested tuples of them, in a tensor's type and on its device."""
    return constant(values, tensor.dtype, tensor.device)
