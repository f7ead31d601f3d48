"""Standard input and output: what a pipe brings is read to the last byte, and what fails in it ends without a hang."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.jobs.again import verify
from pde_video.video import formats

HEIGHT, WIDTH, FRAMES = 13, 21, 4
HALVED = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SECONDS = 60  # After which what hangs is killed.
RUN = [sys.executable, "-c", "import pde_video as pv; pv.run('-', '-')"]


def planes_of(layout: str, size=(HEIGHT, WIDTH)) -> list[tuple[int, int]]:
    if layout.startswith("mono"):
        return [size]
    down, across = HALVED[layout[:3]]
    return [size, *2 * [((size[0] + down - 1) // down, (size[1] + across - 1) // across)]]


def bits_of(layout: str) -> int:
    deep = re.search(r"(?:p|mono)(\d+)$", layout)
    return int(deep[1]) if deep else 8


def y4m(layout: str, *, frames: int = FRAMES, tags: str = "", seed: int = 0) -> tuple[bytes, list[list[np.ndarray]]]:
    """Noise that lies within what RGB can show, with its bytes as y4m."""
    rng, deep = np.random.default_rng(seed), 2 ** (bits_of(layout) - 8)
    dtype = np.uint8 if deep == 1 else "<u2"
    video = [
        [rng.integers((90, 115)[i > 0] * deep, (150, 140)[i > 0] * deep, plane).astype(dtype) for i, plane in planes]
        for planes in [list(enumerate(planes_of(layout)))] * frames
    ]
    data = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F30000:1001 {tags or 'Ip A4:3'} C{layout}\n".encode()
    for frame in video:
        data += b"FRAME\n" + b"".join(plane.tobytes() for plane in frame)
    return data, video


def parsed(data: bytes) -> tuple[dict[str, str], list[list[np.ndarray]]]:
    line, _, rest = data.partition(b"\n")
    words = line.decode().split(" ")
    assert words[0] == "YUV4MPEG2"
    said = {word[0]: word[1:] for word in words[1:]}
    layout, size = said["C"], (int(said["H"]), int(said["W"]))
    video, dtype = [], np.dtype(np.uint8 if bits_of(layout) == 8 else "<u2")
    while rest:
        assert rest[:6] == b"FRAME\n"
        rest, frame = rest[6:], []
        for rows, columns in planes_of(layout, size):
            nbytes = rows * columns * dtype.itemsize
            frame.append(np.frombuffer(rest[:nbytes], dtype).reshape(rows, columns))
            rest = rest[nbytes:]
        video.append(frame)
    return said, video


def furthest(before: list[list[np.ndarray]], after: list[list[np.ndarray]]) -> int:
    pairs = [pair for frames in zip(before, after, strict=True) for pair in zip(*frames, strict=True)]
    return max(int(np.abs(one.astype(int) - other).max()) for one, other in pairs)


@pytest.fixture
def pipe_in(tmp_path):
    """Let standard input be these bytes, for this test."""
    kept = os.dup(0)

    def give(data: bytes) -> None:
        path = tmp_path / "standard_input"
        path.write_bytes(data)
        descriptor = os.open(path, os.O_RDONLY)
        os.dup2(descriptor, 0)
        os.close(descriptor)

    yield give
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.parametrize(
    "layout",
    [
        *(
            "420p16",
            "444p16",
            "420",
            "420jpeg",
            "420mpeg2",
            "420paldv",
            "422",
            "444",
            "mono",
            "420p9",
            "420p10",
            "422p10",
            "444p10",
        ),
        *("420p12", "422p12", "444p12", "444p14", "mono10", "mono12", "mono16"),
    ],
)
def test_y4m_goes_through_within_one_level_at_its_depth(pipe_in, capfdbinary, layout):
    data, video = y4m(layout)
    pipe_in(data)
    assert pv.run("-", "-")["frames"] == FRAMES
    said, found = parsed(capfdbinary.readouterr().out)
    assert said["C"] == layout
    assert (said["F"], said["A"], said["I"]) == ("30000:1001", "4:3", "p")
    assert len(found) == FRAMES
    assert furthest(video, found) <= 1


@pytest.mark.parametrize("ends", ["FULL", "LIMITED"])
@pytest.mark.parametrize("layout", ["420jpeg", "444p10", "mono"])
def test_the_range_is_kept_and_means_what_it_says(pipe_in, capfdbinary, layout, ends):
    data, video = y4m(layout, tags=f"XCOLORRANGE={ends}")
    pipe_in(data)
    source = pv.read("-")
    frames = np.stack(list(source))
    pv.write("-", frames, like=source)
    said, found = parsed(capfdbinary.readouterr().out)
    assert said["X"] == f"COLORRANGE={ends}"
    assert furthest(video, found) <= 1
    if layout == "444p10":  # ITU-R BT.601, by its formula.
        y, _, cr = (plane.astype(float) for plane in video[0])
        full = ends == "FULL"
        luma = y / 1023 if full else (y - 64) / 876
        red = luma + 1.402 * (cr - 512) / (1023 if full else 896)
        assert np.abs(frames[0, ..., 0] - 65535 * red).max() < 1


def test_arrays_without_a_source_become_444_or_mono(capfdbinary, rng):
    colour = rng.integers(0, 256, (2, HEIGHT, WIDTH, 3)).astype(np.uint8)
    for video, layout in [
        (colour, "444"),
        (colour[..., 0], "mono"),
        (colour.astype(np.uint16) * 257, "444p16"),
        (colour[..., 0].astype(np.uint16) * 257, "mono16"),
    ]:
        assert pv.write("-", video, rate=Fraction(24000, 1001)) == 2
        said, found = parsed(capfdbinary.readouterr().out)
        assert (said["C"], said["F"]) == (layout, "24000:1001")
        if layout.startswith("mono"):
            assert np.array_equal(np.stack([frame[0] for frame in found]), video)
            assert said["X"] == "COLORRANGE=FULL"
    for refused in (colour.astype(np.float32), np.concatenate([colour, colour[..., :1]], axis=-1)):
        with pytest.raises(pv.ParameterError, match="1 or 3 channels"):
            pv.write("-", refused)
    assert capfdbinary.readouterr().out == b""


def test_a_file_of_y4m_is_read_and_written_as_others(tmp_path, pipe_in):
    data, _ = y4m("420p10")
    (tmp_path / "in.y4m").write_bytes(data)
    video = pv.read(tmp_path / "in.y4m")
    assert (video.count, video.rate, video.channels, video.dtype) == (FRAMES, Fraction(30000, 1001), 3, np.uint16)
    assert np.array_equal(np.stack(list(video)), np.stack(list(video)))
    assert video.timestamps == [index * Fraction(1001, 30000) for index in range(FRAMES)]
    pipe_in(data)
    assert np.array_equal(np.stack(list(pv.read("-"))), np.stack(list(video)))
    assert len(list(pv.read(tmp_path / "in.y4m", start=Fraction(1, 30), frames=(0, 3)))) == 2
    assert pv.run(tmp_path / "in.y4m", tmp_path / "out.y4m")["frames"] == FRAMES
    assert parsed((tmp_path / "out.y4m").read_bytes())[0]["C"] == "420p10"
    assert pv.run(tmp_path / "in.y4m", tmp_path / "out.mkv")["frames"] == FRAMES


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_every_grey_level_of_y4m_becomes_the_nearest_of_16_bits(tmp_path, bits):
    levels, top = np.arange(2**bits), 2**bits - 1
    path = tmp_path / "v.y4m"
    head = f"YUV4MPEG2 W{len(levels) // 8} H8 F25:1 Ip A4:3 Cmono{bits} XCOLORRANGE=FULL\nFRAME\n"
    path.write_bytes(head.encode() + levels.astype("<u2").tobytes())
    video = pv.read(path)
    np.testing.assert_array_equal(next(iter(video)).ravel(), np.rint(levels * 65535 / top))
    assert video.details["aspect"] == Fraction(4, 3)


def test_a_y4m_file_that_ends_in_the_middle_of_a_frame_has_no_number_of_frames(tmp_path):
    path = tmp_path / "v.y4m"
    pv.write(path, np.zeros((3, 16, 24), np.uint8), rate=25)
    assert (pv.read(path).count, formats.format_of(path).count(path)) == (3, 3)
    path.write_bytes(path.read_bytes()[:-1])
    assert pv.read(path).count is None
    with pytest.raises(pv.InputError, match="truncated"):
        formats.format_of(path).count(path)


def test_interlaced_y4m_warns_and_stays_marked(pipe_in, capfdbinary):
    pipe_in(y4m("420", tags="It")[0])
    video = pv.read("-")
    assert "interlaced" in video.details["warnings"][0]
    pv.write("-", video, like=video)
    assert parsed(capfdbinary.readouterr().out)[0]["I"] == "t"


def test_a_frame_may_have_parameters(pipe_in):
    data, _ = y4m("444")
    pipe_in(data.replace(b"FRAME\n", b"FRAME Ippp XANY=1\n"))
    assert len(list(pv.read("-"))) == FRAMES


@pytest.mark.parametrize("length", [100, HEIGHT * WIDTH + 5], ids=["short", "as a frame"])
@pytest.mark.parametrize("which", [slice(None), slice(1), slice(-1, None)], ids=["all", "first", "last"])
def test_a_whole_file_of_frames_with_parameters_is_verified(tmp_path, which, length):
    head, *frames = y4m("mono", frames=20)[0].split(b"FRAME\n")
    words = np.full(20, b"FRAME\n", object)
    words[which] = b"FRAME X" + b"1" * (length - 1) + b"\n"
    (tmp_path / "v.y4m").write_bytes(head + b"".join(map(bytes.__add__, words, frames)))
    assert pv.read(tmp_path / "v.y4m").count is None
    assert verify(tmp_path / "v.y4m")["frames"] == 20


def test_raw_frames_without_a_rate_have_no_times(pipe_in):
    pipe_in(bytes(60))
    with pytest.raises(pv.ParameterError, match="no times"):
        pv.read("-", raw="4x5:gray", end=0.1)


@pytest.mark.parametrize("layout", ["gray", "gray16le", "rgb24", "rgb48le"])
def test_raw_frames_go_through_bit_for_bit(pipe_in, capfdbinary, rng, layout):
    shape = (FRAMES, HEIGHT, WIDTH, 3) if "rgb" in layout else (FRAMES, HEIGHT, WIDTH)
    dtype = np.dtype("<u2" if "le" in layout else np.uint8)
    data = rng.integers(0, 256**dtype.itemsize, shape).astype(dtype).tobytes()
    pipe_in(data)
    report = pv.run("-", "-", reading={"raw": f"{WIDTH}x{HEIGHT}:{layout}:24000/1001"}, encoding={"raw": True})
    assert report["raw"] == f"{WIDTH}x{HEIGHT}:{layout}:24000/1001"
    assert report["frames"] == FRAMES
    assert capfdbinary.readouterr().out == data


@pytest.mark.parametrize(
    "text", ["", "21x13", "21x13:yuv420p", "0x13:gray", "21x13:gray:0", "21x13:gray:1/0", "axb:gray"]
)
def test_a_description_of_raw_frames_that_says_too_little_is_refused(pipe_in, text):
    pipe_in(b"\0" * 1000)
    with pytest.raises(pv.ParameterError, match="raw frames are described as"):
        pv.read("-", raw=text)


def test_raw_frames_in_a_file_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(pv.ParameterError, match="standard input"):
        pv.read(tmp_path / "a.raw", raw="4x4:gray")
    with pytest.raises(pv.ParameterError, match="standard output"):
        pv.write(tmp_path / "a.raw", np.zeros((1, 4, 4), np.uint8), raw=True)


def test_standard_input_can_be_read_once(pipe_in):
    pipe_in(y4m("mono")[0])
    video = pv.read("-")
    assert len(list(video)) == FRAMES
    with pytest.raises(pv.InputError, match="once"):
        list(video)


def test_a_path_that_is_a_dash_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text("text")
    for name in (os.fspath(tmp_path / "-"), tmp_path.__class__("-"), "./-"):
        with pytest.raises(pv.ParameterError, match="cannot be read"):
            pv.read(name)


ENDS = {"in the first line": 20, "after FRAME": 6, "in the middle": 50, "before the last byte": -1}


@pytest.mark.parametrize("where", ENDS)
@pytest.mark.parametrize("named", ["standard input", "file"])
def test_stdin_ending_mid_frame(tmp_path, pipe_in, named, where):
    data = y4m("420p10", frames=2)[0]
    first = data.index(b"\n") + 1
    cut = data[: ENDS[where] if where in ("in the first line", "before the last byte") else first + ENDS[where]]
    if named == "file":
        (tmp_path / "in.y4m").write_bytes(cut)
    else:
        pipe_in(cut)
    source = "-" if named == "standard input" else tmp_path / "in.y4m"
    name = "standard input" if source == "-" else r"in\.y4m"
    with pytest.raises(pv.InputError, match=f"{name}: .*(middle of frame [01]|YUV4MPEG2)"):
        pv.run(source, tmp_path / "out.mkv")
    assert {path.name for path in tmp_path.iterdir()} <= {"in.y4m", "standard_input"}


def test_stdin_ending_mid_frame_of_raw_frames(tmp_path, pipe_in):
    pipe_in(b"\0" * (HEIGHT * WIDTH * 3 - 1))
    video = pv.read("-", raw=f"{WIDTH}x{HEIGHT}:gray")
    with pytest.raises(pv.InputError, match=r"middle of frame 2, after 272 of 273 bytes"):
        list(video)
    pipe_in(b"\0" * (HEIGHT * WIDTH * 3 - 1))
    video = pv.read("-", raw=f"{WIDTH}x{HEIGHT}:gray", keep_partial=True)
    assert len(list(video)) == 2
    assert "frame 2" in video.lost


@pytest.mark.parametrize("data", [b"", b"\n", b"RIFF....AVI ", b"YUV4MPEG", b"YUV4MPEG2 W4 H4\n", b"\0" * 100])
def test_stdin_that_is_no_video(pipe_in, data):
    pipe_in(data)
    with pytest.raises(pv.InputError, match="standard input"):
        list(pv.read("-"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("W4 H4 C420p11", "C420p11"),
        ("W4 H4 C444alpha", "C444alpha"),
        ("W4 H4 C411", "C411"),
        ("W4 C420", "height ''"),
        ("W-4 H4", "width '-4'"),
        ("W4 H0", "height '0'"),
        ("W4 H4 F25", "rate"),
        ("W4 H4 A1/1", "aspect"),
        ("W60000 H60000", "60000 × 60000"),
        ("W999999999 H999999999", "max_pixels"),
    ],
)
def test_a_first_line_of_y4m_that_cannot_be_is_refused_by_what_it_says(pipe_in, line, reason):
    pipe_in(f"YUV4MPEG2 {line}\nFRAME\n".encode() + b"\0" * 100)
    with pytest.raises(pv.InputError, match=reason):
        pv.read("-")


def test_standard_output_that_is_a_terminal_is_refused_with_a_remedy():
    main, other = pty.openpty()
    script = "import pde_video as pv; pv.run('-', '-')"
    found = subprocess.run(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=other, stderr=subprocess.PIPE, timeout=SECONDS
    )
    assert b"is a terminal" in found.stderr
    assert b"pipe it to a program" in found.stderr
    found = subprocess.run([sys.executable, "-c", script], stdin=other, capture_output=True, timeout=SECONDS)
    assert b"yuv4mpegpipe" in found.stderr
    for descriptor in (main, other):
        os.close(descriptor)


@contextlib.contextmanager
def running(command: list[str], **options):
    """A program, which is gone afterwards, whatever happens."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait(SECONDS)
        for file in (process.stdin, process.stdout, process.stderr):
            if file:
                file.close()


