"""Pool features of the Inception network, over which FID and KID are defined.

The network is torch-fidelity's `inception-v3-compat`. Its package is an extra, because it needs torchvision;
its weights are a file that the user has.
"""

import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylehead.errors import JobError, MissingError

FEATURES = 2048
EXTRA = 'pip install "stylehead[metrics]"'


class Inception:
    """Pool features of Inception, over which FID and KID are defined (protocol `PooledFeatures`).

    Args:
        network: torch-fidelity's feature extractor.
        device: Where it computes.
    """

    name = "Inception v3 (torch-fidelity compat)"

    def __init__(self, network: Any, device: str = "cpu") -> None:
        self.network, self.device = network.to(device), device

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Inception":
        """Load from a file of weights; nothing is downloaded, and nothing in the file is executed.

        Raises:
            MissingError: torch-fidelity or the file is not there.
            JobError: The file does not hold the network.
        """
        try:
            from torch_fidelity import feature_extractor_inceptionv3 as module
        except ImportError:
            raise MissingError("FID and KID need torch-fidelity, which is not installed.", EXTRA) from None
        if not path.is_file():
            raise MissingError(f"There are no Inception weights at {path}.", "give them with --inception")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            network = _build(module.FeatureExtractorInceptionV3, state)
        except (OSError, RuntimeError, EOFError, KeyError, AttributeError, pickle.UnpicklingError) as error:
            first = str(error).splitlines()[0]
            raise JobError(f"{path} does not hold torch-fidelity's Inception weights: {first}") from error
        return cls(network, device)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Features [B, 2048] of byte pictures [B, 3, R, R]."""
        (features,) = self.network(images.to(self.device))
        pooled: Tensor = features
        return pooled


def _build(extractor: Any, state: Any) -> Any:
    """Make the extractor; it insists on unpickling a file, so it gets one that was written here."""
    with tempfile.TemporaryDirectory() as folder:
        safe = Path(folder) / "inception.pth"
        torch.save(state, safe)
        return extractor("inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=str(safe))
