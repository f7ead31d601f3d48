"""Networks of PyTorch and ONNX as denoisers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from pde_video.denoisers.adapters import PREDICTORS
from pde_video.denoisers.layouts import Direct, Network
from pde_video.denoisers.onnx_bytes import names_other_files
from pde_video.denoisers.validation import check_callable, refuse_pickled
from pde_video.errors import DtypeError, InputError, ParameterError, not_installed
from pde_video.protocols import Array, Denoiser, name_of
from pde_video.reverse_process.levels import Range, as_range
from pde_video.reverse_process.schedules import Schedule
from pde_video.threads import num_threads

KINDS = ("denoiser", *PREDICTORS)


def from_torch(
    module: Any,
    schedule: Schedule | None = None,
    kind: str = "denoiser",
    *,
    layout: str = "BCHW",
    value_range: Range = (0.0, 1.0),
    multiple: int = 1,
    channels: int | None = None,
    batch: int = 1,
    device: Any = None,
    whole_timesteps: bool = False,
    learned_variance: bool = False,
) -> Denoiser:
    """Make a denoiser of a PyTorch module (extra ``torch``).

    D(y, σ) = module(y, σ) in the layout, range and channels of the module, or the estimate of `from_eps`, `from_x0` or
    `from_v` from its prediction.

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
        The values that stand for 0 and 1 of the frames where the module sees them. Noise is scaled alike.
    multiple : int
        Pad height and width to multiples of it by reflection, and crop the result.
    channels : int, optional
        How many it takes. Grey frames are repeated and the results averaged; a module of one channel gets the channels
        of colour frames one by one. Default: as many as the frames have.
    batch : int
        The largest number of entries in one call. With 1 a frame has the same bits alone and in a video.
    device : optional
        Where to run; the module is moved there. Default: where its parameters are, or the CPU.
    whole_timesteps : bool
        Round t, and pass it as int64.
    learned_variance : bool
        It returns twice the channels, as for `from_eps`; not for a denoiser.

    Returns
    -------
    Denoiser
        As for `from_eps`; the result has the dtype of y.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    InputError
        If `module` is the path of a pickled file, which could run code; on a call, as for `from_eps`.

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
    if isinstance(module, (str, PathLike)):
        refuse_pickled(module)
        raise ParameterError(f"module is the path {fspath(module)!r}; build the module and load its weights first")
    check_callable(module=module)
    try:
        import torch
    except ImportError as error:
        raise ImportError(not_installed("from_torch", "torch", "torch")) from error
    if device is not None and isinstance(module, torch.nn.Module):
        module.to(device)
    lock = Lock()  # Threads would mix up the modes of the module, and PyTorch has threads of its own.

    def run(entries: Array, level: float) -> Any:
        home = next(iter(module.parameters()), None) if isinstance(module, torch.nn.Module) else None
        where = home.device if home is not None else device
        dtype = home.dtype if home is not None and home.is_floating_point() else torch.float32
        x = torch.from_numpy(np.ascontiguousarray(entries)).to(where, dtype)
        levels = torch.full((len(x),), level, dtype=torch.int64 if whole_timesteps else dtype, device=where)
        with lock, _evaluating(module, torch), torch.inference_mode():
            out = module(x, levels)
        if not isinstance(out, torch.Tensor):
            raise DtypeError(f"it returned a {type(out).__name__}; wrap it in a module that returns a tensor")
        if out.is_floating_point() and out.dtype != torch.float64:
            out = out.float()  # NumPy has no bfloat16.
        return out.cpu().numpy()

    network = Network(run, name_of(module), layout, multiple, channels, batch, 2 if learned_variance else 1)
    return _denoiser(network, schedule, kind, value_range, whole_timesteps)


