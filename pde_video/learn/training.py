"""Training: clean pieces of clips, noise of any level on them, and a network that is to take it away."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pde_video.checks import check_whole
from pde_video.denoisers.network import FORMAT, checked_config
from pde_video.denoisers.planewise import Planewise
from pde_video.errors import InputError, ParameterError, SolverError
from pde_video.learn import checkpoints
from pde_video.learn.footage import Footage, check_size, pieces
from pde_video.learn.model import SpatioTemporal
from pde_video.learn.writing import write_tensors
from pde_video.protocols import Array
from pde_video.video.outputs import check_output

WARM = 50  # Steps over which the rate rises.
LEVELS = (10, 25, 50)  # Noise of the validation, of 255.


@dataclass(frozen=True)
class Settings:
    """How long and on what a network is trained. Noise levels are of 255, and drawn log-uniformly."""

    steps: int = 1500
    batch: int = 4
    frames: int = 8
    size: int = 64
    sigma: tuple[float, float] = (4.0, 60.0)
    rate: float = 2e-3
    decay: float = 0.999  # Of the moving average of the weights, once it has run for a while.
    seed: int = 0
    cell: str = "gru"
    width: int = 32
    encoder: int = 1
    decoder: int = 2
    deviation: float = 0.25

    @property
    def config(self) -> dict[str, Any]:
        """Return the configuration of the network, as its file has it."""
        names = ("cell", "width", "encoder", "decoder", "deviation")
        return {"format": FORMAT, **{name: getattr(self, name) for name in names}}

    def __post_init__(self) -> None:
        check_whole(1, steps=self.steps, batch=self.batch, frames=self.frames, size=self.size)
        check_whole(0, seed=self.seed)
        if self.size % 4:
            raise ParameterError(f"size is {self.size}; pieces are halved twice, so it must be a multiple of 4")
        if not 0 < self.sigma[0] <= self.sigma[1] < math.inf:
            raise ParameterError(f"sigma is {self.sigma}; it must be (lowest, highest) of 255, both above 0")
        checked_config(self.config)
        if not (0 < self.rate < math.inf and 0 <= self.decay < 1):
            raise ParameterError(f"rate is {self.rate} and decay {self.decay}; rate must be > 0, decay in [0, 1)")


class _Run:
    """A network under way: its weights, their moving average, and what the optimiser remembers."""

    def __init__(self, settings: Settings, footage: Sequence[Footage]) -> None:
        torch.manual_seed(settings.seed)
        self.footage, self.clips = footage, [one.described() for one in footage]
        self.settings, self.done = settings, 0
        self.kept, self.between = 0, True  # The step of the last checkpoint; whether weights and `done` go together.
        self.net = SpatioTemporal(settings.config)
        self.average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), settings.rate, betas=(0.9, 0.99), weight_decay=1e-4)

    def step(self) -> float:
        """Take a step; what is drawn depends on the seed and the step's number alone, so a run can be resumed."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, self.done])
        clean = pieces(self.footage, rng, batch=settings.batch, frames=settings.frames, size=settings.size)
        low, high = (math.log(level / 255) for level in settings.sigma)
        sigma = np.exp(rng.uniform(low, high, settings.batch)).astype(np.float32)
        noisy = clean + sigma[:, None, None, None] * rng.standard_normal(clean.shape, np.float32)
        loss = self._loss(*map(torch.from_numpy, (clean, noisy, guided(noisy, sigma), sigma)))
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate * self._share_of_rate()
        self._check("loss", loss)
        self.optimiser.zero_grad()
        loss.backward()
        self._check("gradient", torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0))
        self.between = False
        self.optimiser.step()
        decay = min(settings.decay, (1 + self.done) / (10 + self.done))
        for name, value in self.net.state_dict().items():
            self._check("network", value)
            self.average[name].lerp_(value, 1 - decay)
        self.done += 1
        self.between = True
        return loss.item()

    def _check(self, what: str, value: Tensor) -> None:
        """Stop before what is not finite comes into a checkpoint."""
        if not torch.isfinite(value).all():
            raise SolverError(
                f"the {what} is not finite at step {self.done}: the training does not go on from there; "
                f"train anew with a rate lower than {self.settings.rate}"
            )

    def _loss(self, clean: Tensor, noisy: Tensor, guide: Tensor, sigma: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=_has_bfloat16()):  # Nearly twice as fast, and as good.
            estimate = self.net(noisy, guide, sigma)
        # Errors grow with σ, more slowly than it: with this weight none of the levels counts for nothing.
        return (sigma[:, None, None, None] ** -1.5 * (estimate - clean) ** 2).mean()

    def _share_of_rate(self) -> float:
        falling = 0.5 * (1 + math.cos(math.pi * self.done / self.settings.steps))
        return min(1.0, (self.done + 1) / WARM) * (0.01 + 0.99 * falling)

    def saved(self, path: Path) -> None:
        """Write all that is needed to go on, at once or not at all."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
        about = {"settings": _text(self.settings), "clips": json.dumps(self.clips), "done": str(self.done)}
        write_tensors(path, tensors, about, force=True)
        self.kept = self.done

    def resumed(self, path: Path) -> None:
        """Go on from what `saved` wrote."""
        self.done, found = checkpoints.read(path, self.net, self.settings.steps, _text(self.settings), self.clips)
        self.kept = self.done
        self.net.load_state_dict(found["net"])
        self.average = found["average"]
        remembered: dict[int, dict[str, Tensor]] = {}
        for name, value in found["optimiser"].items():
            number, _, part = name.partition(".")
            remembered.setdefault(int(number), {})[part] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": remembered})


def train(
    footage: Sequence[Footage],
    output: str | Path,
    *,
    validation: Sequence[Footage] = (),
    settings: Settings | None = None,
    resume: bool = False,
    force: bool = False,
    every: int = 100,
    progress: Callable[[Iterable[int], int], Iterable[int]] | None = None,
    tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Train a denoiser and write it, with its record; return the record.

    min Σ ‖D(x + σ n, σ) − x‖² / σ^1.5, with x from the footage, n white noise, σ of any level; AdamW, the rate falling
    as a half cosine; what is written is the moving average of the weights. Every `every` steps, and when it is
    interrupted, a checkpoint ``OUTPUT.checkpoint`` is written, from which ``resume`` goes on to the same end.

    Parameters
    ----------
    footage : sequence of Footage
        What to train on: `load` makes it of clips.
    output : path
        Where to write the model, a ``.safetensors`` file.
    validation : sequence of Footage
        Frames whose PSNR, denoised, is measured at the end.
    settings : Settings, optional
        Length, sizes, noise levels, seed, and the configuration of the network.
    resume : bool
        Go on from the checkpoint.
    force : bool
        Overwrite the output.
    every : int
        Steps from one checkpoint to the next.
    progress : callable, optional
        Wraps the steps, to show how far it is, as tqdm does.
    tell : callable, optional
        Is told the mean loss at every checkpoint.

    Returns
    -------
    dict
        The record: settings, footage, versions, and ``psnr``, in dB for each noise level and their mean.

    Raises
    ------
    ParameterError, InputError, FileExistsError
        If something is out of range, the checkpoint does not fit, or the output exists.
    SolverError
        If the loss grows beyond all bounds; the last checkpoint stays.

    References
    ----------
    Karras et al. (2022), arXiv:2206.00364, on preconditioning and weights. Loshchilov & Hutter (2019),
    arXiv:1711.05101.

    Examples
    --------
    >>> train([load("clip.mp4")], "model.safetensors")  # doctest: +SKIP
    """
    settings = settings or Settings()
    output, checkpoint = Path(output), Path(f"{output}.checkpoint")
    if output.suffix != ".safetensors":
        raise ParameterError(f"{output} must end in .safetensors: the weights are written as such")
    check_output(output, force)
    check_size(footage, settings.size)
    check_whole(1, every=every)
    run = _Run(settings, footage)
    if resume:
        if not checkpoint.exists():
            raise InputError(f"there is no {checkpoint} to resume from; leave resume out to begin")
        run.resumed(checkpoint)
    elif checkpoint.exists() and not force:
        raise FileExistsError(f"{checkpoint} is there, of a run that was not finished: resume it, or force a new one")
    steps: Iterable[int] = range(run.done, settings.steps)
    losses: list[float] = []
    try:
        for _ in progress(steps, settings.steps) if progress else steps:
            losses.append(run.step())
            if run.done % every == 0 and run.done < settings.steps:
                run.saved(checkpoint)
                if tell is not None:
                    tell(f"step {run.done}: loss {np.mean(losses[-every:]):.4f}")
        net = SpatioTemporal(settings.config)
        net.load_state_dict(run.average)
        psnr = validated(net, validation) if validation else None
        record = {
            "footage": {one.name: len(one.frames) for one in footage},
            "settings": asdict(settings),
            "psnr": psnr,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        }
        write_tensors(output, run.average, {"config": json.dumps(settings.config), "record": json.dumps(record)}, force)
    except (KeyboardInterrupt, SystemExit, OSError):  # SIGTERM; a full disk, or an output that has come to be.
        if run.between and run.done > run.kept:
            run.saved(checkpoint)
        raise
    checkpoint.unlink(missing_ok=True)
    return record


