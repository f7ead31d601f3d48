"""Networks of PyTorch and onnxruntime as denoisers: layouts, ranges, sizes, channels, batches, and what goes wrong."""

from __future__ import annotations

import math
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_denoisers import HALF, LINEAR, MIDDLE, SPREAD, check_score, mean_of_clean

import pde_video as pv

LAYOUTS = ("BCHW", "BCTHW", "B(TC)HW")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the extra torch is not installed: networks of PyTorch are left out")


@pytest.fixture(scope="module")
def onnx():
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed: ONNX files are left out")
    return pytest.importorskip("onnx", reason="the package onnx is not installed: ONNX files cannot be made to test")


def save(onnx, path, nodes, inputs, constants=None, n_outputs=1):
    """Write an ONNX model; inputs are (name, dtype, shape), the outputs the last of the nodes' outputs."""
    helper, kinds = onnx.helper, {np.float32: 1, np.float64: 11, np.int64: 7, np.float16: 10}
    given = [helper.make_tensor_value_info(name, kinds[dtype], shape) for name, dtype, shape in inputs]
    made = [helper.make_tensor_value_info(node.output[0], kinds[inputs[0][1]], None) for node in nodes[-n_outputs:]]
    fixed = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "tiny", given, made, fixed)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


PICTURE = (None, None, None, None)


