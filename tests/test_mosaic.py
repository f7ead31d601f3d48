"""Boxes around the parts of a mask, side by side."""

from __future__ import annotations

import numpy as np
import pytest

import pde_video as pv
from pde_video.arrays.mosaic import mosaics


@pytest.mark.parametrize("margin", [0, 1, 5])
def test_every_masked_cell_is_in_one_box_with_its_margin(margin, rng):
    for share in (0.001, 0.01, 0.3):
        mask = rng.random((70, 90)) < share
        mask[3:6, 10] = mask[69, 89] = True
        field = np.arange(2 * mask.size, dtype=float).reshape(2, *mask.shape)
        out, count = np.full(field.shape, -1.0), 0
        for boxes in mosaics(mask, margin):
            cut, count = boxes.cut(field), count + boxes.mask.sum()
            boxes.paste(cut, out)
            for box, place in zip(boxes.boxes, boxes.places, strict=True):
                np.testing.assert_array_equal(cut[:, *place], field[:, *box])
                for axis, cells in enumerate(np.nonzero(boxes.mask[place])):
                    assert box[axis].start <= max(cells.min() + box[axis].start - margin, 0)
                    assert box[axis].stop >= min(cells.max() + box[axis].start + margin + 1, mask.shape[axis])
        assert count == mask.sum()
        np.testing.assert_array_equal(out, np.where(mask, field, -1))


def test_boxes_do_not_overlap_in_the_mosaic_and_cost_what_the_parts_are_large():
    mask = np.zeros((400, 500), bool)
    mask[5:-5, 100:103] = mask[50:60, 300:310] = mask[200, 20] = True
    (boxes,) = mosaics(mask, 4)
    taken = np.zeros(boxes.mask.shape, int)
    for place in boxes.places:
        taken[place] += 1
    assert len(boxes.boxes) == 3
    assert taken.max() == 1
    assert taken.size < 0.15 * mask.size


def test_what_touches_the_border_has_no_neighbour_there():
    mask = np.zeros((40, 50), bool)
    mask[:2, 5] = mask[20, 48:] = mask[20, 20] = True
    assert sorted(boxes.mask.sum() for boxes in mosaics(mask, 1)) == [1, 2, 2]
    mask[:3, 15] = mask[30, 46:] = mask[0, 0] = mask[39, 0] = True  # Two at the top, two at the right, and corners.
    assert sorted(boxes.mask.sum() for boxes in mosaics(mask, 1)) == [1, 1, 1, 5, 6]
    mask[:] = False
    mask[:, 5:7] = mask[:, 20] = mask[:, 40:43] = True
    (boxes,) = mosaics(mask, 1)
    assert boxes.mask.shape == (40, 4 + 3 + 5)
    mask = np.zeros((10, 120), bool)
    mask[:, 10::20] = True
    (boxes,) = mosaics(mask, 1)
    assert boxes.mask.shape == (10, 6 * 3)


@pytest.mark.parametrize("lines", [np.s_[:, [20, 21, 33, 60]], np.s_[[5, 21, 22, 50], :]])
def test_heat_in_the_mosaics_is_heat_in_the_picture(lines, rng):
    y, mask = rng.random((60, 80)), np.zeros((60, 80), bool)
    mask[lines] = mask[30:34, 50:58] = mask[0, 79] = True
    mask[:3, 5:9] = mask[:6, 13] = mask[56:, 40:44] = mask[58:, 50] = True
    mask[10:13, :4] = mask[30, :2] = mask[12:16, 77:] = mask[40, 74:] = True
    whole, out = pv.equilibrium(pv.Masked(pv.Heat(), mask, y), y, tolerance=1e-10), y.copy()
    for boxes in mosaics(mask, 1):
        part = boxes.cut(y)
        boxes.paste(pv.equilibrium(pv.Masked(pv.Heat(), boxes.mask, part), part, tolerance=1e-10), out)
    np.testing.assert_allclose(out, whole, atol=1e-8)
