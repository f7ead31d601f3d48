"""ONNX files, opened by onnxruntime only if their bytes refer to no other file."""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.access.opening import content_of
from pde_video.denoisers.planewise import Planewise
from pde_video.denoisers.validation import refuse_pickled
from pde_video.errors import InputError, ParameterError, SolverError, in_short, not_installed
from pde_video.protocols import Array
from pde_video.threads import num_threads

# The messages of onnx.proto that lead to tensors, with the numbers of the fields on the way.
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_LARGEST = 2**31  # Bytes: no message of protobuf is larger.
_DAMAGED = "it is damaged, cut off, or no ONNX model"
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")


def names_other_files(data: bytes) -> bool:
    """Return whether any tensor has external data; raise ValueError if `data` is not an ONNX model."""
    waiting = [("model", memoryview(data))]
    while waiting:
        kind, message = waiting.pop()
        for number, content in _fields(message):
            if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and content != 0)):
                return True
            inside = _INSIDE[kind].get(number)
            if inside and isinstance(content, memoryview):
                waiting.append((inside, content))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and content of each field of a protobuf message: bytes, or an integer."""
    place = 0
    while place < len(message):
        tag, place = _whole(message, place)
        number, wire = tag >> 3, tag & 7
        content: int | memoryview = 0
        if wire == 0:
            content, place = _whole(message, place)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            length, place = _whole(message, place)
            content, place = message[place : place + length], place + length
        else:
            raise ValueError(f"a field of wire type {wire}")
        if place > len(message):
            raise ValueError("a field beyond the end")
        yield number, content


def _whole(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
    raise ValueError("a number beyond the end")


def opened(path: str) -> Any:
    """Return an onnxruntime session for the model in a file, with as many threads as the library uses."""
    refuse_pickled(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(not_installed("from_onnx", "onnxruntime", "onnx")) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads()
    try:
        data = content_of(Path(path), _LARGEST)
        elsewhere = names_other_files(data)
    except OSError as error:
        raise InputError(f"{path} cannot be read as an ONNX model: {error.strerror or error}") from error
    except InputError as error:
        raise InputError(f"{path} cannot be read as an ONNX model: {error}") from error
    except ValueError as error:
        raise InputError(f"{path} cannot be read as an ONNX model: {_DAMAGED} ({error})") from error
    if elsewhere:
        raise InputError(
            f"{path} refers to other files, which are not opened; if you trust it, save it as one file: "
            "onnx.save(onnx.load(PATH), 'model.onnx', save_as_external_data=False)"
        )
    try:
        return onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    except Exception as error:  # Of many types.
        unknown = type(error).__name__ not in ("InvalidProtobuf", "InvalidArgument")
        why = "it is damaged, or needs what this version of onnxruntime does not support" if unknown else _DAMAGED
        raise InputError(f"{path} cannot be read as an ONNX model: {why} ({_words_of(error)})") from error


def _words_of(error: Exception) -> str:
    """Return what onnxruntime says, without its numbers of errors."""
    return f"onnxruntime: {_CODE.sub('', in_short(error))}"


_INPUTS, _OUTPUTS = ["frame", "guide", "state", "sigma"], ["estimate", "next_state"]


@dataclass(frozen=True, eq=False, repr=False)
class OnnxNetwork(Planewise):
    """The network of the library as `pde-video export` writes it: (frame, guide, state, sigma) → estimate, state."""

    most = 60 / 255  # The limit of `train`; ONNX files have no record.
    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", Path(self.path).name)
        ends = self._session.get_inputs(), self._session.get_outputs()
        found = [[node.name for node in nodes] for nodes in ends]
        if found != [_INPUTS, _OUTPUTS]:
            maps = f"{found[0]} to {found[1]}, not {_INPUTS} to {_OUTPUTS}"
            raise InputError(f"the model maps {maps}; load other models with from_onnx")

    @cached_property
    def _session(self) -> Any:
        if importlib.util.find_spec("onnxruntime") is None:
            raise ParameterError(not_installed("an .onnx file", "onnxruntime", "onnx"))
        return opened(self.path)

    def cell(self, planes: Array, state: Any, sigma: float | Sequence[float]) -> tuple[Array, Any]:
        """Return the estimate of planes (P, H, W), and the state for the next ones."""
        count, height, width = planes.shape
        even, guides = (
            np.pad(x, [(0, 0), (0, height % 2), (0, width % 2)], mode="edge")[:, np.newaxis]
            for x in (planes, self.guides(planes, sigma))
        )
        if state is None:
            channels = self._session.get_inputs()[2].shape[1]
            state = np.zeros((count, channels, even.shape[2] // 2, even.shape[3] // 2), np.float32)
        levels = np.ascontiguousarray(np.broadcast_to(np.asarray(sigma, np.float32), count))
        given = zip(_INPUTS, (even, guides, state, levels), strict=True)
        try:
            estimate, state = self._session.run(_OUTPUTS, dict(given))
        except Exception as error:  # Of many types.
            raise SolverError(f"{self.name}: the model cannot be run on these frames ({_words_of(error)})") from error
        return estimate[:, 0, :height, :width], state
