"""Training on crops of clean clips with noise of random level."""

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
from pde_video.learn import check_target, checkpoints
from pde_video.learn.footage import Footage, check_size, pieces
from pde_video.learn.model import SpatioTemporal
from pde_video.protocols import Array

WARM = 50  # Steps over which the learning rate rises.
LEVELS = (10, 25, 50)  # Noise levels of the validation, of 255.


@dataclass(frozen=True)
class Settings:
    """Length of the training, data and network. Noise levels are of 255 and drawn log-uniformly."""

    steps: int = 1500
    batch: int = 4
    frames: int = 8
    size: int = 64
    sigma: tuple[float, float] = (4.0, 60.0)
    rate: float = 2e-3
    decay: float = 0.999  # Of the moving average of the weights, after its first steps.
    seed: int = 0
    cell: str = "gru"
    width: int = 32
    encoder: int = 1
    decoder: int = 2
    deviation: float = 0.25

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the network as in its file."""
        names = ("cell", "width", "encoder", "decoder", "deviation")
        return {"format": FORMAT, **{name: getattr(self, name) for name in names}}

    def __post_init__(self) -> None:
        check_whole(1, steps=self.steps, batch=self.batch, frames=self.frames, size=self.size)
        check_whole(0, seed=self.seed)
        if self.size % 4:
            raise ParameterError(f"size is {self.size}; it must be a multiple of 4, since pieces are halved twice")
        if not 0 < self.sigma[0] <= self.sigma[1] < math.inf:
            raise ParameterError(f"sigma is {self.sigma}; it must be (lowest, highest) of 255, both above 0")
        checked_config(self.config)
        if not (0 < self.rate < math.inf and 0 <= self.decay < 1):
            raise ParameterError(f"rate is {self.rate} and decay {self.decay}; rate must be > 0, decay in [0, 1)")


class _Run:
    """The state of a training: weights, their moving average, and the optimiser."""

    def __init__(self, settings: Settings, footage: Sequence[Footage]) -> None:
        torch.manual_seed(settings.seed)
        self.footage, self.clips = footage, [one.described() for one in footage]
        self.settings, self.described, self.done = settings, json.dumps(asdict(settings), sort_keys=True), 0
        self.kept, self.between = 0, True  # Step of the last checkpoint; whether weights and `done` agree.
        self.net = SpatioTemporal(settings.config)
        self.average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), settings.rate, betas=(0.9, 0.99), weight_decay=1e-4)

    def step(self) -> float:
        """Take a step; its random numbers depend only on the seed and the step's number, so a run can be resumed."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, self.done])
        clean = pieces(self.footage, rng, batch=settings.batch, frames=settings.frames, size=settings.size)
        low, high = (math.log(level / 255) for level in settings.sigma)
        sigma = np.exp(rng.uniform(low, high, settings.batch)).astype(np.float32)
        noisy = clean + sigma[:, None, None, None] * rng.standard_normal(clean.shape, np.float32)
        loss = self._loss(*map(torch.from_numpy, (clean, noisy, guided(noisy, sigma), sigma)))
        falling = 0.5 * (1 + math.cos(math.pi * self.done / settings.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate * (min(1.0, (self.done + 1) / WARM) * (0.01 + 0.99 * falling))
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
        """Raise before a value that is not finite enters a checkpoint."""
        if not torch.isfinite(value).all():
            raise SolverError(
                f"the {what} is not finite at step {self.done}, so the training stops; "
                f"start again with a rate below {self.settings.rate}"
            )

    def _loss(self, clean: Tensor, noisy: Tensor, guide: Tensor, sigma: Tensor) -> Tensor:
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # From PyTorch 2.9 on.
        bfloat16 = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):  # Nearly twice as fast at the same quality.
            estimate = self.net.along(noisy, guide, sigma)
        # Errors grow with σ, but more slowly. With this weight every level counts.
        return (sigma[:, None, None, None] ** -1.5 * (estimate - clean) ** 2).mean()

    def saved(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
        about = {"settings": self.described, "clips": json.dumps(self.clips), "done": str(self.done)}
        checkpoints.write_tensors(path, tensors, about, force=True)
        self.kept = self.done

    def resumed(self, path: Path) -> None:
        """Restore the state from a checkpoint that `saved` wrote."""
        config, steps = self.settings.config, self.settings.steps
        self.done, tensors = checkpoints.read(path, config, steps, self.described, self.clips)
        self.kept = self.done

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.net.load_state_dict(part("net."))
        self.average = part("average.")
        numbers = range(len(self.average)) if self.done else ()
        state = {number: part(f"optimiser.{number}.") for number in numbers}
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})


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

    min Σ ‖D(x + σ n, σ) − x‖² / σ^1.5, with x from the footage, n white noise, σ random; AdamW, with half-cosine decay
    of the rate. The moving average of the weights is written. A checkpoint ``OUTPUT.checkpoint`` is written every
    `every` steps and when training is interrupted; ``resume`` continues from it to the same result.

    Parameters
    ----------
    footage : sequence of Footage
        Training data; `load` reads it from clips.
    output : path
        The model, a ``.safetensors`` file.
    validation : sequence of Footage
        Frames for the PSNR at the end.
    settings : Settings, optional
        Length, sizes, noise levels, seed and network.
    resume : bool
        Continue from the checkpoint.
    force : bool
        Overwrite the output.
    every : int
        Steps from one checkpoint to the next.
    progress : callable, optional
        Wraps the steps to show progress, as tqdm does.
    tell : callable, optional
        Receives the mean loss as text at every checkpoint.

    Returns
    -------
    dict
        The record: settings, footage, versions, and ``psnr``, in dB for each noise level and their mean.

    Raises
    ------
    ParameterError, InputError, FileExistsError
        If a parameter is out of range, the checkpoint does not fit, or the output exists.
    SolverError
        If the loss is not finite; the last checkpoint is kept.

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
    check_target(output, ".safetensors", "a model", force)
    check_size(footage, settings.size)
    check_whole(1, every=every)
    run = _Run(settings, footage)
    if resume:
        if not checkpoint.exists():
            raise InputError(f"there is no {checkpoint} to resume from; start without resume")
        run.resumed(checkpoint)
    elif checkpoint.exists() and not force:
        raise FileExistsError(f"{checkpoint} of an unfinished run exists; resume it, or start again with force")
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
        about = {"config": json.dumps(settings.config), "record": json.dumps(record)}
        checkpoints.write_tensors(output, run.average, about, force)
    except (KeyboardInterrupt, SystemExit, OSError):  # SIGTERM; a full disk, or an output created meanwhile.
        if run.between and run.done > run.kept:
            run.saved(checkpoint)
        raise
    checkpoint.unlink(missing_ok=True)
    return record


