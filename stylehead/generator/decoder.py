"""From a tri-grid feature to density and colour features."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.architecture import DECODER_FEATURES, DECODER_HIDDEN, DecoderActivation
from stylehead.generator.layers import LRELU_GAIN, LRELU_SLOPE, FullyConnected


class Decoder(nn.Module):
    """Two layers with a softplus between: 32 -> 64 -> density and 32 features. The view does not matter."""

    def __init__(self, *, lr_mul: float = 1.0, activation: DecoderActivation = "none") -> None:
        super().__init__()
        self.activation = activation
        self.net = nn.Sequential(
            FullyConnected(DECODER_FEATURES, DECODER_HIDDEN, lr_mul=lr_mul),
            nn.Softplus(),
            FullyConnected(DECODER_HIDDEN, 1 + DECODER_FEATURES, lr_mul=lr_mul),
        )

    def forward(self, sampled: Tensor) -> tuple[Tensor, Tensor]:
        """Map features averaged over the stacks [..., 32] to density logits [...] and features [..., 32]."""
        density, features = self.net(sampled).split([1, DECODER_FEATURES], dim=-1)
        density = density[..., 0]
        if self.activation == "sigmoid":
            features = torch.sigmoid(features) * 1.002 - 0.001
        elif self.activation == "lrelu":
            features = functional.leaky_relu(features, LRELU_SLOPE) * LRELU_GAIN
        return density, features
