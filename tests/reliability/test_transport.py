"""MPEG-TS is read as FFmpeg reads it, and its programs are counted on the way."""

from __future__ import annotations

import errno
import io

import av
import pytest
from mpegts import SERVICES, Stream, section, services_section
from stream_bombs import begun, playing

import pde_video as pv
from pde_video.video import transport
from pde_video.video.transport import Transport

FIVE_PACKETS = range(1, 200)  # Of programs in a table.


def read_through(content: bytes, size: int = 2**15) -> None:
    file = Transport("v.ts", io.BytesIO(content))
    while file.read(size):
        pass


def counted(monkeypatch, content: bytes, most: int = 5000, **reading) -> int:
    """Return how many programs are counted."""
    for count in range(most):
        monkeypatch.setattr(transport, "_MOST", count)
        try:
            read_through(content, **reading)
        except pv.InputError:
            continue
        return count
    raise AssertionError


def test_every_program_is_counted_once(monkeypatch):
    stream = Stream()
    content = b"".join(stream.programs(FIVE_PACKETS, version=k % 32) for k in range(40))
    content += stream.services(range(150, 260)) * 3 + stream.services([260], version=1)
    assert counted(monkeypatch, content) == 260


@pytest.mark.parametrize("size", [1, 7, 188, 1000])
def test_it_does_not_matter_how_much_is_read_at_once(monkeypatch, size):
    assert counted(monkeypatch, Stream().programs(FIVE_PACKETS), size=size) == 199


@pytest.mark.parametrize("between", [b"\0", b"\x47", b"\0" * 4, b"\x47\x40\0\x10\0\0\xb0"])
def test_it_does_not_matter_what_is_between_packets(monkeypatch, between):
    content = Stream().programs(FIVE_PACKETS)
    spread = b"".join(between + content[start : start + 188] for start in range(0, len(content), 188))
    assert counted(monkeypatch, spread) >= 199


def test_packets_in_other_packets_do_not_hide_others(monkeypatch):
    """Each has a table of its own that is not complete, and the next packet of the outer one belongs to both."""
    stream, content = Stream(), Stream().programs(FIVE_PACKETS)
    hidden = [Stream().packets(0, section(0, number, bytes(900)), is_section=True)[:20] for number in range(90)]
    decoys = stream.packets(0x300, b"".join(hidden[:9]))
    spread = b"".join(content[start : start + 188] + decoys for start in range(0, len(content), 188))
    assert counted(monkeypatch, spread) >= 199
    with pytest.raises(pv.InputError, match="overlap"):
        read_through(content[:188] + stream.packets(0x300, b"".join(hidden)))


@pytest.mark.parametrize("packet", [b"\x47\x40\0\x10\0", b"\x47\x40\0\x10\0\0\xb0\xff" + b"\x47\0\0\x10" * 9])
def test_packets_that_overlap_everywhere_are_refused(packet):
    """To look at each would take long."""
    with pytest.raises(pv.InputError, match="overlap"):
        read_through(packet * 10_000)


def test_a_field_before_the_payload_is_skipped(monkeypatch):
    payload = b"\0" + section(0, 1, b"\0\7\xe0\x20\0\x08\xe0\x20")
    field = bytes([183 - len(payload)]) + b"\0" * (183 - len(payload))
    assert counted(monkeypatch, b"\x47\x40\0\x30" + field + payload) == 2
    assert counted(monkeypatch, b"\x47\x40\0\x20" + field + payload) == 0  # Without a payload.


def test_services_of_other_transport_streams_are_no_programs(monkeypatch):
    others = services_section(range(500, 520), 0x46)
    joined = Stream().packets(SERVICES, others + services_section([1, 2]) + others, is_section=True)
    assert counted(monkeypatch, joined) == 2


def test_tables_that_fill_their_packets_are_no_beginnings_of_others(monkeypatch):
    """Some programs fill packets up before a section, not behind it."""
    payload = b"\0" + section(0, 1, b"\0\7\xe0\x20")
    packet = b"\x47\x40\0\x30" + bytes([183 - len(payload)]) + b"\0" * (183 - len(payload)) + payload
    assert counted(monkeypatch, packet * 1000) == 1
    assert counted(monkeypatch, packet * 1000 + Stream().packets(0, section(0, 1, b"\0\x08\xe0\x20"))) == 1
    more = Stream().packets(0, section(0, 1, b"\0\x09\xe0\x20") + b"\xff" * 170)
    assert counted(monkeypatch, packet * 1000 + b"\x47\0" + more[2:]) == 2  # It goes on where the other ended.


def test_the_rest_of_a_table_that_was_lost_is_not_waited_for(monkeypatch):
    """Of three tables the first packet alone arrives; what comes much later is not theirs."""
    one = [Stream().programs(range(k, k + 199)) for k in (1, 301, 601)]
    monkeypatch.setattr(transport, "_FORGOTTEN", 1000)
    content = b"".join(table[:188] for table in one) + bytes(2000) + one[0][188:]
    begun_with = sum((184 - 9) // 4 for _ in one)
    assert counted(monkeypatch, content) <= begun_with


def test_the_longer_the_file_the_more_damaged_tables_may_name(monkeypatch):
    content = Stream().programs(FIVE_PACKETS)
    monkeypatch.setattr(transport, "_BYTES", 100)
    assert counted(monkeypatch, bytes(10_000) + content) == 199 - (10_000 + 188 * 4) // 100


def test_ffmpeg_reads_the_same_through_it(tmp_path):
    stream = Stream()
    content = bytes(500) + begun(stream) + stream.services([1]) + playing(stream, 10) * 50 + begun(Stream())
    path = tmp_path / "v.ts"
    for spread in (188, 192, 204):
        parts = (content[start : start + 188] for start in range(500, len(content), 188))
        path.write_bytes(content[:500] + b"".join(part + bytes(spread - 188) for part in parts))
        found = []
        with path.open("rb") as file:
            for source in (str(path), Transport(path, file)):
                with av.open(source) as container:
                    packets = [(p.stream_index, p.pts, p.dts, p.pos, bytes(p)) for p in container.demux()]
                    found.append((container.format.name, container.duration, len(container.streams), packets))
        assert found[0] == found[1]
        assert found[0][0] == "mpegts"
        assert len(found[0][3]) > 500


def test_a_place_that_is_returned_to_is_read_again(monkeypatch):
    content = Stream().programs([1, 2]) + bytes(1000)
    monkeypatch.setattr(transport, "_MOST", 2)
    file = Transport("v.ts", io.BytesIO(content))
    assert file.read(100) == content[:100]
    assert file.seek(-1, 2) == len(content) - 1
    assert file.read() == content[-1:]
    assert file.seek(100) == file.tell() == 100
    assert file.read() == content[100:]  # The packet continues where it was left.
    monkeypatch.setattr(transport, "_MOST", 1)
    file.seek(0)
    with pytest.raises(pv.InputError, match="over 1 programs"):
        file.read()


def test_a_fault_of_the_disk_is_bad_input():
    class Faulty(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(pv.InputError, match=r"v\.ts: it cannot be read \(Input/output error\)"):
        Transport("v.ts", Faulty()).read(10)
