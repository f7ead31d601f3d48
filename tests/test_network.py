"""The network, held to a plain NumPy one in double precision and to PyTorch; its files; streams; threads."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save
from scipy.signal import correlate

import pde_video as pv
from pde_video.denoisers.network import FORMAT, Network

CONFIG = {"format": FORMAT, "cell": "gru", "width": 6, "encoder": 1, "decoder": 2, "deviation": 0.25}
CONFIGS = {
    "gru": CONFIG,
    "rnn": CONFIG | {"cell": "rnn", "width": 9, "encoder": 2, "decoder": 1},
    "no blocks": CONFIG | {"width": 8, "encoder": 0, "decoder": 0, "deviation": 0.5},
}
SIGMA = 0.1


def weights(config, seed=0):
    """Random weights, large enough that every gate opens and closes, under the names of the format."""
    rng = np.random.default_rng(seed)
    w = config["width"]
    layers = {"entry": (w, 9, 3), "cell.candidate": (w, 2 * w, 3), "fusion": (2 * w, 2 * w, 1), "head": (4, w, 3)}
    if config["cell"] == "gru":
        layers["cell.gates"] = (2 * w, 2 * w, 3)
    for part in ("encoder", "decoder"):
        for k in range(config[part]):
            layers |= {f"{part}.{k}.{which}": (w, w, 3) for which in ("first", "second")}
    tensors = {}
    for name, (outputs, inputs, side) in layers.items():
        deviation = np.sqrt(1.5 / (inputs * side**2))
        tensors[f"{name}.weight"] = rng.normal(0, deviation, (outputs, inputs, side, side)).astype(np.float32)
        tensors[f"{name}.bias"] = rng.normal(0, 0.3, outputs).astype(np.float32)
    return tensors


def file(config=CONFIG, tensors=None):
    return save(weights(config) if tensors is None else tensors, {"config": json.dumps(config)})


def network(config=CONFIG):
    return Network.from_bytes(file(config))


def corrected(y, sigma, d, inside):
    """The estimate of a picture (H, W): the diffused one, corrected by what is `inside`, a function of two pictures."""
    single = y.astype(np.float32)[..., np.newaxis]
    smooth = pv.cosine_diffusion(single, sigma)[..., 0].astype(float)
    padded, smooth = (np.pad(x, [(0, n % 2) for n in y.shape], mode="edge") for x in (y, smooth))
    whole = smooth + sigma / 2 * inside((padded - 0.5) / np.hypot(sigma, d), (padded - smooth) / sigma)
    return whole[: y.shape[0], : y.shape[1]]


def plain(config, tensors, frames, sigma):
    """One plane of a stream (T, H, W), as the definition says, in double precision."""
    w = config["width"]

    def layer(name, x):
        weight, bias = tensors[f"{name}.weight"].astype(float), tensors[f"{name}.bias"].astype(float)
        rim = weight.shape[-1] // 2
        padded = np.pad(x, ((0, 0), (rim, rim), (rim, rim)))
        return np.stack([correlate(padded, one, "valid")[0] + b for one, b in zip(weight, bias, strict=True)])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def blocks(part, x):
        for k in range(config[part]):
            x = x + layer(f"{part}.{k}.second", np.maximum(layer(f"{part}.{k}.first", x), 0))
        return x

    def step(u, taken, h):
        height, width = u.shape
        quarters, others = ([x[dy::2, dx::2] for dy in (0, 1) for dx in (0, 1)] for x in (u, taken))
        level = np.full(quarters[0].shape, np.log(sigma) / 4)
        e = np.maximum(layer("entry", np.stack([*quarters, *others, level])), 0)
        e = blocks("encoder", e)
        h = np.zeros_like(e) if h is None else h
        if config["cell"] == "gru":
            gates = sigmoid(layer("cell.gates", np.concatenate([e, h])))
            z, r = gates[:w], gates[w:]
            c = np.tanh(layer("cell.candidate", np.concatenate([e, r * h])))
            h = (1 - z) * h + z * np.concatenate([quarters, c[4:]])
        else:
            h = np.tanh(layer("cell.candidate", np.concatenate([e, h])))
        mixed = layer("fusion", np.concatenate([e, h]))
        head = layer("head", np.maximum(blocks("decoder", e + sigmoid(mixed[w:]) * mixed[:w]), 0))
        return head.reshape(2, 2, height // 2, width // 2).transpose(2, 0, 3, 1).reshape(height, width), h

    h, results = None, []
    for y in frames.astype(float):

        def inside(u, taken):
            nonlocal h
            result, h = step(u, taken, h)
            return result

        results.append(corrected(y, sigma, config["deviation"], inside))
    return np.stack(results)


@pytest.mark.parametrize("shape", [(4, 12, 18), (3, 7, 5), (2, 1, 1), (3, 1, 37), (2, 36, 2)], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_the_network_that_is_defined(name, shape, rng):
    frames = rng.random(shape, np.float32)
    for sigma in (0.02, 0.7):
        found = network(CONFIGS[name])(frames[..., np.newaxis], sigma)[..., 0]
        np.testing.assert_allclose(found, plain(CONFIGS[name], weights(CONFIGS[name]), frames, sigma), atol=1e-5)


def test_weights_and_state_matter():
    """What the comparison above would not see if the random network were too tame."""
    frames = np.random.default_rng(3).random((3, 8, 8, 1), np.float32)
    once, alone = network()(frames, SIGMA), np.stack([network()(frame, SIGMA) for frame in frames])
    np.testing.assert_array_equal(once[0], alone[0])
    assert np.abs(once[1:] - alone[1:]).max() > 1e-3
    for name, tensor in weights(CONFIG).items():
        changed = file(CONFIG, weights(CONFIG) | {name: 0 * tensor})
        assert np.abs(Network.from_bytes(changed)(frames, SIGMA) - once).max() > 1e-4, name


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_what_pytorch_computes(name, rng):
    torch = pytest.importorskip("torch")
    config, w = CONFIGS[name], CONFIGS[name]["width"]
    tensors = {key: torch.from_numpy(value) for key, value in weights(config).items()}

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            names = {key.rpartition(".")[0] for key in tensors}
            self.layers = torch.nn.ModuleDict()
            for key in names:
                outputs, inputs, side, _ = tensors[f"{key}.weight"].shape
                layer = torch.nn.Conv2d(inputs, outputs, side, padding=side // 2)
                layer.load_state_dict({part: tensors[f"{key}.{part}"] for part in ("weight", "bias")})
                self.layers[key.replace(".", "_")] = layer

        def forward(self, u, taken, h):
            layers = self.layers
            level = torch.full((1, 1, u.shape[2] // 2, u.shape[3] // 2), float(np.log(SIGMA)) / 4)
            parts = [torch.nn.functional.pixel_unshuffle(x, 2) for x in (u, taken)]
            e = torch.relu(layers["entry"](torch.cat([*parts, level], 1)))
            for k in range(config["encoder"]):
                e = e + layers[f"encoder_{k}_second"](torch.relu(layers[f"encoder_{k}_first"](e)))
            h = torch.zeros_like(e) if h is None else h
            if config["cell"] == "gru":
                z, r = torch.sigmoid(layers["cell_gates"](torch.cat([e, h], 1))).split(w, 1)
                c = torch.tanh(layers["cell_candidate"](torch.cat([e, r * h], 1)))
                h = torch.lerp(h, torch.cat([torch.nn.functional.pixel_unshuffle(u, 2), c[:, 4:]], 1), z)
            else:
                h = torch.tanh(layers["cell_candidate"](torch.cat([e, h], 1)))
            f = e + torch.nn.functional.glu(layers["fusion"](torch.cat([e, h], 1)), 1)
            for k in range(config["decoder"]):
                f = f + layers[f"decoder_{k}_second"](torch.relu(layers[f"decoder_{k}_first"](f)))
            return torch.nn.functional.pixel_shuffle(layers["head"](torch.relu(f)), 2), h

    twin, h = Twin(), None
    frames = rng.random((4, 14, 34, 1), np.float32)
    found = network(config)(frames, SIGMA)
    for frame, estimate in zip(frames[..., 0], found[..., 0], strict=True):

        def inside(u, taken):
            nonlocal h
            with torch.no_grad():
                result, h = twin(*(torch.from_numpy(x).float()[None, None] for x in (u, taken)), h)
            return result[0, 0].numpy()

        np.testing.assert_allclose(estimate, corrected(frame, SIGMA, config["deviation"], inside), atol=1e-5)


def test_colours_are_three_planes_of_their_own(rng):
    frames = rng.random((3, 6, 9, 3), np.float32)
    red, green, blue = np.moveaxis(frames.astype(float), -1, 0)

    def one(plane, sigma):
        return plain(CONFIG, weights(CONFIG), plane, sigma)

    mean = one((red + green + blue) / 3, SIGMA / np.sqrt(3))
    across = one((red - blue) / np.sqrt(2) + 0.5, SIGMA) - 0.5
    along = one((red - 2 * green + blue) / np.sqrt(6) + 0.5, SIGMA) - 0.5
    wanted = [
        mean + across / np.sqrt(2) + along / np.sqrt(6),
        mean - 2 * along / np.sqrt(6),
        mean - across / np.sqrt(2) + along / np.sqrt(6),
    ]
    np.testing.assert_allclose(network()(frames, SIGMA), np.stack(wanted, axis=-1), atol=1e-5)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_as_many_grey_pictures(channels, rng):
    frames = rng.random((2, 6, 7, channels), np.float32)
    alone = [network()(frames[..., c : c + 1], SIGMA) for c in range(channels)]
    np.testing.assert_array_equal(network()(frames, SIGMA), np.concatenate(alone, axis=-1))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_stream_is_the_array_and_knows_nothing_of_what_comes(channels, rng):
    frames = rng.random((4, 9, 20, channels), np.float32)
    whole = network()(frames, SIGMA)
    given = []

    def source():
        for frame in frames:
            given.append(frame)
            yield frame

    for k, estimate in enumerate(network().along(source(), SIGMA)):
        assert len(given) == k + 1
        np.testing.assert_array_equal(estimate, whole[k])
    np.testing.assert_array_equal(network()(frames[:2], SIGMA), whole[:2])
    np.testing.assert_array_equal(network()(frames[0], SIGMA), whole[0])


@pytest.mark.parametrize("name", CONFIGS)
def test_any_number_of_threads_gives_the_same_bits(name, threads, rng):
    frames, results = rng.random((3, 71, 45, 3), np.float32), []
    for n in (1, 2, 3):
        threads(n)
        results += [network(CONFIGS[name])(frames, SIGMA) for _ in range(3)]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_double_precision_comes_back_and_is_single_inside(rng):
    frames = rng.random((2, 5, 6, 3), np.float32)
    found = network()(frames.astype(float), SIGMA)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, network()(frames, SIGMA))


def test_no_noise_changes_nothing(rng):
    frames = rng.random((2, 5, 6, 3))
    np.testing.assert_array_equal(network()(frames, 0), frames)


def test_a_cell_leaves_what_it_is_given(rng):
    planes = rng.random((2, 6, 8), np.float32)
    _, state = network().cell(planes, None, SIGMA)
    kept = planes.copy(), state.copy()
    first, _ = network().cell(planes, state, SIGMA)
    np.testing.assert_array_equal(planes, kept[0])
    np.testing.assert_array_equal(state, kept[1])
    np.testing.assert_array_equal(network().cell(planes, state, [SIGMA, SIGMA])[0], first)
    assert np.abs(network().cell(planes, state, [SIGMA, 0.5])[0] - first).max(axis=(1, 2))[0] == 0
    assert np.abs(network().cell(planes, state, [SIGMA, 0.5])[0] - first).max(axis=(1, 2))[1] > 0


def test_files_are_read(tmp_path, rng):
    frame = rng.random((5, 6, 1), np.float32)
    path = tmp_path / "small.safetensors"
    path.write_bytes(file())
    for where in (path, str(path)):
        np.testing.assert_array_equal(Network.load(where)(frame, SIGMA), network()(frame, SIGMA))


SMALL = weights(CONFIG)
BROKEN = {
    "no tensors": (b"", "safetensors"),
    "no tensors at all": (b"\x00" * 100, "safetensors"),
    "cut off": (file()[:-5], "safetensors"),
    "cut off in its header": (file()[:50], "safetensors"),
    "no metadata": (save(SMALL), "no config"),
    "other metadata": (save(SMALL, {"format": "pt"}), "no config"),
    "no JSON": (save(SMALL, {"config": "{"}), "no config"),
    "a config too deep": (save(SMALL, {"config": "[" * 100000 + "]" * 100000}), "no config"),
    "a record too deep": (save(SMALL, {"config": json.dumps(CONFIG), "record": "[" * 100000 + "]" * 100000}), "record"),
    "no mapping": (save(SMALL, {"config": "[1]"}), "format"),
    "another format": (file(CONFIG | {"format": "pde_video denoiser 2"}, SMALL), "format.* 2'.*denoiser 1"),
    "another cell": (file(CONFIG | {"cell": "lstm"}, SMALL), "cell = 'lstm'.*gru or rnn"),
    "no width": (file({key: value for key, value in CONFIG.items() if key != "width"}, SMALL), "width = None"),
    "a width of 3": (file(CONFIG | {"width": 3}, SMALL), "width = 3"),
    "half a block": (file(CONFIG | {"encoder": 1.5}, SMALL), "encoder = 1.5"),
    "a truth": (file(CONFIG | {"decoder": True}, SMALL), "decoder = True"),
    "a deviation of 0": (file(CONFIG | {"deviation": 0}, SMALL), "deviation = 0"),
    "a key from the future": (file(CONFIG | {"attention": 2}, SMALL), "attention"),
    "a missing tensor": (file(CONFIG | {"decoder": 3}, SMALL), r"missing: decoder.2.first.bias"),
    "a tensor left over": (file(CONFIG | {"cell": "rnn"}, SMALL), r"cell.gates.bias, cell.gates.weight"),
    "a misshapen tensor": (file(CONFIG, SMALL | {"head.weight": SMALL["head.weight"][:3]}), r"head.weight is \(3, 6"),
    "halves": (file(CONFIG, SMALL | {"head.bias": SMALL["head.bias"].astype(np.float16)}), "head.bias .* float16"),
    "a record that is none": (save(SMALL, {"config": json.dumps(CONFIG), "record": "[3]"}), "record"),
    "a record without sense": (
        save(SMALL, {"config": json.dumps(CONFIG), "record": '{"settings": {"sigma": "a"}}'}),
        "record",
    ),
    "NaN": (file(CONFIG, SMALL | {"head.bias": SMALL["head.bias"] * np.float32(np.nan)}), "head.bias .* not finite"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_says_what_is_wrong(name, tmp_path):
    data, says = BROKEN[name]
    with pytest.raises(pv.InputError, match=says):
        Network.from_bytes(data)
    path = tmp_path / "broken.safetensors"
    path.write_bytes(data)
    with pytest.raises(pv.InputError, match=f"^broken.safetensors: .*{says}"):
        Network.load(path)


@pytest.mark.parametrize("name", ["model.pt", "model.PTH", "model.pkl"])
def test_pickles_are_refused_unread(name, tmp_path):
    with pytest.raises(pv.InputError, match=f"{name}.*safetensors"):
        Network.load(tmp_path / name)


def test_no_file(tmp_path):
    with pytest.raises(pv.InputError, match=r"none.safetensors cannot be read: no such file"):
        Network.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("sigma", [-0.1, np.nan, np.inf])
def test_a_wrong_noise_is_refused_at_the_call(sigma):
    with pytest.raises(pv.ParameterError, match="sigma"):
        network().along([], sigma)
    with pytest.raises(pv.ParameterError, match="sigma"):
        network().cell(np.zeros((2, 4, 4), np.float32), None, [SIGMA, sigma])


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (np.zeros((4, 4), np.float32), "shape"),
        (np.zeros((2, 0, 4, 1), np.float32), "shape"),
        (np.zeros((4, 4, 1), np.uint8), "uint8"),
        (np.array([0, np.nan, 0, 0], np.float32).reshape(2, 1, 2, 1), "frame 0 holds NaN or infinite"),
        (np.array([0, 0, 0, np.inf]).reshape(2, 1, 2, 1), "frame 1 holds NaN or infinite"),
    ],
)
def test_wrong_frames_are_refused(frames, says):
    with pytest.raises(pv.InputError, match=says):
        network()(frames, SIGMA)


def test_a_size_that_changes_is_refused():
    frames = [np.zeros((4, 6, 1), np.float32), np.zeros((4, 8, 1), np.float32)]
    with pytest.raises(pv.InputError, match=r"frame 1: the shape is .* as large as the first"):
        list(network().along(frames, SIGMA))
    _, state = network().cell(frames[0][np.newaxis, ..., 0], None, SIGMA)
    with pytest.raises(pv.InputError, match="frames must keep their size"):
        network().cell(frames[1][np.newaxis, ..., 0], state, SIGMA)
