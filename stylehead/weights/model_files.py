"""Tensors of models in single files, safetensors or what torch saved, read without running anything."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stylehead.errors import JobError, tensor_damage
from stylehead.weights.pickle_machine import Refused
from stylehead.weights.snapshot import map_file
from stylehead.weights.state_dicts import detect, read_state_dict

if TYPE_CHECKING:
    import torch

MODEL_SUFFIXES = (".safetensors", ".ckpt", ".pth", ".pt", ".bin")
"""Endings of files that can hold a model."""


class ModelFile:
    """A file with the tensors of a model; numbers are read when they are asked for.

    Args:
        path: The file.

    Raises:
        UsageError: There is no such file.
        JobError: It is damaged, or holds anything else than tensors by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data = map_file(path)
            self._is_safetensors = detect(data) == "safetensors"
            self._state = read_state_dict(path, data)
        except Refused as refusal:
            hint = "ask for a .safetensors file of the same model, which cannot hold programs"
            raise JobError(f"{path} was refused, and nothing in it was run: {refusal}.", hint) from refusal

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name."""
        return {name: tensor.shape for name, tensor in self._state.tensors.items()}

    @property
    def metadata(self) -> Mapping[str, str]:
        """Header entries of a safetensors file."""
        return self._state.metadata

    def read(self, wanted: Callable[[str], bool] = lambda _: True) -> "dict[str, torch.Tensor]":
        """Read the tensors whose names are wanted, in the precision of the file where torch has it.

        Raises:
            JobError: The file is damaged.
        """
        return dict(self._tensors([name for name in self._state.tensors if wanted(name)]))

    def _tensors(self, names: list[str]) -> "Iterator[tuple[str, torch.Tensor]]":
        import torch
        from safetensors import SafetensorError, safe_open

        if not self._is_safetensors:
            for name in names:
                yield name, torch.from_numpy(self._state.tensors[name].read())
            return
        try:
            with safe_open(self.path, framework="pt", device="cpu") as file:
                for name in names:
                    yield name, file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise JobError(f"{self.path} {tensor_damage(error)}.") from error
