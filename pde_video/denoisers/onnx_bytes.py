"""Whether an ONNX file refers to other files, found from its bytes before a library opens them."""

from __future__ import annotations

from collections.abc import Iterator

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


def names_other_files(data: bytes) -> bool:
    """Return whether any tensor has external data; raise ValueError if `data` is no ONNX model."""
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
