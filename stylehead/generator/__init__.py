"""PanoHead in plain PyTorch: mapping, synthesis, tri-grid volume renderer and super-resolution."""

from stylehead.architecture import GeneratorConfig, RenderingConfig, SuperresolutionConfig
from stylehead.generator.latent_mapper import LatentMapper
from stylehead.generator.low_rank import Change, LowRank
from stylehead.generator.outputs import PointSamples, RawOutput, RenderOptions, RenderOutput
from stylehead.generator.panohead import PanoHead
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
from stylehead.generator.style_file import (
    Style,
    StyleMix,
    changed_tensors,
    load_style,
    mapper_parameters,
    mix_styles,
    remove_styles,
    save_style,
    trainable_parameters,
)
from stylehead.generator.trigrid import TriGrid, sample_trigrid

__all__ = [
    "Change",
    "DensityEdits",
    "DepthDraws",
    "GeneratorConfig",
    "LatentMapper",
    "LowRank",
    "MarchOutput",
    "PanoHead",
    "PointSamples",
    "RawOutput",
    "RaySamples",
    "Rays",
    "RenderOptions",
    "RenderOutput",
    "RenderingConfig",
    "Style",
    "StyleMix",
    "SuperresolutionConfig",
    "TriGrid",
    "camera_rays",
    "changed_tensors",
    "load_style",
    "mapper_parameters",
    "march",
    "mix_styles",
    "remove_styles",
    "render_rays",
    "sample_trigrid",
    "save_style",
    "trainable_parameters",
]