def validated(net: SpatioTemporal, footage: Sequence[Footage]) -> dict[str, float]:
    """Return the PSNR in dB of denoised frames, the mean over clips, for each noise level, and the mean of these."""
    found: dict[str, float] = {}
    net.eval()
    for level in LEVELS:
        values = [_psnr(net, one.frames, level / 255, seed) for seed, one in enumerate(footage)]
        found[f"{level}"] = float(np.mean(values))
    net.train()
    return {**found, "mean": float(np.mean(list(found.values())))}


def _has_bfloat16() -> bool:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # Of PyTorch from 2.9 on.
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def guided(noisy: Array, sigma: Array) -> Array:
    """Return what the PDE makes of videos (N, T, H, W): the guide of the network."""
    return np.stack([Planewise.guides(video, float(level)) for video, level in zip(noisy, sigma, strict=True)])


def _psnr(net: SpatioTemporal, clean: Array, sigma: float, seed: int) -> float:
    clean = clean[:, : clean.shape[1] // 2 * 2, : clean.shape[2] // 2 * 2]
    noisy = clean + np.float32(sigma) * np.random.default_rng(seed).standard_normal(clean.shape, np.float32)
    _, height, width = clean.shape
    level, state = torch.tensor([sigma]), torch.zeros(1, net.config["width"], height // 2, width // 2)
    errors = []
    with torch.inference_mode():  # Frame by frame: all at once would take gigabytes.
        for frame, wanted in zip(noisy, clean, strict=True):
            guide = Planewise.guides(frame[None], sigma)[None]
            estimate, state = net.step(torch.from_numpy(frame)[None, None], torch.from_numpy(guide), state, level)
            errors.append(np.mean((estimate[0, 0].numpy() - wanted) ** 2))
    return float(-10 * np.log10(np.mean(errors)))


def _text(settings: Settings) -> str:
    return json.dumps(asdict(settings), sort_keys=True)
