"""Runs that are interrupted, and the notes that they leave."""

from __future__ import annotations

import json

from pde_video.jobs.segment_folder import CONTEXT
from pde_video.video.seal import sealed, unsealed


class Stop(Exception):
    """Whatever ends a process."""


def stopping_after(frames):
    """Return a progress bar that stops everything when so many results came."""

    def progress(results, count):
        for number, result in enumerate(results):
            if number == frames:
                raise Stop
            yield result

    return progress


def notes_in(folder):
    return json.loads(unsealed((folder / "notes.json").read_bytes(), CONTEXT)[0])


def write_notes(folder, notes):
    (folder / "notes.json").write_text(sealed(json.dumps(notes), CONTEXT))


def changed_notes(folder, change):
    """Change the notes in a folder of segments as a run of this user could."""
    notes = notes_in(folder)
    change(notes)
    write_notes(folder, notes)
