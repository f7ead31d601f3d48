"""Models in files: nothing in them is run that is not numbers or operations on them, and no other file is opened."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import pde_video as pv
from pde_video.denoisers.onnx_files import names_other_files


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def message(*fields: tuple[int, bytes | int]) -> bytes:
    """A protobuf message, by its specification."""
    parts = []
    for number, content in fields:
        if isinstance(content, int):
            parts += [whole(number << 3), whole(content)]
        else:
            parts += [whole(number << 3 | 2), whole(len(content)), content]
    return b"".join(parts)


def whole(value: int) -> bytes:
    low = []
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])


OUTSIDE = message((1, 4), (2, 1), (8, b"w"), (13, message((1, b"location"), (2, b"../secret"))), (14, 1))
INSIDE = message((1, 4), (2, 1), (8, b"location"), (9, b"\0\0\0\0"), (14, 0))


def nested(tensor: bytes) -> dict[str, bytes]:
    """The places of an ONNX file where a tensor may be."""
    attribute = message((1, b"value"), (5, tensor))
    node = message((4, b"Constant"), (5, attribute))
    sparse = message((2, tensor))
    graph = message((1, node))
    branch = message((1, message((5, message((6, graph))))))
    return {
        "initializer": message((1, 8), (7, message((5, tensor)))),
        "constant": message((7, graph)),
        "branch": message((7, branch)),
        "list": message((7, message((1, message((5, message((10, tensor)))))))),
        "graphs": message((7, message((1, message((5, message((11, graph)))))))),
        "sparse": message((7, message((15, sparse)))),
        "sparse constant": message((7, message((1, message((5, message((22, sparse)))))))),
        "function": message((25, message((7, node)))),
        "training": message((20, message((1, graph)))),
    }


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".onnx", ".safetensors"])
def test_a_pickled_model_is_refused_and_nothing_is_run(tmp_path, suffix):
    path, trace = tmp_path / f"model{suffix}", tmp_path / "harmed"
    path.write_bytes(pickle.dumps(Harm(trace)))
    makers = [pv.load_denoiser] if suffix == ".safetensors" else [pv.load_denoiser, pv.from_onnx]
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime")
    for maker in makers:
        with pytest.raises(pv.InputError, match=f"model{suffix}"):
            maker(path)
    assert not trace.exists()


@pytest.mark.parametrize("place", nested(b""))
def test_a_tensor_that_is_elsewhere_is_found_wherever_it_hides(place):
    assert names_other_files(nested(OUTSIDE)[place])
    assert not names_other_files(nested(INSIDE)[place])
    without = message((1, 4), (13, message((1, b"location"), (2, b"x"))))  # Even where it does not say so.
    assert names_other_files(nested(without)[place])


def test_a_message_that_is_cut_or_runs_over_its_end_is_an_error():
    data = nested(OUTSIDE)["initializer"]
    for length in range(1, len(data)):
        try:
            names_other_files(data[:length])
        except ValueError:
            continue
    with pytest.raises(ValueError, match="end"):
        names_other_files(b"\x3a\xff\xff\xff\xff\x0f")
    with pytest.raises(ValueError, match="end"):
        names_other_files(b"\xff" * 20)


@pytest.mark.parametrize("where", ["../secret.bin", "secret.bin", "/etc/hostname"])
def test_an_onnx_model_with_external_paths_is_refused_and_nothing_is_run(tmp_path, where):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    folder = tmp_path / "models"
    folder.mkdir()
    for secret in (tmp_path / "secret.bin", folder / "secret.bin"):
        secret.write_bytes(np.float32(42).tobytes())
    tensor = onnx.TensorProto(name="w", data_type=kind, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=where)
    picture = [helper.make_tensor_value_info(name, kind, [None] * 4) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", picture[:1], picture[1:], [tensor])
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    for maker in (pv.from_onnx, pv.load_denoiser):
        with pytest.raises(pv.InputError, match=r"model\.onnx refers to other files"):
            maker(path)


def test_a_model_that_is_missing_needs_no_extra_to_say_so(tmp_path):
    code = "import pde_video as pv; pv.load_denoiser('no.onnx')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert "InputError: no.onnx cannot be read: No such file" in ran.stderr.splitlines()[-1]
