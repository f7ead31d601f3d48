"""Reads and runs many broken files in one process, which its caller limits in memory; says what became of each.

Started by test_fuzz.py: `fuzz_worker.py FOLDER FIRST STEP COUNT` mutates the files in FOLDER/seeds, or, with a COUNT
of 0, makes up headers. An input can be made again from its number alone. With FUZZ_ISOLATED in the environment an input
is not run, but also read in isolation, which must give the same.
"""

from __future__ import annotations

import collections
import faulthandler
import json
import os
import re
import resource
import struct
import sys
import traceback
import zlib
from itertools import islice
from pathlib import Path

import numpy as np

import pde_video as pv
from pde_video.errors import DtypeError
from pde_video.jobs.trial import peak_memory

CLEAN = (pv.InputError, pv.ParameterError, pv.OutputError, DtypeError, FileNotFoundError)
HANGS = 20  # Seconds after which an input hangs.
PIXELS, FRAMES = 2**20, 6
TRIES = 3  # FFmpeg's threads do not always mark a damaged frame of H.264: once in 30 times they miss one.
WORDS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 60000, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
TARGETS = ("out.npy", "out.y4m", "out.npy", "out_%03d.png", "out.npy", "out.avi")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Return data with one to three faults; half of them lie near the beginning, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        near = rng.random() < 0.5
        at = int(rng.integers(0, max(1, min(len(changed), 256 if near else len(changed)))))
        kind = rng.integers(0, 7)
        if kind == 0:
            changed[at : at + 1] = bytes([changed[at] ^ (1 << int(rng.integers(0, 8)))]) if changed else b""
        elif kind == 1:
            del changed[at + int(rng.integers(0, 16)) :]
        elif kind == 2:
            changed[at:at] = rng.bytes(int(rng.integers(1, 40)))
        elif kind == 3:
            size, order = int(rng.choice([1, 2, 4, 8])), ("big", "little")[rng.integers(0, 2)]
            word = WORDS[rng.integers(0, len(WORDS))] & (2 ** (8 * size) - 1)
            changed[at : at + size] = word.to_bytes(size, order)
        elif kind == 4:
            del changed[at : at + int(rng.integers(1, 100))]
        elif kind == 5:
            end = at + int(rng.integers(1, 200))
            changed[end:end] = changed[at:end]
        else:
            end = min(len(changed), at + int(rng.integers(1, 64)))
            changed[at:end] = bytes(end - at)
    return bytes(changed)