def ideal_torch(torch, kind, low, high):
    """The exact model of a mixture, in double precision, as a module; the levels are a tensor (B,)."""
    scale = high - low

    class Ideal(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.middle = torch.nn.Parameter(torch.tensor(low + scale * MIDDLE, dtype=torch.float64))

        def forward(self, x, level):
            assert not torch.is_grad_enabled()
            assert not self.training
            assert level.shape == x.shape[:1]
            level = level.reshape(-1, *[1] * (x.ndim - 1)).numpy()
            a = 1 / (1 + level**2) if kind == "denoiser" else LINEAR.alpha_bar(level)
            a = torch.from_numpy(np.asarray(a))
            sigma, y = ((1 - a) / a) ** 0.5, x if kind == "denoiser" else x / a**0.5
            half, total = scale * HALF, (scale * SPREAD) ** 2 + sigma**2
            mean = self.middle + half * torch.tanh(half * (y - self.middle) / total)
            x0 = ((scale * SPREAD) ** 2 * y + sigma**2 * mean) / total
            noise = (x - a**0.5 * x0) / (1 - a) ** 0.5
            return {"denoiser": x0, "x0": x0, "eps": noise, "v": a**0.5 * noise - (1 - a) ** 0.5 * x0}[kind]

    return Ideal()


@pytest.mark.parametrize("sigma", [0.02, 0.15, 1.0])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
@pytest.mark.parametrize("kind", ["denoiser", "eps", "x0", "v"])
def test_the_score_passes_through_torch(torch, kind, value_range, sigma):
    schedule = None if kind == "denoiser" else LINEAR
    denoiser = pv.from_torch(ideal_torch(torch, kind, *value_range), schedule, kind, value_range=value_range)
    check_score(denoiser, sigma)
    check_score(denoiser, sigma, (2, 2, 2, 3))


def test_a_module_is_no_denoiser_and_from_torch_makes_one(torch):
    video, module = np.full((1, 8, 8), 0.5), torch.nn.Identity()
    for use in (
        lambda: pv.denoise(video, sigma=0.1, denoiser=module),
        lambda: pv.reverse(module, [0.1, 0.0]),
        lambda: pv.sample((1, 8, 8, 1), module),
    ):
        with pytest.raises(pv.ParameterError, match=r"PyTorch module Identity.*from_torch\(module\)"):
            use()
    assert pv.denoise(video, sigma=0.1, denoiser=pv.from_torch(lambda x, sigma: x)).shape == video.shape


@pytest.mark.parametrize("sigma", [0.02, 0.15, 1.0])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
def test_the_score_passes_through_onnx(onnx, tmp_path, value_range, sigma):
    low, high = value_range
    scale, node = high - low, onnx.helper.make_node
    constants = {
        "c": (scale * SPREAD) ** 2,
        "middle": low + scale * MIDDLE,
        "half": scale * HALF,
    }
    nodes = [
        node("Mul", ["sigma", "sigma"], ["s2"]),
        node("Add", ["c", "s2"], ["total"]),
        node("Sub", ["y", "middle"], ["off"]),
        node("Mul", ["off", "half"], ["scaled"]),
        node("Div", ["scaled", "total"], ["angle"]),
        node("Tanh", ["angle"], ["side"]),
        node("Mul", ["side", "half"], ["shift"]),
        node("Add", ["middle", "shift"], ["mean"]),
        node("Mul", ["mean", "s2"], ["prior"]),
        node("Mul", ["y", "c"], ["seen"]),
        node("Add", ["prior", "seen"], ["sum"]),
        node("Div", ["sum", "total"], ["x0"]),
    ]
    inputs = [("y", np.float64, PICTURE), ("sigma", np.float64, ())]
    path = save(onnx, tmp_path / "ideal.onnx", nodes, inputs, constants)
    check_score(pv.from_onnx(path, value_range=value_range), sigma)
    check_score(pv.from_onnx(str(path), value_range=value_range, inputs=["y", "sigma"]), sigma, (2, 2, 2, 3))


def marked(x, level):
    """A network that knows every axis by its place: it shifts along H and W, and weights entry, channel and frame."""
    out = x + 2 * x.roll(1, -1) + 5 * x.roll(1, -2)
    for axis in range(x.ndim - 2):
        shape = [-1 if k == axis else 1 for k in range(x.ndim)]
        out = out * (1 + axis + out.new_ones(x.shape[axis]).cumsum(0)).reshape(shape)
    return out * level.reshape(-1, *[1] * (x.ndim - 1))


def test_frames_reach_a_network_in_its_layout(torch, rng):
    y = rng.normal(size=(4, 3, 5, 2)).astype(np.float32)
    by_channel = np.array([2.0, 3.0], np.float32) + 1
    shifted = 0.5 * (y + 2 * np.roll(y, 1, 2) + 5 * np.roll(y, 1, 1)).astype(np.float32)
    alone = 2 * by_channel  # The weight of the first entry, and of the channels.
    by_frame = np.arange(2.0, 6.0).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(pv.from_torch(marked)(y, 0.5), shifted * alone, rtol=1e-5)
    np.testing.assert_allclose(pv.from_torch(marked)(y[1], 0.5), (shifted * alone)[1], rtol=1e-5)
    together = pv.from_torch(marked, batch=4)(y, 0.5)
    np.testing.assert_allclose(together, shifted * by_frame * by_channel, rtol=1e-5)
    in_pairs = pv.from_torch(marked, batch=3)(y, 0.5)
    again = np.array([2.0, 3, 4, 2]).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(in_pairs, shifted * again * by_channel, rtol=1e-5)
    volume = pv.from_torch(marked, layout="BCTHW")
    np.testing.assert_allclose(volume(y, 0.5), shifted * alone * (by_frame + 2), rtol=1e-5)
    np.testing.assert_allclose(volume(y[1], 0.5), shifted[1] * alone * 4, rtol=1e-5)


def test_a_window_in_the_channels_gives_its_middle_frame(torch, rng):
    def middle(x, sigma):
        frames = x.reshape(len(x), 5, -1, *x.shape[2:])
        return frames[:, 2] + 10 * frames[:, 0] + 100 * frames[:, 4]

    y = rng.normal(size=(6, 3, 5, 2)).astype(np.float32)
    network = pv.from_torch(middle, layout="B(TC)HW", multiple=4)
    denoiser = pv.windowed(network)
    padded = np.pad(y, [(2, 2), (0, 0), (0, 0), (0, 0)], mode="edge")
    np.testing.assert_allclose(denoiser(y, 0.1), y + 10 * padded[:-4] + 100 * padded[4:], rtol=1e-5, atol=1e-5)
    one = pv.from_torch(middle, layout="B(TC)HW", channels=1)(y[:5], 0.1)  # Channel by channel: the same.
    np.testing.assert_allclose(one, (y + 10 * padded[:-4] + 100 * padded[4:])[2], rtol=1e-5, atol=1e-5)
    with pytest.raises(pv.ParameterError, match="returns one frame of many; that needs kind='denoiser'"):
        pv.from_torch(middle, LINEAR, "eps", layout="B(TC)HW")


@pytest.mark.parametrize("layout", ["BCHW", "BCTHW"])
@pytest.mark.parametrize("size", [(9, 14), (8, 16), (3, 1), (1, 7)])
def test_odd_sizes_are_mirrored_and_cropped(torch, rng, size, layout):
    seen = []

    def shifted(x, sigma):
        seen.append(x.numpy())
        return x.roll((-1, -1), (-2, -1))

    y = rng.normal(size=(2, *size, 3)).astype(np.float32)
    h, w = (-(-n // 8) * 8 for n in size)
    mirrored = np.pad(y, [(0, 0), (0, h - size[0]), (0, w - size[1]), (0, 0)], mode="reflect")
    result = pv.from_torch(shifted, multiple=8, layout=layout)(y, 0.1)
    expected = np.roll(mirrored, (-1, -1), (1, 2))[:, : size[0], : size[1]]
    np.testing.assert_array_equal(result, expected)
    assert seen[0].shape[-2:] == (h, w)


@pytest.mark.parametrize("layout", ["BCHW", "BCTHW"])
@pytest.mark.parametrize("batch", [1, 4])
def test_grey_and_colour(torch, rng, layout, batch):
    weight = torch.tensor([1.0, 2.0, 6.0])
    grey, colour = (rng.normal(size=(2, 4, 5, c)).astype(np.float32) for c in (1, 3))
    options = {"layout": layout, "batch": batch}

    def colours(x, sigma):
        assert x.shape[1] == 3
        return x * weight.reshape(-1, *[1] * (x.ndim - 2))

    def greys(x, sigma):
        assert x.shape[1] == 1
        return 2 * x + x.roll(1, -1)

    of_grey = pv.from_torch(colours, channels=3, **options)(grey, 0.1)
    np.testing.assert_allclose(of_grey, 3 * grey, rtol=1e-6)
    of_colour = pv.from_torch(greys, channels=1, **options)(colour, 0.1)
    np.testing.assert_allclose(of_colour, 2 * colour + np.roll(colour, 1, 2), rtol=1e-6)
    np.testing.assert_allclose(pv.from_torch(colours, channels=3, **options)(colour, 0.1), colour * weight.numpy())
    with pytest.raises(pv.InputError, match="the frames have 2 channels, but the network takes 3"):
        pv.from_torch(colours, channels=3, **options)(colour[..., :2], 0.1)


@pytest.mark.parametrize("layout", ["BCHW", "BCTHW"])
@pytest.mark.parametrize(("frames", "channels"), [(3, None), (3, 1), (1, 3), (3, 3)])
def test_a_learned_variance_passes_every_layout(torch, rng, frames, channels, layout):
    def learned(x, t):
        return torch.cat([0 * x, x / 4], dim=1)

    y = rng.random((2, 4, 5, frames)).astype(np.float32)
    options = {"learned_variance": True, "channels": channels, "layout": layout, "multiple": 4}
    denoiser = pv.from_torch(learned, LINEAR, "x0", **options)
    estimate, fraction = denoiser.with_fraction(y, 0.75)
    np.testing.assert_array_equal(estimate, np.zeros_like(y))
    np.testing.assert_allclose(fraction, (y * 0.8 / 4 + 1) / 2, rtol=1e-6)  # √ᾱ = 1/√(1 + 0.75²).


def test_the_range_trap_through_a_network(torch, rng):
    clean, noise = rng.random((3, 4, 1)).astype(np.float32), rng.normal(size=(3, 4, 1)).astype(np.float32)

    def knows(x, sigma):
        assert sigma.tolist() == pytest.approx([255 * 0.1])
        np.testing.assert_allclose(x.numpy()[0, 0], 255 * (clean + 0.1 * noise)[..., 0], rtol=1e-4, atol=1e-3)
        return torch.from_numpy(255 * clean.transpose(2, 0, 1)[None])

    estimate = pv.from_torch(knows, value_range=(0, 255))(clean + np.float32(0.1) * noise, 0.1)
    np.testing.assert_allclose(estimate, clean, rtol=0, atol=1e-6)


def test_types_and_modes_are_the_modules_own(torch, rng):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.drop = torch.nn.Dropout(0.5)
            self.frozen = torch.nn.Dropout(0.5).eval()

        def forward(self, x, level):
            seen.append((x.dtype, level.dtype, self.drop.training, torch.is_grad_enabled()))
            return self.frozen(self.drop(x)) * self.scale

    seen, net, y = [], Net(), rng.normal(size=(3, 4, 1))
    result = pv.from_torch(net)(y, 0.1)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, y, rtol=0, atol=1e-6)
    pv.from_torch(net.bfloat16(), LINEAR, "eps", whole_timesteps=True)(y.astype(np.float32), 0.1)
    pv.from_torch(net.double())(y, 0.1)
    assert seen == [
        (torch.float32, torch.float32, False, False),
        (torch.bfloat16, torch.int64, False, False),
        (torch.float64, torch.float64, False, False),
    ]
    assert (net.training, net.drop.training, net.frozen.training) == (True, True, False)
    still = y.copy()
    still.flags.writeable = False
    np.testing.assert_array_equal(pv.from_torch(net.double(), device="cpu")(still, 0.1), y)


def test_modes_come_back_after_an_error_too(torch):
    class Net(torch.nn.Module):
        def forward(self, x, level):
            raise MemoryError("too large")

    net = Net()
    with pytest.raises(pv.SolverError, match=r"^Net at sigma = 0.1: the model failed \(MemoryError: too large"):
        pv.from_torch(net)(np.ones((2, 2, 1)), 0.1)
    assert net.training


def test_what_goes_wrong_in_a_module_names_it_the_frame_and_the_level(torch):
    y = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1) * np.ones((6, 2, 3, 1), np.float32)

    def at_four(how):
        def net(x, level):
            return how(x) if (x == 4).any() else x

        return net

    t = f"level t = {LINEAR.timestep(0.25):g}"
    denoiser = pv.from_torch(at_four(lambda x: x.reshape(7)), batch=2)
    with pytest.raises(
        pv.SolverError, match=r"^net at sigma = 0.25: frames 4 to 5: the model failed \(RuntimeError: shape .* invalid"
    ):
        denoiser(y, 0.25)
    denoiser = pv.from_torch(lambda x, level: x.reshape(7) if x.max() > 0.5 else x, LINEAR, "eps")
    where = f"<lambda> at sigma = 0.25, {t}: frame 1"
    with pytest.raises(pv.SolverError, match=rf"^{where}: the model failed \(RuntimeError: shape") as caught:
        denoiser(y, 0.25)
    assert isinstance(caught.value.__cause__, pv.SolverError)
    assert isinstance(caught.value.__cause__.__cause__, RuntimeError)
    colours = np.repeat(y, 3, axis=-1)
    with pytest.raises(pv.SolverError, match=r"^net at sigma = 0.25: frames 4 to 5: the model failed \(RuntimeError"):
        pv.from_torch(at_four(lambda x: x.reshape(7)), channels=1, batch=4)(colours, 0.25)
    for how, words in (
        (lambda x: x[:, :, 1:], r"frame 4: it returned the shape \(1, 1, 1, 3\); it must return \(1, 1, 2, 3\)"),
        (lambda x: x / 0, "NaN or infinite values in frame 4"),
    ):
        with pytest.raises(pv.InputError, match=f"^net at sigma = 0.25: .*{words}"):
            pv.from_torch(at_four(how))(y, 0.25)
    for how, words in (
        (lambda x: x.numpy(), "frame 4: it returned a ndarray; wrap it in a module that returns a tensor"),
        (lambda x: x.int(), "frame 4: it returned dtype int32; it must return floats"),
    ):
        with pytest.raises(TypeError, match=f"^net at sigma = 0.25: {words}"):
            pv.from_torch(at_four(how))(y, 0.25)
    with pytest.raises(pv.SolverError, match=r"^net at sigma = 0.25: frames 0 to 5: the model failed \(IndexError"):
        pv.from_torch(at_four(lambda x: x[9]), layout="BCTHW")(y, 0.25)
    with pytest.raises(pv.SolverError, match=r"^frame 4 at sigma = 0.25: net: net at sigma = 0.25: .*IndexError"):
        pv.windowed(pv.from_torch(at_four(lambda x: x[9]), layout="B(TC)HW"), 0, 0)(y, 0.25)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_threads_may_share_a_module(torch, rng, layout):
    class Net(torch.nn.Module):
        def forward(self, x, level):
            before = self.training
            time.sleep(0.002)  # Another thread's call may end here.
            assert [before, self.training] == [False, False]
            return x

    denoiser, y = pv.from_torch(Net(), layout=layout), rng.normal(size=(2, 2, 1))
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: denoiser(y, 0.1), range(50)):
            np.testing.assert_allclose(result, y, atol=1e-6)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".PT", ".ckpt"])
