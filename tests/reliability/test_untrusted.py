"""Files and names of which nobody knows where they come from: refused, soon, in bounded memory, without a request."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import zlib

import av
import numpy as np
import pytest

import pde_video as pv

MEMORY = 2 * 2**30  # Bytes of address space, of which the libraries take some hundred million.
SECONDS = 60
CONTAINERS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".gif")
ALL = (*CONTAINERS, ".y4m", ".png", ".jpg", ".tiff", ".npy")


def read_within(*paths, memory: int = MEMORY) -> str:
    """Read files in a process of its own that may not use more memory; return what it says of each, in lines."""
    script = (
        "import sys, pde_video as pv\n"
        "for path in sys.argv[1:]:\n"
        "    try: print('frames', sum(1 for _ in pv.read(path)))\n"
        "    except pv.InputError as fault: print(fault)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def small(path, frames: int = 3, codec: str = "ffv1", size: tuple[int, int] = (32, 24), pixel: str = "yuv420p"):
    """Write a small clip by PyAV alone."""
    with av.open(f"file:{path}", "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixel
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 20 * index, np.uint8), format="rgb24")
            container.mux(stream.encode(picture.reformat(format=pixel)))
        container.mux(stream.encode())
    return path


@pytest.fixture
def listener():
    """A server on this machine that counts who asks it for something."""
    requests: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, address = server.accept()
                except OSError:
                    return
                requests.append(address)
                client.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], requests
        server.shutdown(socket.SHUT_RDWR)
        thread.join(SECONDS)


@pytest.mark.parametrize("suffix", ALL)
def test_missing_file(tmp_path, suffix):
    with pytest.raises(FileNotFoundError) as fault:
        pv.run(tmp_path / f"none{suffix}", tmp_path / "out.npy")
    assert fault.value.filename == str(tmp_path / f"none{suffix}")
    assert list(tmp_path.iterdir()) == []


def give_up_reading_everything() -> None:
    """In a child: be bound by permissions even if it is root (PR_CAPBSET_DROP of two capabilities)."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="permissions are dropped as Linux does it")
def test_unreadable_file(tmp_path):
    paths = [tmp_path / f"closed{suffix}" for suffix in ALL]
    for path in paths:
        path.write_bytes(b"something")
        path.chmod(0)
    script = (
        "import sys, pde_video as pv\n"
        "for path in sys.argv[1:]:\n"
        "    try: pv.read(path)\n"
        "    except (PermissionError, pv.InputError) as fault: print('ermission' in str(fault))"
    )
    command = [sys.executable, "-c", script, *map(str, paths)]
    found = subprocess.run(command, capture_output=True, text=True, preexec_fn=give_up_reading_everything)
    assert found.stdout.split() == ["True"] * len(ALL), found.stderr


@pytest.mark.parametrize("suffix", ALL)
def test_a_folder_as_input(tmp_path, suffix):
    path = tmp_path / f"folder{suffix}"
    path.mkdir()
    with pytest.raises(pv.InputError, match="not a file"):
        pv.read(path)


@pytest.mark.parametrize("suffix", ALL)
def test_a_named_pipe_as_input_does_not_hang(tmp_path, suffix):
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(pv.InputError, match="not a file"):
        pv.read(path)


@pytest.mark.parametrize("suffix", ALL)
def test_zero_bytes(tmp_path, suffix):
    (tmp_path / f"in{suffix}").touch()
    with pytest.raises(pv.InputError, match="empty"):
        pv.run(tmp_path / f"in{suffix}", tmp_path / "out.npy")
    assert os.listdir(tmp_path) == [f"in{suffix}"]


@pytest.mark.parametrize("suffix", ALL)
@pytest.mark.parametrize("lines", [1, 20_000])
def test_text_renamed(tmp_path, suffix, lines):
    """Text renamed .mp4, and as everything else."""
    path = tmp_path / f"in{suffix}"
    path.write_text("This is no video; nor is this.\n" * lines)
    with pytest.raises(pv.InputError, match=f"in{suffix}"):
        pv.run(path, tmp_path / "out.npy")
    assert os.listdir(tmp_path) == [path.name]


