"""Reading ahead and writing behind: in order, bounded, and nothing left running, whoever stops."""

from __future__ import annotations

import gc
import os
import threading
from fractions import Fraction
from itertools import count, islice

import av
import numpy as np
import pytest

import pde_video as pv
from pde_video.video import encoder
from pde_video.video.overlap import _Channel, ahead, behind

ROOM = 3
LONG = 30  # Seconds after which a thread that should have come has not: no test waits for them when all is well.


@pytest.fixture(autouse=True)
def nothing_left_running():
    before = set(threading.enumerate())
    yield
    assert [thread for thread in set(threading.enumerate()) - before if "pde_video " in thread.name] == []


def noise(frames: int = 9) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (frames, 16, 24, 3), np.uint8)


def test_ahead_yields_everything_in_order():
    assert list(ahead(range(100), ROOM)) == list(range(100))
    assert list(ahead([], ROOM)) == []


def test_ahead_draws_while_the_consumer_is_busy_but_not_too_far():
    drawn, reached = [], threading.Event()

    def source():
        for item in range(50):
            drawn.append(item)
            if item == ROOM:
                reached.set()
            yield item

    for item in ahead(source(), ROOM):
        assert len(drawn) <= item + 1 + ROOM + 1  # Taken, waiting, and one in hand.
        assert reached.wait(LONG)  # Comes while the first item is held: the source runs on its own.
    assert drawn == list(range(50))


def test_a_full_queue_makes_its_producer_wait_until_an_item_is_taken():
    channel = _Channel(ROOM)
    assert all(channel.put(item) for item in range(ROOM))
    one_more = threading.Thread(target=channel.put, args=(ROOM,), daemon=True)
    one_more.start()
    one_more.join(0.2)
    assert one_more.is_alive()
    assert next(iter(channel)) == 0
    one_more.join(LONG)
    assert not one_more.is_alive()


def test_ahead_raises_behind_the_items_that_came_first():
    def source():
        yield from range(5)
        raise ValueError("after five")

    seen = []
    with pytest.raises(ValueError, match="after five"):
        seen.extend(item for item in ahead(source(), ROOM) if seen.append(item) is None and False)
    assert seen == list(range(5))


@pytest.mark.parametrize("taken", [1, 2, 10])
def test_ahead_closes_its_source_when_it_is_closed(taken):
    closed = []

    def source():
        try:
            yield from count()
        finally:
            closed.append(threading.current_thread().name)

    items = ahead(source(), ROOM)
    assert list(islice(items, taken)) == list(range(taken))
    items.close()
    assert closed == ["pde_video ahead"]


def test_ahead_may_be_garbage_that_its_own_thread_collects():
    # As a traceback that is kept makes it. The thread cannot wait for itself, and need not.
    forgotten, collected = threading.Event(), threading.Event()

    def source():
        yield 0
        assert forgotten.wait(LONG)
        gc.collect()
        collected.set()
        yield from count(1)

    gc.disable()
    try:
        cycle = [ahead(source(), ROOM)]
        assert next(cycle[0]) == 0
        cycle.append(cycle)
        del cycle
        forgotten.set()
        assert collected.wait(LONG)
    finally:
        gc.enable()
    for thread in threading.enumerate():
        if thread.name == "pde_video ahead":
            thread.join(LONG)


def test_behind_returns_what_is_made_of_all_items():
    assert behind(list, range(100), ROOM) == list(range(100))
    assert behind(list, [], ROOM) == []
    assert behind(lambda items: list(islice(items, 4)), count(), ROOM) == [0, 1, 2, 3]


def test_behind_consumes_while_the_caller_draws_but_lets_few_items_wait():
    begun, drawn = threading.Event(), []

    def source():
        yield 0
        assert begun.wait(LONG)  # The first item is consumed although nobody has asked for the second.
        for item in range(1, 50):
            drawn.append(item)
            yield item

    def consume(items):
        for item in items:
            begun.set()
            assert len(drawn) <= item + 1 + ROOM + 1
        return item

    assert behind(consume, source(), ROOM) == 49


