"""Names of what training may change."""

from torch import nn

from stylehead.generator.panohead import PanoHead

MAPPER_PREFIX = "latent_mapper."
"""Where a mapper of style vectors stands among the names of a style file."""


def trainable_parameters(generator: PanoHead) -> list[tuple[str, nn.Parameter]]:
    """Name what distillation trains: tri-grid synthesis and super-resolution, without any bias."""
    prefixes = ("backbone.synthesis.", "superresolution.")
    return [
        (name, parameter)
        for name, parameter in generator.named_parameters()
        if name.startswith(prefixes) and not name.endswith(".bias")
    ]


def mapper_parameters(generator: PanoHead) -> dict[str, nn.Parameter]:
    """Name the parameters of the mapper of style vectors that stands before a generator, if one does."""
    return {
        f"{MAPPER_PREFIX}{name}": parameter
        for mapper, _ in generator.latent_edits
        for name, parameter in mapper.named_parameters()
    }