NAMES = [
    "-x.mkv",
    "a:b.mkv",
    "%03d.mkv",
    "with two spaces .mkv",
    "größe 動画.mkv",
    "line\nbreak.mkv",
    "http:x.mkv",
    "-.mkv",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_literal(tmp_path, monkeypatch, name):
    """`-x`, `a:b`, `%03d`, spaces, Unicode, newline: read and written as they are, with nothing beside them."""
    monkeypatch.chdir(tmp_path)
    small("in.mkv")
    os.rename("in.mkv", name)
    assert len(list(pv.read(name))) == 3
    os.mkdir("out")
    monkeypatch.chdir(tmp_path / "out")
    assert pv.run(f"../{name}", name, force=True)["frames"] == 3
    assert os.listdir() == [name]
    os.rename(name, "copy.mkv")
    for pattern in ("%03d.png", "a:b_%03d.png"):
        assert pv.run("copy.mkv", pattern)["frames"] == 3
    assert sorted(os.listdir()) == sorted(["copy.mkv", *(f"{a}{n:03d}.png" for a in ("", "a:b_") for n in (1, 2, 3))])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".gif", ".y4m", ".png", ".tiff", ".npy"])
def test_a_url_is_no_file_and_nothing_is_asked_for(tmp_path, monkeypatch, listener, suffix):
    """`http://`, `concat:`, `pipe:` as input: refused as missing files, no request made."""
    monkeypatch.chdir(tmp_path)
    small("part.mkv")
    port, requests = listener
    names = [f"{scheme}://127.0.0.1:{port}/a{suffix}" for scheme in ("http", "https", "tcp", "ftp", "rtmp", "rtsp")]
    names += [f"concat:part.mkv|part{suffix}", f"pipe:0{suffix}", f"subfile,,start,0,end,0,,:part.mkv{suffix}"]
    names += [f"file:part{suffix}", f"cache:http://127.0.0.1:{port}/a{suffix}", f"data:,x{suffix}", f"fd:0{suffix}"]
    for name in names:
        with pytest.raises(FileNotFoundError):
            pv.run(name, tmp_path / "out.npy")
    assert requests == []
    assert os.listdir(tmp_path) == ["part.mkv"]


HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\n{}\n#EXT-X-ENDLIST\n"
PLAYLISTS = {
    "hls": HLS,
    "hls beside": HLS,
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="0"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {} RTP/AVP 96\n",
}


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_inside_mp4_is_refused(tmp_path, monkeypatch, listener, suffix, kind):
    """HLS or ffconcat inside .mp4: neither another file nor the network is looked at."""
    monkeypatch.chdir(tmp_path)
    os.rename(small("secret.mkv"), "secret.ts")
    port, requests = listener
    target = "secret.ts" if kind in ("hls beside", "ffconcat") else f"http://127.0.0.1:{port}/secret.ts"
    path = tmp_path / f"in{suffix}"
    path.write_text(PLAYLISTS[kind].format(target))
    if kind == "ffconcat":  # It is one that FFmpeg would follow, if it were let.
        with av.open(str(path)) as container:
            assert len(list(container.decode(video=0))) == 3
    with pytest.raises(pv.InputError, match=f"in{suffix}"):
        list(pv.read(path))
    assert requests == []


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_a_reference_of_mov_to_another_file_is_not_followed(tmp_path):
    """Samples that a `dref` says to lie in another file are not taken from there."""
    clip = small(tmp_path / "in.mov", codec="mpeg4")
    data = clip.read_bytes()
    own = box(b"url ", b"\0\0\0\1")
    assert data.count(own) == 1
    (tmp_path / "secret.mov").write_bytes(data)
    alias = box(b"url ", b"\0\0\0\0" + f"file://{tmp_path}/secret.mov".encode() + b"\0")
    grown = data.replace(own, alias)
    for outer in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        where = grown.index(outer) - 4
        size = struct.unpack(">I", grown[where : where + 4])[0] + len(alias) - len(own)
        grown = grown[:where] + struct.pack(">I", size) + grown[where + 4 :]
    # Its own samples are wiped out: whoever shows a picture has it from elsewhere.
    start = data.index(b"mdat") + 4
    length = struct.unpack(">I", data[start - 8 : start - 4])[0] - 8
    clip.write_bytes(grown[:start] + b"\0" * length + grown[start + length :])
    with pytest.raises(pv.InputError, match=r"in\.mov"):
        list(pv.read(clip))


def huge_mkv(path):
    """A clip whose headers claim 60000 × 60000."""
    data = bytearray(small(path).read_bytes())
    for tag, old in ((b"\xb0\x81", 32), (b"\xba\x81", 24)):
        where = data.index(tag + bytes([old]))
        assert where
    width, height = data.index(b"\xb0\x81\x20"), data.index(b"\xba\x81\x18")
    grown = data[:width] + b"\xb0\x82\xea\x60" + data[width + 3 : height] + b"\xba\x82\xea\x60" + data[height + 3 :]
    # Two bytes more in Video, TrackEntry and Tracks: all sizes there are written in 8 bytes or one.
    for tag in (b"\x16\x54\xae\x6b", b"\xae", b"\xe0"):
        start = grown.index(b"\x16\x54\xae\x6b") if tag != b"\x16\x54\xae\x6b" else 0
        where = grown.index(tag, start) + len(tag)
        if grown[where] == 1:  # A length of 8 bytes.
            size = int.from_bytes(grown[where + 1 : where + 8], "big") + 2
            grown[where + 1 : where + 8] = size.to_bytes(7, "big")
        elif grown[where] & 0x80:
            grown[where] += 2
        else:
            size = int.from_bytes(grown[where : where + 2], "big") + 2
            grown[where : where + 2] = size.to_bytes(2, "big")
    path.write_bytes(grown)