def piped(**options):
    return running(RUN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **options)


def test_a_live_stream_does_not_wait_for_its_end():
    data = y4m("420")[0]
    first = data.index(b"FRAME", data.index(b"FRAME") + 1)
    with piped() as process:
        process.stdin.write(data[:first])
        received = b""
        while len(received) < first:  # Before anything else is written.
            received += process.stdout.read(first)
        assert received.startswith(b"YUV4MPEG2 ")
        process.stdin.write(data[first:])
        process.stdin.close()
        rest = process.stdout.read()
        while more := process.stdout.read():
            rest += more
        assert len(parsed(received + rest)[1]) == FRAMES
        assert (process.wait(SECONDS), process.stderr.read()) == (0, b"")


def test_head_c_1(tmp_path):
    """`| head -c 1`: quiet, and soon."""
    data, _ = y4m("444", frames=600)  # More than pipes hold.
    (tmp_path / "in.y4m").write_bytes(data)
    source = f"{sys.executable} -c \"import pde_video as pv; pv.run('in.y4m', '-')\""
    found = subprocess.run(["sh", "-c", f"{source} | head -c 1"], cwd=tmp_path, capture_output=True, timeout=SECONDS)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"Y", b"")


def test_a_reader_that_has_enough_is_reported(tmp_path):
    script = "import pde_video as pv, sys; print(pv.run('in.npy', '-')['closed_early'], file=sys.stderr)"
    np.save(tmp_path / "in.npy", np.zeros((3, 512, 512), np.uint8))
    with running(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b"True\n"
        assert process.wait(SECONDS) == 0


def test_reader_killed_mid_run(tmp_path):
    """The program before in the pipe is killed within a frame: bad input, and no file."""
    data = y4m("444", frames=3)[0]
    script = "import pde_video as pv; pv.run('-', 'out.npy')"
    with (
        running(
            [
                sys.executable,
                "-c",
                f"import sys, time; sys.stdout.buffer.write({data[:-9]!r}); sys.stdout.flush(); time.sleep(1000)",
            ],
            stdout=subprocess.PIPE,
        ) as producer,
        running([sys.executable, "-c", script], stdin=producer.stdout, stderr=subprocess.PIPE, cwd=tmp_path) as process,
    ):
        producer.stdout.close()
        late = time.monotonic() + SECONDS
        while not any(tmp_path.iterdir()) and time.monotonic() < late:  # The output has begun.
            time.sleep(0.01)
        producer.send_signal(signal.SIGKILL)
        assert b"InputError: standard input: the data end in the middle of frame 2" in process.stderr.read()
        assert process.wait(SECONDS) == 1
    assert list(tmp_path.iterdir()) == []


def test_encoder_killed_mid_run(tmp_path):
    """The program after in the pipe is killed: no hang, no traceback."""
    data, _ = y4m("444", frames=600)
    (tmp_path / "in.y4m").write_bytes(data)
    script = "import pde_video as pv; pv.run('in.y4m', '-')"
    with (
        running(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
        ) as process,
        running([sys.executable, "-c", "import time; time.sleep(1000)"], stdin=process.stdout) as consumer,
    ):
        process.stdout.close()
        consumer.send_signal(signal.SIGKILL)
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, *slow(signal.SIGINT)])
def test_a_signal_ends_the_wait_for_a_pipe_that_stands_still(number):
    """Neither a program that does not write nor one that does not read keeps this one alive."""
    # A test run started in the background ignores SIGINT, and its children inherit that.
    listen = "signal.signal(2, signal.default_int_handler); signal.signal(15, lambda *_: sys.exit(143))"
    script = f"import signal, sys, pde_video as pv; {listen}; pv.run('-', '-')"
    command = [sys.executable, "-c", script]
    with running(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        process.stdin.write(y4m("444", frames=2)[0])
        process.stdout.read(10)  # It waits for the third frame now.
        process.send_signal(number)
        assert process.wait(SECONDS) in (143, -signal.SIGINT)


def test_an_encoder_that_fails_mid_run_ends_a_live_stream(tmp_path, monkeypatch, pipe_in):
    """The thread that encodes fails: the fault comes out, and nothing is left."""

    def fails(target, frames, temporary):
        from pde_video.video.overlap import behind

        def consume(frames):
            next(frames)
            raise pv.OutputError(28, "no space left")

        return behind(consume, frames, 2)

    known = formats.format_of(tmp_path / "out.mkv")
    monkeypatch.setattr(formats, "format_of", lambda path: type(known)(known.suffixes, known.read, fails, known.count))
    pipe_in(y4m("420", frames=200)[0])
    with pytest.raises(pv.OutputError, match="no space left"):
        pv.run("-", tmp_path / "out.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["standard_input"]


@pytest.mark.parametrize("pixel", ["yuv420p10le", *slow("yuv420p")])
def test_ffmpeg_before_and_after_in_a_shell_pipe(tmp_path, clips, pixel):
    cut = f"{FFMPEG} -v error -i {clips['carphone_pristine']} -frames:v 6 -pix_fmt {pixel} -strict -1"
    this = f"{sys.executable} -c \"import pde_video as pv; pv.run('-', '-')\""
    lossless = f"-c:v ffv1 -pix_fmt {pixel}"
    command = (
        f"set -e; {cut} {lossless} before.mkv; {cut} -f yuv4mpegpipe - | {this} | "
        f"{FFMPEG} -v error -f yuv4mpegpipe -i - {lossless} after.mkv"
    )
    found = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=SECONDS)
    assert (found.returncode, found.stderr) == (0, b"")

    def planes(name: str) -> np.ndarray:
        raw = [FFMPEG, "-v", "error", "-i", name, "-f", "rawvideo", "-"]
        data = subprocess.run(raw, cwd=tmp_path, capture_output=True, timeout=SECONDS, check=True).stdout
        return np.frombuffer(data, "<u2" if "10" in pixel else np.uint8).astype(int)

    before, after = planes("before.mkv"), planes("after.mkv")
    assert len(before) == len(after) == 6 * 144 * 176 * 3 // 2
    # Values of YUV that no RGB shows are not kept: the darkest and most colourful of this clip.
    assert np.mean(np.abs(before - after) > 1) < 0.02
    probe = [FFMPEG, "-i", "after.mkv"]
    assert f"{pixel}" in subprocess.run(probe, cwd=tmp_path, capture_output=True, timeout=SECONDS).stderr.decode()


def test_what_a_python_program_prints_before_comes_before(tmp_path):
    script = (
        "import numpy as np, pde_video as pv; print('before'); pv.write('-', np.zeros((1, 2, 2), np.uint8), raw=True)"
    )
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    found = subprocess.run(
        [sys.executable, "-c", script], env=buffered, capture_output=True, timeout=SECONDS, check=True
    )
    assert found.stdout == b"before\n\0\0\0\0"


def test_frames_are_taken_from_a_pipe_as_they_are_wanted():
    """No frame more is waited for than is asked for."""
    data = y4m("mono", frames=3)[0]
    script = "import pde_video as pv; print(len(list(pv.read('-', frames=(1, 3)))))"
    with running([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        process.stdin.write(data)  # And stays open.
        assert process.stdout.read(1) == b"2"
        assert process.wait(SECONDS) == 0


def test_what_a_pipe_takes_in_parts_is_written_whole(capfdbinary, monkeypatch):
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:7]))
    pv.write("-", np.arange(60, dtype=np.uint8).reshape(1, 6, 10), raw=True)
    assert capfdbinary.readouterr().out == bytes(range(60))
