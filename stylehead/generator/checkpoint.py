"""Safetensors files of generators: atomic writing, checked reading, fingerprints."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stylehead import __version__
from stylehead.architecture import CONFIG_KEY, FORMAT_KEY, GENERATOR_FORMAT, UNUSED_TENSOR, GeneratorConfig
from stylehead.errors import JobError, MissingError, StyleheadError, tensor_damage
from stylehead.files import save_tensors
from stylehead.generator.ops import resample_filter


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file so that it is there whole or not at all.

    Raises:
        JobError: A header entry is not a string, or the file cannot be written.
    """
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise JobError(f"Header entry `{key}` (={value}) must be a string.")
    try:
        save_tensors(Path(path), {key: tensor.cpu() for key, tensor in tensors.items()}, metadata)
    except OSError as error:
        raise JobError(f"Cannot write {path}: {error.strerror}.") from error


def read_with_header(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors and the header entries of a safetensors file.

    Raises:
        MissingError: There is no such file.
        JobError: The file is cut short or is no safetensors file.
    """
    if not Path(path).is_file():
        raise MissingError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise JobError(f"{path} {tensor_damage(error)}.") from error


def save_generator(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    config: GeneratorConfig,
    metadata: Mapping[str, str],
) -> None:
    """Write a generator's weights with its configuration in the header."""
    header = {FORMAT_KEY: GENERATOR_FORMAT, CONFIG_KEY: config.to_json(), "stylehead.version": __version__}
    write_tensors(path, state, {**metadata, **header})


def load_generator(
    path: str | os.PathLike[str], config: GeneratorConfig | None
) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Read a generator's configuration and its weights in single precision."""
    tensors, metadata = read_with_header(path)
    if metadata.get(FORMAT_KEY, GENERATOR_FORMAT) != GENERATOR_FORMAT:
        raise JobError(f"{path} holds `{metadata[FORMAT_KEY]}`, not a generator this version can read.")
    if config is None:
        config = _config_of(metadata, path)
    tensors.pop(UNUSED_TENSOR, None)
    return config, {key: value.float() for key, value in tensors.items()}


def read_config(path: str | os.PathLike[str]) -> GeneratorConfig:
    """Read a generator's configuration and none of its weights.

    Raises:
        MissingError: There is no such file.
        JobError: It is no generator file.
    """
    if not Path(path).is_file():
        raise MissingError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise JobError(f"{path} {tensor_damage(error)}.") from error
    return _config_of(metadata, path)


def _config_of(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> GeneratorConfig:
    if CONFIG_KEY not in metadata:
        raise JobError(f"{path} is not a generator file: its header has no configuration.")
    try:
        return GeneratorConfig.from_json(metadata[CONFIG_KEY])
    except (StyleheadError, TypeError, ValueError, AttributeError) as error:
        raise JobError(f"The configuration in the header of {path} is wrong: {error}") from error


def check_state(
    path: str | os.PathLike[str], state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """Compare names and shapes with those the configuration asks for.

    Raises:
        JobError: Names the first key that is missing, too many, of another shape, or holds no finite numbers.
    """
    for key in sorted(set(expected) - set(state)):
        raise JobError(f"{path} has no tensor `{key}`.")
    for key in sorted(set(state) - set(expected)):
        raise JobError(f"{path} has a tensor `{key}` that the configured generator does not have.")
    fixed = resample_filter()
    for key, tensor in state.items():
        if tensor.shape != expected[key].shape:
            raise JobError(
                f"`{key}` in {path} has shape {list(tensor.shape)}, not {list(expected[key].shape)}."
            )
        if not torch.isfinite(tensor).all():
            raise JobError(f"`{key}` in {path} holds numbers that are not finite.")
        if key.endswith("resample_filter") and not torch.allclose(tensor, fixed, atol=1e-4):
            raise JobError(f"`{key}` in {path} is not the one filter that this generator knows.")


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 (hex) over sorted names, shapes, types and single-precision bytes."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().float().cpu().contiguous()
        digest.update(f"{key}|{list(tensor.shape)}|float32|".encode())
        digest.update(tensor.reshape(-1).numpy().data)
    return digest.hexdigest()