def huge_avi(path):
    data = bytearray(small(path).read_bytes())
    where = data.index(b"strf") + 12
    data[where : where + 8] = struct.pack("<ii", 60000, 60000)
    path.write_bytes(data)


def huge_mov(path):
    data = bytearray(small(path, codec="rawvideo", pixel="rgb24").read_bytes())
    where = data.index(b"raw ") + 4 + 24
    assert struct.unpack(">HH", data[where : where + 4]) == (32, 24)
    data[where : where + 4] = struct.pack(">HH", 60000, 60000)
    path.write_bytes(data)


def huge_gif(path):
    data = bytearray(b"GIF89a" + struct.pack("<HH", 60000, 60000) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff")
    data += b"," + struct.pack("<HHHH", 0, 0, 60000, 60000) + b"\0\x02\x02\x44\x01\0;"
    path.write_bytes(data)


def huge_png(path):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    depth = 16 if "deep" in path.name else 8
    header = struct.pack(">IIBBBBB", 60000, 60000, depth, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b""))


def huge_jpg(path):
    from PIL import Image

    Image.new("L", (32, 24)).save(path)
    data = bytearray(path.read_bytes())
    where = data.index(b"\xff\xc0") + 5
    data[where : where + 4] = struct.pack(">HH", 60000, 60000)
    path.write_bytes(data)


def huge_tiff(path):
    entries = [(256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    entries += [(277, 3, 1, 1), (278, 4, 1, 60000), (279, 4, 1, 3_600_000_000)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + b"\0\0\0\0" + b"\0" * 100)


def huge_npy(path):
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (1, 60000, 60000)})
        file.write(b"\0" * 100)


def huge_y4m(path):
    path.write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 C420\nFRAME\n" + b"\0" * 100)


HUGE = {
    "in.mkv": huge_mkv,
    "in.avi": huge_avi,
    "in.mov": huge_mov,
    "in.gif": huge_gif,
    "in.png": huge_png,
    "deep.png": huge_png,
    "in.jpg": huge_jpg,
    "in.tiff": huge_tiff,
    "in.npy": huge_npy,
    "in.y4m": huge_y4m,
}


def test_60000_by_60000_header_in_a_tiny_file(tmp_path):
    """Refused, in memory that would not hold one frame."""
    for name, write in HUGE.items():
        write(tmp_path / name)
    lines = read_within(*(tmp_path / name for name in HUGE)).splitlines()
    for name, said in zip(HUGE, lines, strict=True):
        assert name in said
        assert "frames" not in said.split(name)[0]


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.y4m"])
def test_frames_of_more_pixels_than_asked_for_are_refused(tmp_path, name):
    path = tmp_path / name
    if name.endswith("y4m"):
        pv.write(path, np.zeros((2, 24, 32), np.uint8))
    else:
        small(path, codec="mpeg4" if name.endswith("mp4") else "ffv1")
    with pytest.raises(pv.InputError, match="pixels"):
        pv.read(path, max_pixels=32 * 24 - 1)
    assert len(list(pv.read(path, max_pixels=32 * 24))) in (2, 3)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".ts", "libx264"),
        (".m2ts", "libx264"),
        (".mpg", "mpeg2video"),
        (".vob", "mpeg2video"),
        (".wmv", "wmv2"),
        (".flv", "flv"),
        (".3gp", "mpeg4"),
        (".mxf", "mpeg2video"),
    ],
)
def test_other_containers_are_read_but_not_written(tmp_path, suffix, codec):
    path = small(tmp_path / f"in{suffix}", frames=8, codec=codec, size=(64, 48))
    frames = np.stack(list(pv.read(path)))
    assert frames.shape == (8, 48, 64, 3)
    for index, level in enumerate(frames.mean(axis=(1, 2, 3))):
        assert level == pytest.approx(20 * index, abs=4)
    assert pv.run(path, tmp_path / "out.mkv")["frames"] == 8
    with pytest.raises(pv.ParameterError, match="read, but not written"):
        pv.run(tmp_path / "out.mkv", tmp_path / f"again{suffix}")
    assert sorted(os.listdir(tmp_path)) == [f"in{suffix}", "out.mkv"]