def from_onnx(
    model: Any,
    schedule: Schedule | None = None,
    kind: str = "denoiser",
    *,
    inputs: Sequence[str] | None = None,
    layout: str = "BCHW",
    value_range: Range = (0.0, 1.0),
    multiple: int = 1,
    channels: int | None = None,
    batch: int = 1,
    whole_timesteps: bool = False,
    learned_variance: bool = False,
) -> Denoiser:
    """Make a denoiser of an ONNX file, run by onnxruntime on the CPU (extra ``onnx``).

    D(y, σ) = model(y, σ), or the estimate of `from_eps`, `from_x0` or `from_v` from the first output of the model.

    Parameters
    ----------
    model : path, or onnxruntime.InferenceSession
        It takes a picture and, if it has a second input, the level in the shape of this input: a number, one for each
        entry of the batch, or a map of the picture's size.
    schedule, kind
        As for `from_torch`.
    inputs : sequence of str, optional
        The names of the picture and, if it takes one, the level. Default: the inputs in their order.
    layout, value_range, multiple, channels, batch, whole_timesteps, learned_variance
        As for `from_torch`.

    Returns
    -------
    Denoiser
        As for `from_eps`; the result has the dtype of y.

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
    name = "an ONNX session"
    if isinstance(model, (str, PathLike)):
        name, model = Path(model).name, session(model)
    if not (hasattr(model, "run") and hasattr(model, "get_inputs")):
        raise ParameterError(f"model is {model!r}; it must be the path of an ONNX file, or an onnxruntime session")
    offered = {node.name: node for node in model.get_inputs()}
    names = list(offered) if inputs is None else list(inputs)
    if not (1 <= len(names) <= 2 and set(names) <= set(offered) and len(set(names)) == len(names)):
        raise ParameterError(f"inputs are {names}; they must be one or two of those of {name}: {list(offered)}")
    output = model.get_outputs()[0].name
    nodes = [offered[n] for n in names]
    dtypes = [_onnx_dtype(node) for node in nodes]
    if kind != "denoiser" and dtypes[1:] and dtypes[1].kind == "i" and not whole_timesteps:
        raise ParameterError(f"{name} takes whole levels only ({nodes[1].type}); pass whole_timesteps=True")

    def run(entries: Array, level: float) -> Any:
        given = {names[0]: np.ascontiguousarray(entries, dtypes[0])}
        if len(names) == 2:
            wanted = zip(nodes[1].shape, entries.shape, strict=False)
            given[names[1]] = np.full([d if isinstance(d, int) else n for d, n in wanted], level, dtypes[1])
        return model.run([output], given)[0]

    network = Network(run, name, layout, multiple, channels, batch, 2 if learned_variance else 1)
    return _denoiser(network, schedule, kind, value_range, whole_timesteps)


def _denoiser(network: Network, schedule: Any, kind: str, value_range: Any, whole_timesteps: bool) -> Denoiser:
    if kind not in KINDS:
        raise ParameterError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    learned_variance = network.groups == 2
    if kind == "denoiser":
        if schedule is not None or learned_variance or whole_timesteps:
            raise ParameterError(
                "schedule, learned_variance and whole_timesteps are for models of a diffusion process; give its kind: "
                "'eps', 'x0' or 'v'"
            )
        return Direct(network, as_range(value_range))
    if network.layout == "B(TC)HW":
        raise ParameterError("layout is 'B(TC)HW', which returns one frame of many; that needs kind='denoiser'")
    options = {"value_range": value_range, "whole_timesteps": whole_timesteps, "learned_variance": learned_variance}
    return PREDICTORS[kind](network, schedule, **options)


@contextmanager
def _evaluating(module: Any, torch: Any) -> Iterator[None]:
    """Put a module into evaluation mode; restore the mode of every part afterwards."""
    parts = list(module.modules()) if isinstance(module, torch.nn.Module) else []
    modes = [part.training for part in parts]
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def session(path: Any) -> Any:
    """Return an onnxruntime session for the model in a file, with as many threads as the library uses."""
    refuse_pickled(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(not_installed("from_onnx", "onnxruntime", "onnx")) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads()
    try:
        elsewhere = names_other_files(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{fspath(path)} cannot be read as an ONNX model: {error}") from error
    if elsewhere:
        raise InputError(
            f"{fspath(path)} refers to other files, which are not opened; if you trust it, save it as one file: "
            "onnx.save(onnx.load(PATH), 'model.onnx', save_as_external_data=False)"
        )
    try:
        return onnxruntime.InferenceSession(fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{fspath(path)} cannot be read as an ONNX model: {error}") from error


def _onnx_dtype(node: Any) -> np.dtype[Any]:
    known = {"float": "f4", "double": "f8", "float16": "f2", "int64": "i8", "int32": "i4"}
    return np.dtype(known.get(node.type.removeprefix("tensor(").removesuffix(")"), "f4"))
