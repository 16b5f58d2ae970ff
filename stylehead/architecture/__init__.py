"""What a generator is made of, as plain data: its configuration, and the names and shapes of its weights.

No network is built here and torch is not imported, so that files can be checked before anything else is done.
"""

from stylehead.architecture.generator_config import (
    DECODER_FEATURES,
    DECODER_HIDDEN,
    DecoderActivation,
    GeneratorConfig,
    RenderingConfig,
    SuperresolutionConfig,
)
from stylehead.architecture.layout import (
    CONFIG_KEY,
    FORMAT_KEY,
    GENERATOR_FORMAT,
    UNUSED_TENSOR,
    state_shapes,
)

__all__ = [
    "CONFIG_KEY",
    "DECODER_FEATURES",
    "DECODER_HIDDEN",
    "FORMAT_KEY",
    "GENERATOR_FORMAT",
    "UNUSED_TENSOR",
    "DecoderActivation",
    "GeneratorConfig",
    "RenderingConfig",
    "SuperresolutionConfig",
    "state_shapes",
]
