"""131 real files of public projects: what `info`, `verify` and the first frame of each are is committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import corpus

FOLDER = Path(__file__).parents[2] / "shared" / "corpus"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the corpus of real files is not beside this checkout"),
]


@pytest.mark.parametrize("name", sorted(corpus.expected()))
def test_a_real_file_is_what_it_was(name):
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    assert corpus.described(FOLDER / name) == corpus.expected()[name]


def test_every_file_of_the_corpus_is_on_the_list():
    assert {path.name for path in corpus.files(FOLDER)} == corpus.expected().keys()
