"""Models in files: nothing in them is run that is not numbers or operations on them, and no other file is opened."""

from __future__ import annotations

import collections
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from cases import slow
from fuzz_worker import mutated
from safetensors.numpy import save

import pde_video as pv
from pde_video.denoisers.network import FORMAT, shapes
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


CONFIG = {"format": FORMAT, "cell": "gru", "width": 4, "encoder": 1, "decoder": 1, "deviation": 0.25}
# What a header may say in place of anything else.
ODD = [None, True, -1, 0, 2**31, 2**60, 10**400, 1e308, -0.5, "", "x" * 5000, "\0", "F16", "BF16", "I64", [], {}]
ODD += [
    [0, 2**60],
    [2**32, 2**32],
    [-1],
    [[]],
    {"a": {}},
    "[" * 3000,
    "NaN",
    "1e999",
    '{"settings": {"sigma": [0, 1e999]}}',
]


def model() -> bytes:
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes(CONFIG).items()}
    record = {"settings": {"sigma": [2, 60]}, "psnr": {"mean": 30.0}}
    return save(tensors, {"config": json.dumps(CONFIG), "record": json.dumps(record)})


def places(value: object) -> list[tuple[object, object]]:
    """Return every container in a value of JSON with each of its keys."""
    if not isinstance(value, dict | list):
        return []
    here = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in here] + [pair for key in here for pair in places(value[key])]


def altered(value: object, rng: np.random.Generator) -> None:
    """Replace, remove or add something in a value of JSON."""
    found = places(value)
    inside, key = found[rng.integers(len(found))]
    kind = rng.integers(6)
    if kind == 0:
        del inside[key]
    elif kind == 1 and isinstance(inside, dict):
        inside[str(ODD[rng.integers(len(ODD))])[:50]] = inside[key]
    else:
        inside[key] = ODD[rng.integers(len(ODD))]


def with_another_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a model with one to three changes in its header, or in the JSON that is text in it."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    said = header["__metadata__"]
    for _ in range(rng.integers(1, 4)):
        name = ("config", "record", "")[rng.integers(3)]
        if not name:
            altered(header, rng)
        elif isinstance(header.get("__metadata__"), dict) and isinstance(said.get(name), str):
            inner = json.loads(said[name]) if said[name].startswith('{"') and said[name].endswith("}") else {"a": 1}
            altered(inner, rng)
            said[name] = json.dumps(inner)
        if not header:
            break
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


@pytest.mark.parametrize("count", [300, *slow(2000)])
def test_mutated_models_end_cleanly(tmp_path, count):
    path, good, ended = tmp_path / "model.safetensors", model(), collections.Counter()
    frame = np.random.default_rng(1).random((4, 6, 1), np.float32)
    for number in range(count):
        rng = np.random.default_rng([5, number])
        data = (mutated if number % 3 == 0 else with_another_header)(good, rng)
        path.write_bytes(data)
        try:
            estimate = pv.load_denoiser(path)(frame, 0.1)
        except (pv.InputError, pv.ParameterError) as fault:  # The latter: trained with less noise.
            said = str(fault)
            ended["refused" if len(said) < 1000 and "model.safetensors" in said else said] += 1
        except BaseException as fault:
            raise AssertionError(f"input {number}: {data[:3000]!r}") from fault
        else:
            ended["used" if estimate.shape == frame.shape else str(number)] += 1
    assert set(ended) == {"refused", "used"}
    assert ended["refused"] > 0.7 * count
    assert ended["used"] > 0.02 * count


def headed(header: object) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def tensor(shape: list[int]) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}


CLAIMS = {
    "a header of 2^60 bytes": (2**60).to_bytes(8, "little") + b"{}",
    "a header of 100 MB": (10**8).to_bytes(8, "little") + b"{}",
    "a header of 2 MB": headed({"__metadata__": {"config": "x" * 2**21}}),
    "10,000 tensors": headed({f"tensor {k}": tensor([0]) for k in range(10_000)}),
    "a huge shape": headed({"head.weight": tensor([2**32, 2**32])}),
    "a huge shape of nothing": headed({"head.weight": tensor([2**62, 0])}),
    "a deep header": headed(None)[:8] + b"[" * 1000,
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_model_that_claims_more_than_it_has_is_refused(tmp_path, claim):
    path = tmp_path / "model.safetensors"
    path.write_bytes(CLAIMS[claim])
    with pytest.raises(pv.InputError, match=r"^model\.safetensors: .{1,400}$") as caught:
        pv.load_denoiser(path)
    assert ("its header has" in str(caught.value)) == ("a header of" in claim)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("suffix", ["safetensors", "onnx"])
@pytest.mark.parametrize("kind", ["pipe", "endless device", "folder"])
def test_a_model_that_is_no_file_is_not_waited_for(tmp_path, suffix, kind):
    if suffix == "onnx":
        pytest.importorskip("onnxruntime")
    path = tmp_path / f"model.{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(pv.InputError, match=rf"model\.{suffix}"):
        pv.load_denoiser(path)


@pytest.mark.parametrize("kind", ["cut off", "text", "a header of no text"])
def test_what_is_wrong_with_a_model_is_said_in_plain_words(tmp_path, kind):
    whole = save({"a": np.zeros(3, np.float32)})
    not_text = whole[:8] + b"\xff" + whole[9:]
    path = tmp_path / "m.safetensors"
    path.write_bytes({"cut off": whole[:-9], "text": b"\x05\0\0\0\0\0\0\0hello"}.get(kind, not_text))
    with pytest.raises(pv.InputError) as refused:
        pv.load_denoiser(path)
    said = str(refused.value)
    assert said.startswith("m.safetensors: not a safetensors file, or damaged or cut off (safetensors: ")
    assert "Error while" not in said
