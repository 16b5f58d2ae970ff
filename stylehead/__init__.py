"""Restyle 3D heads from a text prompt, keeping every person who they are."""

__version__ = "0.1.0"
