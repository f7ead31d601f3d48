"""The spatio-temporal denoiser in PyTorch; `pde_video.denoisers.network` runs it without PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def _conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


class Block(nn.Module):
    """e + second(relu(first(e)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width), _conv(width, width)

    def forward(self, e: Tensor) -> Tensor:
        """Return e + second(relu(first(e)))."""
        return e + self.second(functional.relu(self.first(e)))


class Cell(nn.Module):
    """The temporal encoder: a convolutional GRU, h' = (1 − z) h + z c, or a plain one, h' = tanh(W e + U h + b)."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.width = width
        if kind == "gru":
            self.gates = _conv(2 * width, 2 * width)
            nn.init.constant_(self.gates.bias[:width], -1.0)  # type: ignore[index]  # Begins with a memory of some frames.
        self.candidate = _conv(2 * width, width)

    def driven(self, e: Tensor) -> tuple[Tensor, ...]:
        """Return the contribution of encoded frames, of all at once, to the gates and the candidate."""
        parts = (self.gates, self.candidate) if hasattr(self, "gates") else (self.candidate,)
        return tuple(functional.conv2d(e, part.weight[:, : self.width], part.bias, padding=1) for part in parts)

    def forward(self, u: Tensor, driven: tuple[Tensor, ...], h: Tensor) -> Tensor:
        """Return the next state; the first channels of a GRU are a running mean of the frames."""
        *gates, candidate = driven
        if not gates:
            return torch.tanh(candidate + self._of_state(self.candidate, h))
        z, r = torch.sigmoid(gates[0] + self._of_state(self.gates, h)).chunk(2, dim=1)
        c = torch.tanh(candidate + self._of_state(self.candidate, r * h))
        return h + z * (torch.cat([u, c[:, u.shape[1] :]], dim=1) - h)

    def _of_state(self, part: nn.Conv2d, h: Tensor) -> Tensor:
        return functional.conv2d(h, part.weight[:, self.width :], padding=1)


class SpatioTemporal(nn.Module):
    """D(y, σ) = P + ½ σ F((y − ½)/s, (y − P)/σ, log σ), s² = σ² + d², with P = `cosine_diffusion`(y).

    F has a spatial and a recurrent encoder, their fusion, and a decoder, whose last layer is zero before training.
    `forward` takes videos (N, T, H, W) of values in [0, 1], H and W even, P of the same shape, and one σ for each.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["width"]
        self.config = config
        self.entry = _conv(9, width)
        self.encoder = nn.ModuleList(Block(width) for _ in range(config["encoder"]))
        self.cell = Cell(width, config["cell"])
        self.fusion = _conv(2 * width, 2 * width, 1)
        self.decoder = nn.ModuleList(Block(width) for _ in range(config["decoder"]))
        self.head = _conv(width, 4)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, video: Tensor, guide: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimates of all frames, beginning with a state of zeros."""
        n, frames = video.shape[:2]
        planes, guides, levels = *(x.flatten(0, 1)[:, None] for x in (video, guide)), sigma.repeat_interleave(frames)
        u, e = self._encoded(planes, guides, levels)
        u = u.unflatten(0, (n, frames))
        driven = [part.unflatten(0, (n, frames)) for part in self.cell.driven(e)]
        h = torch.zeros_like(e.unflatten(0, (n, frames))[:, 0])
        states = []
        for k in range(frames):
            h = self.cell(u[:, k], tuple(part[:, k] for part in driven), h)
            states.append(h)
        f = self._decoded(e, torch.stack(states, dim=1).flatten(0, 1))
        return _estimate(guides, f, levels).view_as(video)

    def step(self, planes: Tensor, guides: Tensor, h: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the estimates of planes (N, 1, H, W) and the next states, from states h: one frame of a stream."""
        u, e = self._encoded(planes, guides, sigma)
        h = self.cell(u, self.cell.driven(e), h)
        return _estimate(guides, self._decoded(e, h), sigma), h

    def _encoded(self, planes: Tensor, guides: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        sigma = sigma[:, None, None, None]
        spread = torch.sqrt(sigma**2 + self.config["deviation"] ** 2)
        u = functional.pixel_unshuffle((planes - 0.5) / spread, 2)
        taken = functional.pixel_unshuffle((planes - guides) / sigma, 2)
        level = (torch.log(sigma) / 4).expand(-1, 1, *u.shape[2:])
        e = functional.relu(self.entry(torch.cat([u, taken, level], dim=1)))
        for block in self.encoder:
            e = block(e)
        return u, e

    def _decoded(self, e: Tensor, h: Tensor) -> Tensor:
        a, g = self.fusion(torch.cat([e, h], dim=1)).chunk(2, dim=1)
        f = e + torch.sigmoid(g) * a
        for block in self.decoder:
            f = block(f)
        return functional.pixel_shuffle(self.head(functional.relu(f)), 2)


def _estimate(guides: Tensor, f: Tensor, sigma: Tensor) -> Tensor:
    return guides + sigma[:, None, None, None] / 2 * f