def test_pickles_are_never_read(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"cos\nsystem\n(S'touch harmed'\ntR.")
    for maker in (pv.from_torch, pv.from_onnx):
        for given in (path, str(path)):
            with pytest.raises(pv.InputError, match=f"model{suffix} is a pickled file.*convert it once: safetensors"):
                maker(given)


def test_torch_refuses_bad_parameters(torch):
    for options, words in (
        ({"module": "net.safetensors"}, "build the module and load its weights"),
        ({"module": 3}, "module is 3; it must be a function"),
        ({"kind": "noise"}, "kind is 'noise'; it must be one of denoiser, eps, x0, v"),
        ({"layout": "BHWC"}, r"layout is 'BHWC'; it must be one of BCHW, BCTHW, B\(TC\)HW"),
        ({"multiple": 0}, "multiple is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"value_range": (1, 1)}, r"value_range is \(1, 1\)"),
        ({"schedule": LINEAR}, "are for models of a diffusion process"),
        ({"learned_variance": True}, "are for models of a diffusion process"),
        ({"kind": "eps"}, "schedule is None; it must be a Schedule"),
        ({"kind": "eps", "schedule": LINEAR.zero_terminal_snr()}, "use from_v or from_x0"),
    ):
        with pytest.raises(pv.ParameterError, match=words):
            pv.from_torch(**{"module": marked, **options})


def shifted_by_one(x, level):
    return x.roll(1, -1)


def test_a_denoiser_of_a_module_is_a_value_that_pickles(torch, rng):
    y = rng.normal(size=(3, 4, 2)).astype(np.float32)
    denoiser = pv.from_torch(shifted_by_one, pv.Schedule.linear(), "x0", value_range=(-1, 1), batch=2)
    code = "from_torch(module=shifted_by_one, schedule=Schedule.linear(), kind='x0', value_range=(-1.0, 1.0), batch=2)"
    assert repr(denoiser) == code
    names = {"shifted_by_one": shifted_by_one, "from_torch": pv.from_torch, "Schedule": pv.Schedule}
    for again in (eval(code, names), pickle.loads(pickle.dumps(denoiser))):
        assert again == denoiser
        np.testing.assert_array_equal(again(y, 0.2), denoiser(y, 0.2))


def test_levels_reach_an_onnx_model_in_the_shape_it_asks_for(onnx, tmp_path, rng):
    y = rng.normal(size=(3, 4, 5, 2)).astype(np.float32)
    add = [onnx.helper.make_node("Add", ["x", "level"], ["out"])]
    for shape in ((), (1,), (None, 1, None, None), ("B", 1, 1, 1), (1, 1, 1, 1)):
        path = save(onnx, tmp_path / "m.onnx", add, [("x", np.float32, PICTURE), ("level", np.float32, shape)])
        np.testing.assert_allclose(pv.from_onnx(path, batch=3)(y, 0.5), y + 0.5, rtol=1e-6)
    one_each = [
        onnx.helper.make_node("Reshape", ["level", "column"], ["levels"]),
        onnx.helper.make_node("Add", ["x", "levels"], ["out"]),
    ]
    inputs = [("level", np.float32, (None,)), ("x", np.float32, PICTURE)]
    path = save(onnx, tmp_path / "m.onnx", one_each, inputs[::-1], {"column": [-1, 1, 1, 1]})
    np.testing.assert_allclose(pv.from_onnx(path, batch=2, value_range=(-1, 1))(y, 0.5), y + 0.5, rtol=1e-5, atol=1e-6)
    path = save(onnx, tmp_path / "m.onnx", one_each, inputs, {"column": [-1, 1, 1, 1]})  # In the other order.
    np.testing.assert_allclose(pv.from_onnx(path, inputs=("x", "level"))(y, 0.5), y + 0.5, rtol=1e-6)


def test_a_denoiser_of_an_onnx_file_pickles_as_its_path_and_one_of_a_session_does_not(onnx, tmp_path, rng):
    import onnxruntime

    y, add = rng.normal(size=(2, 3, 1)), [onnx.helper.make_node("Add", ["x", "level"], ["out"])]
    path = save(onnx, tmp_path / "m.onnx", add, [("x", np.float64, PICTURE), ("level", np.float64, ())])
    denoiser = pv.from_onnx(path, inputs=["x", "level"])
    assert repr(denoiser) == f"from_onnx(model={str(path)!r}, inputs=('x', 'level'))"
    for again in (pv.from_onnx(str(path), inputs=("x", "level")), pickle.loads(pickle.dumps(denoiser))):
        assert again == denoiser
        np.testing.assert_allclose(again(y, 0.5), y + 0.5)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(pv.from_onnx(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])))


