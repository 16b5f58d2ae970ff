"""The generator's configuration, which lives below it in `stylehead.architecture`."""

from stylehead.architecture import (
    DECODER_FEATURES,
    DECODER_HIDDEN,
    DecoderActivation,
    GeneratorConfig,
    RenderingConfig,
    SuperresolutionConfig,
)

__all__ = [
    "DECODER_FEATURES",
    "DECODER_HIDDEN",
    "DecoderActivation",
    "GeneratorConfig",
    "RenderingConfig",
    "SuperresolutionConfig",
]
