"""Draws a GLB without any of the package's own drawing: the example's, read by trimesh, drawn by OpenGL."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

EXAMPLE = Path(__file__).parents[2] / "examples" / "mesh_fidelity.py"


def drawn_unlit(path: Path, labels: Tensor, size: int) -> np.ndarray:
    """Pictures [B, 3, size, size] in 0..1 of a textured mesh on white, from cameras [B, 25]."""
    pytest.importorskip("moderngl")
    spec = importlib.util.spec_from_file_location("mesh_fidelity", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return np.asarray(module.drawn_unlit(path, labels, size))