def test_an_onnx_model_may_take_the_picture_alone_or_be_a_session(onnx, tmp_path, rng):
    import onnxruntime

    y = rng.normal(size=(4, 5, 1))
    nodes = [onnx.helper.make_node(name, ["x"], [name]) for name in ("Neg", "Abs")]
    for dtype in (np.float32, np.float64, np.float16):
        path = save(onnx, tmp_path / "m.onnx", nodes, [("x", dtype, PICTURE)], n_outputs=2)
        result = pv.from_onnx(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))(y, 0.1)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, -y, rtol=0, atol=10 * np.finfo(dtype).eps)


def test_whole_levels_for_onnx(onnx, tmp_path):
    nodes = [
        onnx.helper.make_node("Cast", ["t"], ["level"], to=1),
        onnx.helper.make_node("Mul", ["x", "level"], ["none"]),
        onnx.helper.make_node("Sub", ["none", "none"], ["zero"]),
        onnx.helper.make_node("Add", ["zero", "level"], ["out"]),
    ]
    path = save(onnx, tmp_path / "m.onnx", nodes, [("x", np.float32, PICTURE), ("t", np.int64, ())])
    with pytest.raises(pv.ParameterError, match=r"m.onnx takes whole levels only .*whole_timesteps=True"):
        pv.from_onnx(path, LINEAR, "x0")
    sigma = LINEAR.sigma(31.9)
    levels = pv.from_onnx(path, LINEAR, "x0", whole_timesteps=True)(np.zeros((2, 2, 1)), sigma)
    np.testing.assert_array_equal(levels, 32.0)