def validated(net: SpatioTemporal, footage: Sequence[Footage]) -> dict[str, float]:
    """Return the PSNR in dB of denoised frames for each noise level, means over clips, and the mean over levels."""
    found: dict[str, float] = {}
    for level in LEVELS:
        values = [_psnr(net, one.frames, level / 255, seed) for seed, one in enumerate(footage)]
        found[f"{level}"] = float(np.mean(values))
    return {**found, "mean": float(np.mean(list(found.values())))}


def guided(noisy: Array, sigma: Array) -> Array:
    """Return the guides of the network for videos (N, T, H, W): the results of the PDE."""
    return np.stack([Planewise.guides(video, float(level)) for video, level in zip(noisy, sigma, strict=True)])


def _psnr(net: SpatioTemporal, clean: Array, sigma: float, seed: int) -> float:
    clean = clean[:, : clean.shape[1] // 2 * 2, : clean.shape[2] // 2 * 2]
    noisy = clean + np.float32(sigma) * np.random.default_rng(seed).standard_normal(clean.shape, np.float32)
    _, height, width = clean.shape
    level, state = torch.tensor([sigma]), torch.zeros(1, net.config["width"], height // 2, width // 2)
    errors = []
    with torch.inference_mode():  # Frame by frame, to save memory.
        for frame, wanted in zip(noisy, clean, strict=True):
            guide = Planewise.guides(frame[None], sigma)[None]
            estimate, state = net(torch.from_numpy(frame)[None, None], torch.from_numpy(guide), state, level)
            errors.append(np.mean((estimate[0, 0].numpy() - wanted) ** 2))
    return float(-10 * np.log10(np.mean(errors)))
