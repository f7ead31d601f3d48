"""Networks of PyTorch and ONNX as denoisers, each with its own layout, size and channels."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from pde_video.checks import check_whole
from pde_video.denoisers.adapters import Adapter
from pde_video.denoisers.validation import as_estimate, check_callable, naming, refuse_pickled
from pde_video.errors import DtypeError, InputError, ParameterError, not_installed
from pde_video.protocols import Array, name_of
from pde_video.reverse_process.schedules import Range, Schedule

LAYOUTS = ("BCHW", "BCTHW", "B(TC)HW")
_ONE_AT_A_TIME = RLock()  # Threads would mix up the modes of modules, and PyTorch is multi-threaded itself.


@dataclass(frozen=True, repr=False)
class _Network(Adapter):
    """A denoiser made of a function of arrays in a network's layout."""

    _: KW_ONLY
    layout: str = "BCHW"
    value_range: Range = (0.0, 1.0)
    multiple: int = 1
    channels: int | None = None
    batch: int = 1
    whole_timesteps: bool = False
    learned_variance: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in LAYOUTS:
            raise ParameterError(f"layout is {self.layout!r}; it must be one of {', '.join(LAYOUTS)}")
        if self.layout == "B(TC)HW" and self.kind != "denoiser":
            raise ParameterError("layout is 'B(TC)HW', which returns one frame of many; that needs kind='denoiser'")
        channels = 1 if self.channels is None else self.channels
        check_whole(1, multiple=self.multiple, batch=self.batch, channels=channels)
        object.__setattr__(self, "multiple", int(self.multiple))
        object.__setattr__(self, "batch", int(self.batch))

    @property
    def sees_several(self) -> bool:
        """Whether it uses several frames at once."""
        return self.layout != "BCHW"

    @abstractmethod
    def _run(self, entries: Array, level: float) -> Any:
        """Return the output of the network for entries of a batch."""

    def _output(self, x: Array, level: float) -> Array:
        video = x if x.ndim == 4 else x[np.newaxis]
        entries = self._entries(video)
        # The number of consecutive entries of the same frames, and the number of these frames.
        passes, frames = (len(entries), len(video)) if self.sees_several else (len(entries) // len(video), 1)
        results = []
        for k in range(0, len(entries), self.batch):
            some = entries[k : k + self.batch]
            first, last = k // passes * frames, (k + len(some) - 1) // passes * frames + frames - 1
            channels = some.shape[1] // (frames if self.layout == "B(TC)HW" else 1)
            shape = (len(some), self._groups * channels, *some.shape[2:])
            # The caller numbers a single frame.
            where = f"frame {first}" if first == last else f"frames {first} to {last}"
            with naming(where) if len(video) > 1 else nullcontext():
                results.append(as_estimate(self._run(some, level), shape, some.dtype, finite=False))
        estimates = self._frames(np.concatenate(results), video.shape)
        return estimates if x.ndim == 4 and self.layout != "B(TC)HW" else estimates[0]

    def _entries(self, video: Array) -> Array:
        """Return the video in the layout of the network, all entries of all batches."""
        _, h, w, c = video.shape
        channels = self.channels or c
        if c != channels and 1 not in (c, channels):
            raise InputError(f"the frames have {c} channels, but the network takes {channels}; convert them first")
        planes = video.transpose(0, 3, 1, 2)
        planes = np.pad(planes, [(0, 0), (0, 0), (0, -h % self.multiple), (0, -w % self.multiple)], mode="reflect")
        if c == 1:
            planes = np.repeat(planes, channels, axis=1)
        # (T, passes, channels, H, W): a network of one channel takes the channels one by one.
        passes = planes.reshape(len(planes), -1, channels, *planes.shape[2:])
        if self.layout == "BCTHW":
            return passes.transpose(1, 2, 0, 3, 4)
        if self.layout == "B(TC)HW":
            return passes.swapaxes(0, 1).reshape(passes.shape[1], -1, *planes.shape[2:])
        return passes.reshape(-1, channels, *planes.shape[2:])

    def _frames(self, out: Array, shape: tuple[int, ...]) -> Array:
        """Return the output for a video of the shape (T, H, W, C) as frames, with C or 2C channels."""
        _, h, w, c = shape
        channels = self.channels or c
        if self.layout == "BCTHW":
            out = out.transpose(2, 0, 1, 3, 4)
        out = out.reshape(-1, c // channels or 1, self._groups, channels, *out.shape[-2:])[..., :h, :w]
        if c < channels:
            out = out.mean(axis=3, keepdims=True)
        return out.transpose(0, 4, 5, 2, 1, 3).reshape(-1, h, w, self._groups * c)


@dataclass(frozen=True, repr=False)
class from_torch(_Network):
    """Denoiser made of a PyTorch module (extra ``torch``).

    D(y, σ) = module(y, σ) in the layout, range and channels of the module, or the estimate of `from_eps`, `from_x0` or
    `from_v` from its prediction. It pickles if the module does.

    Parameters
    ----------
    module : torch.nn.Module, or callable on tensors
        Called as module(x, level) with x in `layout` and a tensor (B,) of levels: σ in units of `value_range` for a
        denoiser, t for the other kinds. It must return a tensor of the shape of x. It runs in evaluation mode without
        gradients, in the dtype of its parameters (float32 if it has none), one call at a time.
    schedule : Schedule, optional
        The levels it was trained on; required unless it is a denoiser.
    kind : {"denoiser", "eps", "x0", "v"}
        What it returns.
    layout : {"BCHW", "BCTHW", "B(TC)HW"}
        Frames as entries of a batch; frames as the third axis; or frames stacked in the channels, of which it returns
        the middle one. Filters pass one frame at a time; `windowed` passes several.
    value_range : (float, float)
        The values that 0 and 1 of the frames become for the module. Noise is scaled accordingly.
    multiple : int
        Pad height and width to multiples of it by reflection, and crop the result.
    channels : int, optional
        Number of input channels. Grey frames are repeated and the results averaged; a module of one channel gets the
        channels of colour frames one by one. Default: that of the frames.
    batch : int
        The largest number of entries in one call. With 1 a frame has the same bits alone and in a video.
    whole_timesteps : bool
        Round t, and pass it as int64.
    learned_variance : bool
        It returns twice the channels, as for `from_eps`; not for a denoiser.
    device : optional
        Where to run; the module is moved there. Default: where its parameters are, or the CPU.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    InputError
        If `module` is the path of a pickled file, which could execute code; on a call, as for `from_eps`.

    References
    ----------
    Ansel et al. (2024), PyTorch 2, doi:10.1145/3620665.3640366.

    Examples
    --------
    >>> def smoother(x, sigma):
    ...     return (x + x.roll(1, -1)) / 2
    >>> denoiser = pv.from_torch(smoother)  # doctest: +SKIP
    >>> denoiser(np.array([[[0.0], [1.0]]]), 0.1).ravel()  # doctest: +SKIP
    array([0.5, 0.5])
    """

    module: Any
    schedule: Schedule | None = None
    kind: str = "denoiser"
    _: KW_ONLY
    device: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.module, (str, PathLike)):
            refuse_pickled(self.module)
            path = fspath(self.module)
            raise ParameterError(f"module is the path {path!r}; build the module and load its weights first")
        check_callable(module=self.module)
        object.__setattr__(self, "name", name_of(self.module))
        super().__post_init__()
        try:
            import torch
        except ImportError as error:
            raise ImportError(not_installed("from_torch", "torch", "torch")) from error
        if self.device is not None and isinstance(self.module, torch.nn.Module):
            self.module.to(self.device)

    def _run(self, entries: Array, level: float) -> Any:
        import torch

        # A plain function is run like a module without parameters.
        module = self.module if isinstance(self.module, torch.nn.Module) else torch.nn.Module()
        home = next(module.parameters(), None)
        where = self.device if home is None else home.device
        dtype = home.dtype if home is not None and home.is_floating_point() else torch.float32
        x = torch.from_numpy(np.ascontiguousarray(entries)).to(where, dtype)
        levels = torch.full((len(x),), level, dtype=torch.int64 if self.whole_timesteps else dtype, device=where)
        with _ONE_AT_A_TIME, _evaluating(module), torch.inference_mode():
            out = self.module(x, levels)
        if not isinstance(out, torch.Tensor):
            raise DtypeError(f"it returned a {type(out).__name__}; wrap it in a module that returns a tensor")
        if out.is_floating_point() and out.dtype != torch.float64:
            out = out.float()  # NumPy has no bfloat16.
        return out.cpu().numpy()


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Put a module into evaluation mode; restore the mode of every part afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@dataclass(frozen=True, repr=False)
class from_onnx(_Network):
    """Denoiser made of an ONNX file, run by onnxruntime on the CPU (extra ``onnx``).

    D(y, σ) = model(y, σ), or the estimate of `from_eps`, `from_x0` or `from_v` from the first output of the model. Made
    of a path, it pickles as the path; a session cannot be pickled.

    Parameters
    ----------
    model : path, or onnxruntime.InferenceSession
        It takes a picture and, if it has a second input, the level in the shape of that input: a number, one per entry
        of the batch, or a map of the picture's size.
    schedule, kind, layout, value_range, multiple, channels, batch, whole_timesteps, learned_variance
        As for `from_torch`.
    inputs : sequence of str, optional
        The names of the picture and, if it takes one, the level. Default: the inputs in their order.

    Raises
    ------
    ImportError
        If onnxruntime is not installed.
    InputError
        If the file cannot be read as ONNX; on a call, as for `from_eps`.

    References
    ----------
    ONNX: https://onnx.ai.

    Examples
    --------
    >>> denoiser = pv.from_onnx("model.onnx", multiple=8)  # doctest: +SKIP
    """

    model: Any
    schedule: Schedule | None = None
    kind: str = "denoiser"
    _: KW_ONLY
    inputs: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.model, PathLike):
            object.__setattr__(self, "model", fspath(self.model))
        object.__setattr__(self, "name", Path(self.model).name if isinstance(self.model, str) else "an ONNX session")
        object.__setattr__(self, "inputs", None if self.inputs is None else tuple(self.inputs))
        level = self._nodes[1:]
        if self.schedule is not None and level and _dtype(level[0]).kind == "i" and not self.whole_timesteps:
            raise ParameterError(f"{self.name} takes whole levels only ({level[0].type}); pass whole_timesteps=True")

    @cached_property
    def _session(self) -> Any:
        from pde_video.denoisers.onnx_files import opened  # Loads compiled kernels, for the network of the library.

        session = opened(self.model) if isinstance(self.model, str) else self.model
        if not (hasattr(session, "run") and hasattr(session, "get_inputs")):
            raise ParameterError(
                f"model is {session!r}; it must be the path of an ONNX file, or an onnxruntime session"
            )
        return session

    @cached_property
    def _nodes(self) -> list[Any]:
        """The inputs of the model for the picture and, if it takes one, the level."""
        offered = {node.name: node for node in self._session.get_inputs()}
        names = list(offered if self.inputs is None else self.inputs)
        if not (1 <= len(names) <= 2 and set(names) <= set(offered) and len(set(names)) == len(names)):
            raise ParameterError(
                f"inputs are {names}; they must be one or two of those of {self.name}: {list(offered)}"
            )
        return [offered[name] for name in names]

    def _run(self, entries: Array, level: float) -> Any:
        picture, *rest = self._nodes
        given = {picture.name: np.ascontiguousarray(entries, _dtype(picture))}
        for node in rest:
            wanted = zip(node.shape, entries.shape, strict=False)
            given[node.name] = np.full([d if isinstance(d, int) else n for d, n in wanted], level, _dtype(node))
        return self._session.run([self._session.get_outputs()[0].name], given)[0]


def _dtype(node: Any) -> np.dtype[Any]:
    """Return the dtype of an input of an ONNX model."""
    known = {"float": "f4", "double": "f8", "float16": "f2", "int64": "i8", "int32": "i4"}
    return np.dtype(known.get(node.type.removeprefix("tensor(").removesuffix(")"), "f4"))