def test_what_goes_wrong_in_an_onnx_model_names_it_the_frame_and_the_level(onnx, tmp_path):
    y = np.ones((3, 4, 5, 1), np.float32)
    inputs, node = [("x", np.float32, PICTURE)], onnx.helper.make_node
    path = save(onnx, tmp_path / "log.onnx", [node("Log", ["x"], ["out"])], inputs)
    y[2] = -1
    with pytest.raises(pv.InputError, match=r"^log.onnx at sigma = 0.25: it returned NaN .* in frame 2"):
        pv.from_onnx(path)(y, 0.25)
    path = save(onnx, tmp_path / "flip.onnx", [node("Transpose", ["x"], ["out"], perm=[0, 1, 3, 2])], inputs)
    with pytest.raises(pv.InputError, match=r"^flip.onnx at .*: frame 0: it returned the shape \(1, 1, 5, 4\)"):
        pv.from_onnx(path)(y, 0.25)
    path = save(onnx, tmp_path / "fixed.onnx", [node("Neg", ["x"], ["out"])], [("x", np.float32, (1, 3, 8, 8))])
    t = f"level t = {LINEAR.timestep(0.25):g}"
    with pytest.raises(
        pv.SolverError, match=rf"^fixed.onnx at sigma = 0.25, {t}: frame 0: the model failed \(InvalidArgument: "
    ) as caught:
        pv.from_onnx(path, LINEAR, "eps")(y, 0.25)
    assert type(caught.value.__cause__.__cause__).__name__ == "InvalidArgument"


