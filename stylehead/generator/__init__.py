"""PanoHead in plain PyTorch: mapping, synthesis, tri-grid volume renderer and super-resolution."""

from stylehead.generator.config import GeneratorConfig, RenderingConfig, SuperresolutionConfig
from stylehead.generator.panohead import (
    PanoHead,
    PointSamples,
    RawOutput,
    RenderOptions,
    RenderOutput,
)
from stylehead.generator.renderer import (
    DensityEdits,
    DepthDraws,
    MarchOutput,
    Rays,
    RaySamples,
    camera_rays,
    march,
    render_rays,
)
from stylehead.generator.trigrid import TriGrid, sample_trigrid

__all__ = [
    "DensityEdits",
    "DepthDraws",
    "GeneratorConfig",
    "MarchOutput",
    "PanoHead",
    "PointSamples",
    "RawOutput",
    "RaySamples",
    "Rays",
    "RenderOptions",
    "RenderOutput",
    "RenderingConfig",
    "SuperresolutionConfig",
    "TriGrid",
    "camera_rays",
    "march",
    "render_rays",
    "sample_trigrid",
]