def test_behind_raises_what_the_consumer_raises_however_many_items_there_are():
    def consume(items):
        next(items)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        behind(consume, count(), ROOM)


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
def test_behind_lets_the_consumer_clean_up_when_the_caller_is_interrupted(fault):
    release, used, cleaned = threading.Event(), [], []

    def source():
        yield from range(ROOM)
        release.set()
        raise fault

    def consume(items):
        try:
            for item in items:
                assert release.wait(LONG)
                used.append(item)
        finally:
            cleaned.append(True)

    with pytest.raises(fault):
        behind(consume, source(), ROOM)
    assert cleaned == [True]
    assert len(used) <= ROOM


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_video_leaves_no_file_and_frees_its_source(tmp_path, fault):
    pv.write(tmp_path / "in.avi", noise(30))

    def interrupted(frames):
        yield from islice(frames, 5)
        raise fault

    with pytest.raises(fault):
        pv.run(tmp_path / "in.avi", tmp_path / "out.mp4", interrupted)
    assert os.listdir(tmp_path) == ["in.avi"]


def test_a_filter_that_fails_and_is_kept_lets_go_of_the_source(tmp_path):
    pv.write(tmp_path / "in.avi", noise(30))
    kept = []

    def fails(frames):
        kept.append(frames)
        yield next(frames)
        raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway") as caught:
        pv.run(tmp_path / "in.avi", tmp_path / "out.mp4", fails)
    kept.append(caught.value)
    assert not [thread for thread in threading.enumerate() if "pde_video " in thread.name]


def test_an_encoder_that_fails_leaves_no_file(tmp_path, monkeypatch):
    convert, converted = encoder._converted, []

    def fails(picture, form):
        converted.append(picture)
        if len(converted) == 3:
            raise av.error.OSError(28, "No space left on device", "out")
        return convert(picture, form)

    monkeypatch.setattr(encoder, "_converted", fails)
    pv.write(tmp_path / "in.avi", noise(30)[:1])
    with pytest.raises(pv.OutputError, match="No space left"):
        pv.write(tmp_path / "out.mp4", (frame for frame in noise(30)))
    assert os.listdir(tmp_path) == ["in.avi"]


def test_a_source_may_use_one_buffer_for_all_its_frames(tmp_path):
    original, buffer = noise(40), np.empty((16, 24, 3), np.uint8)

    def source():
        for frame in original:
            buffer[:] = frame
            yield buffer
            buffer[:] = 0

    pv.write(tmp_path / "out.avi", source())
    assert np.array_equal(np.stack(list(pv.read(tmp_path / "out.avi"))), original)


def test_timestamps_are_those_of_the_frames_taken_not_of_those_read_ahead(tmp_path):
    pv.write(tmp_path / "in.avi", noise())
    video = pv.read(tmp_path / "in.avi")
    frames = iter(video)
    for taken in range(1, 7):
        next(frames)
        assert video.timestamps == [Fraction(index, 25) for index in range(taken)]
    frames.close()


def test_a_filter_that_doubles_frames_dates_them_alike_however_fast_it_is(tmp_path):
    stamps = [Fraction(t, 1000) for t in (0, 40, 400, 460, 500, 1200, 1300, 1340, 2000)]
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp, pixels in zip(stamps, noise(), strict=True):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
            picture.pts, picture.time_base = int(stamp * 1000), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    source, pause = pv.read(tmp_path / "in.mkv"), threading.Event()

    def doubled(frames):
        for frame in frames:
            pause.wait(0.01)  # Lets the decoder run ahead, and the encoder catch up.
            yield frame
            yield frame

    pv.run(tmp_path / "in.mkv", tmp_path / "out.mkv", doubled)
    video, last = pv.read(tmp_path / "out.mkv"), Fraction(-1)
    assert len(list(video)) == 2 * len(stamps)
    for k, found in enumerate(video.timestamps):
        # The source's frame k // 2 is the last one known when frame k is drawn, which follows it at the source's rate.
        last = max(stamps[k // 2] + (k - k // 2) / source.rate, last + Fraction(1, 1000))
        assert abs(found - last) <= Fraction(1, 1000)


def test_changing_a_frame_does_not_change_those_that_are_predicted_from_it(tmp_path):
    expected = np.repeat(noise(1), 6, axis=0)
    for index, frame in enumerate(expected):
        frame[index, :4] = index  # All that is new in it, and all that is stored of it.
    with av.open(str(tmp_path / "animation.mov"), "w") as container:
        stream = container.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "rgb24"
        for pixels in expected:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    for frame, same in zip(pv.read(tmp_path / "animation.mov"), expected, strict=True):
        assert np.array_equal(frame, same)
        frame[:] = 0