@pytest.mark.parametrize("kind", ["empty", "text", "no protobuf", "no such operator", "from the future"])
def test_what_is_wrong_with_an_onnx_file_is_said_in_plain_words(onnx, tmp_path, kind):
    path = tmp_path / "bad.onnx"
    path.write_bytes({"text": b"hello, world", "no protobuf": bytes(100)}.get(kind, b""))
    if kind in ("no such operator", "from the future"):
        operator = "Nope" if kind == "no such operator" else "Neg"
        save(onnx, path, [onnx.helper.make_node(operator, ["x"], ["out"])], [("x", np.float32, PICTURE)])
    if kind == "from the future":
        model = onnx.load(path)
        model.opset_import[0].version = 10_000
        path.write_bytes(model.SerializeToString())
    with pytest.raises(pv.InputError) as refused:
        pv.from_onnx(path)
    said = str(refused.value)
    damaged = kind not in ("no such operator", "from the future")
    why = "it is damaged, cut off, or no ONNX model" if damaged else "it is damaged, or needs what this version of"
    assert said.startswith(f"{path} cannot be read as an ONNX model: {why}")
    assert "[ONNXRuntimeError]" not in said
    assert "\n" not in said
    assert len(said) < len(str(path)) + 400


def test_a_network_that_onnxruntime_cannot_run_is_named(onnx, tmp_path):
    """Which maps what the network of the library does, of other channels."""
    path = tmp_path / "net.onnx"
    shapes = {"frame": ("b", 1, "h", "w"), "guide": ("b", 7, "h", "w"), "state": ("b", 4, "p", "q"), "sigma": ("b",)}
    nodes = [onnx.helper.make_node("Neg", [a], [b]) for a, b in (("frame", "estimate"), ("state", "next_state"))]
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("estimate", "next_state")
    ]
    graph = onnx.helper.make_graph(nodes, "net", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    video = np.random.default_rng(0).random((2, 8, 8)).astype(np.float32)
    with pytest.raises(
        pv.SolverError, match=r"net\.onnx: the model cannot be run on these frames \(onnxruntime: Got inv"
    ):
        pv.denoise(video, sigma=0.1, denoiser=pv.load_denoiser(path))


def test_onnx_refuses_bad_files_and_inputs(onnx, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for name in ("bad.onnx", "missing.onnx"):
        with pytest.raises(pv.InputError, match=f"{name} cannot be read as an ONNX model"):
            pv.from_onnx(tmp_path / name)
    with pytest.raises(pv.ParameterError, match="model is 3; it must be the path of an ONNX file"):
        pv.from_onnx(3)
    inputs = [("x", np.float32, PICTURE), ("s", np.float32, ()), ("more", np.float32, ())]
    path = save(onnx, tmp_path / "m.onnx", [onnx.helper.make_node("Sum", ["x", "s", "more"], ["out"])], inputs)
    for chosen in (None, ["x", "y"], ["x", "x"], []):
        with pytest.raises(pv.ParameterError, match=r"of those of m.onnx: \['x', 's', 'more'\]"):
            pv.from_onnx(path, inputs=chosen)


@pytest.mark.parametrize("missing", ["torch", "onnxruntime"])
def test_without_the_extra_the_error_names_it(monkeypatch, missing):
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    extra = {"torch": "torch", "onnxruntime": "onnx"}[missing]
    maker = {"torch": lambda: pv.from_torch(marked), "onnxruntime": lambda: pv.from_onnx("m.onnx")}[missing]
    with pytest.raises(ImportError, match=rf"pip install \"\.\[{extra}\]\""):
        maker()


def test_the_mixture_of_the_tests_is_one():
    # Its denoiser is the posterior mean, by quadrature.
    x = np.linspace(-2, 3, 20001)
    prior = sum(np.exp(-((x - MIDDLE - sign * HALF) ** 2) / (2 * SPREAD**2)) for sign in (-1, 1))
    for y, sigma in ((0.3, 0.1), (0.7, 0.5)):
        weight = prior * np.exp(-((y - x) ** 2) / (2 * sigma**2))
        assert mean_of_clean(y, sigma) == pytest.approx((x * weight).sum() / weight.sum(), abs=1e-9)
        assert math.isfinite(mean_of_clean(y, sigma))
