"""From a random vector and a camera to style vectors."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from stylehead.generator.layers import FullyConnected


class MappingNetwork(nn.Module):
    """z and a camera label through `num_layers` fully connected layers to w, repeated to num_ws."""

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        *,
        c_dim: int,
        w_dim: int,
        num_ws: int,
        num_layers: int,
        lr_mul: float,
        layer_features: int | None = None,
        linear_end: bool = False,
    ) -> None:
        super().__init__()
        self.num_ws = num_ws
        self.num_layers = num_layers
        self.embed = FullyConnected(c_dim, w_dim)
        widths = [z_dim + w_dim] + [layer_features or w_dim] * (num_layers - 1) + [w_dim]
        for index, (before, width) in enumerate(pairwise(widths)):
            last = index == num_layers - 1
            layer = FullyConnected(
                before, width, activation="linear" if last and linear_end else "lrelu", lr_mul=lr_mul
            )
            self.add_module(f"fc{index}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor,
        camera_label: Tensor,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Map z [B, z_dim] and labels [B, c_dim] to ws [B, num_ws, w_dim].

        The first `truncation_cutoff` vectors (all when None) become `w_avg + psi (w - w_avg)`.
        """
        x = torch.cat([_unit_moment(z.to(self.w_avg.dtype)), _unit_moment(self.embed(camera_label))], dim=1)
        for index in range(self.num_layers):
            x = self.get_submodule(f"fc{index}")(x)
        if truncation_psi == 1:
            return x[:, None].expand(-1, self.num_ws, -1).contiguous()
        cutoff = self.num_ws if truncation_cutoff is None else min(max(truncation_cutoff, 0), self.num_ws)
        truncated = self.w_avg.lerp(x, truncation_psi)
        rows = [truncated] * cutoff + [x] * (self.num_ws - cutoff)
        return torch.stack(rows, dim=1)


def _unit_moment(x: Tensor) -> Tensor:
    """Scale every row to mean square one."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
