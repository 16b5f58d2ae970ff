"""Reads the reference numbers in `tests/data/golden` and sets up the networks that made them."""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from stylehead.generator import (
    DensityEdits,
    DepthDraws,
    GeneratorConfig,
    PanoHead,
    RawOutput,
    RenderOptions,
    RenderOutput,
)

FOLDER = Path(__file__).parents[1] / "data" / "golden"


@cache
def tensors(name: str) -> dict[str, Tensor]:
    return load_file(FOLDER / f"{name}.safetensors")


@cache
def document(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def inputs(name: str) -> Tensor:
    return tensors("tiny_inputs")[name]


def expected(name: str) -> Tensor:
    return tensors("tiny_outputs")[name]


def tiny_config(**rendering: Any) -> GeneratorConfig:
    config = GeneratorConfig.from_published(document("tiny_config"))
    return dataclasses.replace(config, rendering=dataclasses.replace(config.rendering, **rendering))


def tiny(**rendering: Any) -> PanoHead:
    """The reference network, with other rendering options if asked."""
    generator = PanoHead(tiny_config(**rendering))
    generator.load_state_dict(tensors("tiny_weights"))
    return generator.eval()


def draws(names: dict[str, str] | None) -> DepthDraws | None:
    return None if names is None else DepthDraws(inputs(names["coarse"]), inputs(names["fine"]))


def cameras(names: list[str]) -> Tensor:
    return torch.cat([inputs(f"c/{name}") for name in names])


def case_named(name: str) -> dict[str, Any]:
    return next(case for case in document("tiny_cases")["cases"] if case["name"] == name)


@torch.no_grad()
def run(case: dict[str, Any], *, fork: bool = False) -> tuple[RawOutput, RenderOutput]:
    """Render a case of `tiny_cases.json`: what super-resolution starts from, and the pictures."""
    generator = tiny(
        **case["rendering_kwargs"],
        decoder_activation=case["decoder_activation"],
        use_torgb_raw=case["use_torgb_raw"],
    )
    source = expected(case["ws"]["tensor"])
    ws = source[case["ws"]["rows"]] * case["ws"]["scale"]
    options = RenderOptions(
        resolution=case["neural_rendering_resolution"],
        edits=DensityEdits(**case["renderer_args"]),
        draws=draws(case["draws"]),
        raw_mask=fork,
        empty_depth="smallest" if fork else "largest",
        ws_background=source[case["ws_bcg_rows"]] if case.get("ws_bcg_rows") else None,
    )
    white = fork and case["fork_args"].get("make_background_white", False)
    how = {
        "background": "white" if white else case["background"],
        "noise_mode": case["noise_mode"],
        "options": options,
    }
    planes = generator.planes(ws, noise_mode=case["noise_mode"])
    labels = cameras(case["cam"])
    return generator.render_raw(planes, ws, labels, **how), generator.render(planes, ws, labels, **how)


def assert_close(actual: Tensor, reference: Tensor, tolerance: float = 1e-5) -> None:
    """Largest difference at most tolerance times the reference's largest magnitude (at least 1)."""
    assert actual.shape == reference.shape
    scale = max(1.0, reference.abs().max().item())
    difference = (actual - reference).abs().max().item()
    assert difference <= tolerance * scale, f"{difference:.2e} off, at a scale of {scale:.3g}"
