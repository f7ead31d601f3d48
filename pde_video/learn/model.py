"""The spatio-temporal denoiser in PyTorch; `pde_video.denoisers.network` runs it without PyTorch."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pde_video.denoisers.network import Network, layers_of


class SpatioTemporal(nn.Module):
    """D(y, σ) = P + ½ σ F((y − ½)/s, (y − P)/σ, log σ), s² = σ² + d², with P = `cosine_diffusion`(y).

    F has a spatial and a recurrent encoder, their fusion, and a decoder, whose last layer is zero before training. The
    recurrent encoder is a convolutional GRU, h' = (1 − z) h + z c, or a plain one, h' = tanh(W e + U h + b).
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        for name, (outputs, inputs, side, _) in layers_of(config).items():
            *path, last = name.split(".")
            place: nn.Module = self
            for part in path:
                if not hasattr(place, part):
                    place.add_module(part, nn.Module())
                place = place.get_submodule(part)
            place.add_module(last, nn.Conv2d(inputs, outputs, side, padding=side // 2))
        if config["cell"] == "gru":  # Begins with a memory of some frames.
            nn.init.constant_(self._layer("cell.gates").bias[: config["width"]], -1.0)
        for value in self._layer("head").parameters():
            nn.init.zeros_(value)

    def forward(self, planes: Tensor, guides: Tensor, h: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the estimates of planes (N, 1, H, W) and the next states, from states h: one frame of a stream.

        Values are in [0, 1], H and W even, the guides P of the same shape; sigma is (N,).
        """
        u, e = self._encoded(planes, guides, sigma)
        h = self._next(u, self._driven(e), h)
        return self._estimate(guides, e, h, sigma), h

    def along(self, video: Tensor, guide: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimates of all frames of videos (N, T, H, W), beginning with a state of zeros."""
        n, frames = video.shape[:2]
        planes, guides, levels = *(x.flatten(0, 1)[:, None] for x in (video, guide)), sigma.repeat_interleave(frames)
        u, e = self._encoded(planes, guides, levels)
        u = u.unflatten(0, (n, frames))
        driven = [part.unflatten(0, (n, frames)) for part in self._driven(e)]
        h = torch.zeros_like(e.unflatten(0, (n, frames))[:, 0])
        states = []
        for k in range(frames):
            h = self._next(u[:, k], [part[:, k] for part in driven], h)
            states.append(h)
        return self._estimate(guides, e, torch.stack(states, dim=1).flatten(0, 1), levels).view_as(video)

    def _layer(self, name: str) -> Any:
        return self.get_submodule(name)

    def _blocks(self, part: str, e: Tensor) -> Tensor:
        for k in range(self.config[part]):
            e = e + self._layer(f"{part}.{k}.second")(functional.relu(self._layer(f"{part}.{k}.first")(e)))
        return e

    def _encoded(self, planes: Tensor, guides: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        sigma = sigma[:, None, None, None]
        spread = torch.sqrt(sigma**2 + self.config["deviation"] ** 2)
        u = functional.pixel_unshuffle((planes - 0.5) / spread, 2)
        taken = functional.pixel_unshuffle((planes - guides) / sigma, 2)
        level = (torch.log(sigma) / 4).expand(-1, 1, *u.shape[2:])
        return u, self._blocks("encoder", functional.relu(self._layer("entry")(torch.cat([u, taken, level], dim=1))))

    def _driven(self, e: Tensor) -> list[Tensor]:
        """Return the contribution of encoded frames, of all at once, to the gates and the candidate."""
        layers = [self._layer(name) for name in layers_of(self.config) if name.startswith("cell.")]
        return [functional.conv2d(e, one.weight[:, : e.shape[1]], one.bias, padding=1) for one in layers]

    def _next(self, u: Tensor, driven: list[Tensor], h: Tensor) -> Tensor:
        """Return the next state; the first channels of a GRU are a running mean of the frames."""

        def of_state(part: str, state: Tensor) -> Tensor:
            return functional.conv2d(state, self._layer(f"cell.{part}").weight[:, h.shape[1] :], padding=1)

        *gates, candidate = driven
        if not gates:
            return torch.tanh(candidate + of_state("candidate", h))
        z, r = torch.sigmoid(gates[0] + of_state("gates", h)).chunk(2, dim=1)
        c = torch.tanh(candidate + of_state("candidate", r * h))
        return h + z * (torch.cat([u, c[:, u.shape[1] :]], dim=1) - h)

    def _estimate(self, guides: Tensor, e: Tensor, h: Tensor, sigma: Tensor) -> Tensor:
        a, g = self._layer("fusion")(torch.cat([e, h], dim=1)).chunk(2, dim=1)
        f = self._blocks("decoder", e + torch.sigmoid(g) * a)
        f = functional.pixel_shuffle(self._layer("head")(functional.relu(f)), 2)
        return guides + sigma[:, None, None, None] / 2 * f


def load_model(path: str | Path) -> SpatioTemporal:
    """Return the network in a model's file for PyTorch."""
    network = Network.load(path)
    net = SpatioTemporal(dict(network.config))
    net.load_state_dict({name: torch.tensor(value) for name, value in network.tensors.items()})
    return net