class Tries:
    """What became of every input."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []

    def attempt(self, label: str, suffix: str, data: bytes, target: str) -> None:
        """Read an input and run it to an output, which is whole or not there."""
        (self.folder / "now").write_text(label)
        for left in self.folder.glob("work/*"):
            left.unlink()
        source = self.folder / "work" / f"in{suffix}"
        source.write_bytes(data)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        try:
            if "FUZZ_ISOLATED" in os.environ:
                outcomes = [self._read_twice(source)]
            else:
                outcomes = [self._read(source, []), self._run(source, source.with_name(target))]
            self.ended[" / ".join(outcomes)] += 1
        except Exception:
            self.faults.append(f"{label}: {traceback.format_exc()[-1500:]}")
        faulthandler.cancel_dump_traceback_later()

    def _read_twice(self, source: Path) -> str:
        """Read an input here and in isolation, with one result."""
        for _ in range(TRIES):
            ended = [self._read(source, told := [])]
            ended.append(self._read(source, isolated := [], isolated=True))
            if told == isolated and ended[0] == ended[1]:
                return ended[0]
        raise RuntimeError(f"plain reading gives {told}, isolated reading {isolated}")

    def _read(self, source: Path, told: list[object], isolated: bool = False) -> str:
        """Read an input; `told` receives all that can be known of it."""
        try:
            video = pv.read(source, max_pixels=PIXELS, isolated=isolated)
            told.append((video.size, video.channels, video.dtype, video.rate, video.count, video.details))
            for frame in islice(video, FRAMES):
                told.append((zlib.crc32(frame.tobytes()), video.timestamps[-1:]))
                if frame.shape[:2] != tuple(video.size) or frame.dtype != video.dtype or frame.nbytes > 32 * PIXELS:
                    raise RuntimeError(f"{frame.shape} {frame.dtype}, but {video.size} {video.dtype} was told")
        except CLEAN as fault:
            told.append(re.sub("0x[0-9a-f]+", "0x", str(fault)))  # Some name the address of an object.
            return type(fault).__name__
        return "frames"

    def _run(self, source: Path, target: Path) -> str:
        before = source.read_bytes()
        try:
            options = {"max_pixels": PIXELS, "frames": (0, FRAMES)}
            count, ended = pv.run(source, target, reading=options)["frames"], "output"
        except CLEAN as fault:
            count, ended = 0, type(fault).__name__
        if source.read_bytes() != before:
            raise RuntimeError("the input has changed")
        found = sorted(path.name for path in source.parent.iterdir() if path != source)
        if count == 0:
            expected: list[str] = []
        elif "%" in target.name:
            expected = [target.name % (index + 1) for index in range(count)]
        else:
            expected = [target.name]
        if found != expected:
            raise RuntimeError(f"it ended with {ended}, {count} frames, and left {found}")
        return ended

    def say(self) -> None:
        memory = peak_memory()
        print(json.dumps({"ended": self.ended, "faults": self.faults, "memory": memory}))


def mutations(folder: Path, first: int, step: int, count: int) -> None:
    tries = Tries(folder / f"worker{first}")
    (tries.folder / "work").mkdir(parents=True)
    seeds = sorted((folder / "seeds").iterdir())
    for number in range(first, count, step):
        rng, seed = np.random.default_rng(number), seeds[number % len(seeds)]
        target = TARGETS[number // len(seeds) % len(TARGETS)]
        tries.attempt(f"{number} ({seed.name})", seed.suffix, mutated(seed.read_bytes(), rng), target)
    tries.say()


def headers(folder: Path) -> None:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    tries = Tries(folder / "headers")
    (tries.folder / "work").mkdir(parents=True, exist_ok=True)
    rule = settings(
        max_examples=250, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    number = st.sampled_from([0, 1, 2, 3, 16, 255, 256, 65535, 65536, 2**31, 2**32 - 1]) | st.integers(0, 70000)
    value = number.map(str) | st.sampled_from(["", "-1", "x", "1:0", "0:0", "30000:1001", "9" * 30, "1e9", "\u0661"])
    word = st.tuples(st.sampled_from("WHFIACXZ"), value).map("".join) | st.sampled_from(
        ["C420", "C420p10", "Cmono", "C444p16", "C420p11", "C411", "XCOLORRANGE=FULL", "It", "A1:1", "", "W8", "H6"]
    )
    content = st.binary(max_size=200) | st.sampled_from([b"FRAME\n" + bytes(72), b"FRAME\n" + bytes(144), b"FRAME"])
    small = st.sampled_from([["W8", "H6"], ["W8", "H6", "C444"], []])

    @rule
    @given(small, st.lists(word, max_size=6), content, st.booleans())
    def y4m(base, words, data, ends):
        line = " ".join(["YUV4MPEG2", *base, *words]).encode() + b"\n" * ends
        tries.attempt(f"y4m {line!r} {data!r}", ".y4m", line + data, "out.npy")

    shape = st.lists(st.sampled_from([0, 1, 2, 3, 7, -1, 60000, 2**31, 2**62, 2**64]), max_size=5).map(tuple)
    kind = st.sampled_from(
        [
            "|u1",
            "<u2",
            ">u2",
            "<f4",
            "|b1",
            "<i8",
            "|O",
            "|V8",
            "<U4",
            "<M8[s]",
            "<c8",
            "nonsense",
            [("a", "<i4")],
            None,
        ]
    )

    @rule
    @given(shape, kind, st.booleans(), st.binary(max_size=300), st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]))
    def npy(shape, kind, order, data, version):
        text = repr({"descr": kind, "fortran_order": order, "shape": shape}).encode() + b"\n"
        size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
        tries.attempt(f"npy {text!r}", ".npy", b"\x93NUMPY" + bytes(version) + size + text + data, "out.npy")

    tag = st.sampled_from([256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 284, 320, 322, 323, 324, 325, 338, 339])
    entry = st.tuples(tag, st.integers(0, 14), number, number)
    usual = [(256, 3, 1, 8), (257, 3, 1, 6), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200)]
    usual += [(277, 3, 1, 1), (278, 3, 1, 6), (279, 4, 1, 48)]

    @rule
    @given(st.lists(entry, max_size=5), st.booleans(), number, st.binary(max_size=100))
    def tiff(entries, based, following, data):
        said = {one[0]: one for one in [*(usual if based else []), *entries]}
        rows = [struct.pack("<HHII", a, b, c & 0xFFFFFFFF, d & 0xFFFFFFFF) for a, b, c, d in sorted(said.values())]
        directory = struct.pack("<H", len(rows)) + b"".join(rows) + struct.pack("<I", following & 0xFFFFFFFF)
        tries.attempt(f"tiff {said}", ".tiff", b"II*\0\x08\0\0\0" + directory + data + bytes(200), "out.npy")

    for run in (y4m, npy, tiff):
        run()
    tries.say()


if __name__ == "__main__":
    limit = int(os.environ["FUZZ_MEMORY"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    faulthandler.enable()
    folder, first, step, count = Path(sys.argv[1]), *map(int, sys.argv[2:])
    mutations(folder, first, step, count) if count else headers(folder)
