"""Decoding against the authors' arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tposecli.geometry import crop, heatmaps


def test_decode_equals_the_authors(golden: Path) -> None:
    expected = np.load(golden / "decode.npz")
    maps = torch.from_numpy(expected["heatmaps"])
    peak, argmax = heatmaps.peaks(maps)
    xy, score = heatmaps.decode(maps)
    assert np.array_equal(argmax.numpy(), expected["argmax"])
    assert np.array_equal(peak.numpy(), expected["maxvals"][:, :, 0])
    assert torch.equal(peak, score)
    assert abs(xy.numpy() - expected["heatmap_coords"]).max() < 1e-3
    in_frame = crop.to_frame(xy.numpy(), expected["center"], expected["scale"], (48, 64))
    assert abs(in_frame - expected["image_coords"]).max() < 1e-3


def test_flip_back_equals_the_authors(golden: Path) -> None:
    expected = np.load(golden / "flip.npz")
    assert np.array_equal(heatmaps.flip_back(torch.from_numpy(expected["heatmaps"])), expected["flipped_back"])


def test_flipping_twice_is_the_identity(rng: np.random.Generator) -> None:
    maps = torch.from_numpy(rng.standard_normal((2, 17, 8, 6), dtype=np.float32))
    assert torch.equal(heatmaps.flip_back(heatmaps.flip_back(maps)), maps)


def test_map_without_a_positive_value_gives_the_origin() -> None:
    xy, score = heatmaps.decode(torch.full((1, 17, 64, 48), -0.5))
    assert not xy.any()
    assert torch.equal(score, torch.full((1, 17), -0.5))


def test_a_gaussian_is_found_to_a_hundredth_of_a_pixel(rng: np.random.Generator) -> None:
    centres = rng.uniform((5, 5), (42, 58), (17, 2))
    y, x = np.mgrid[:64, :48]
    maps = np.exp(-((x - centres[:, :1, None]) ** 2 + (y - centres[:, 1:, None]) ** 2) / (2 * 2.0**2))
    xy, _ = heatmaps.decode(torch.from_numpy(maps[None].astype(np.float32)))
    assert abs(xy[0].numpy() - centres).max() < 0.01


def test_attention_cells_stay_on_the_grid() -> None:
    xy = torch.tensor([[[0.0, 0.0], [47.9, 63.9], [-3.0, 70.0], [10.0, 20.0]]])
    assert heatmaps.attention_cells(xy, 8, (32, 24)).tolist() == [[0, 31 * 24 + 23, 31 * 24, 10 * 24 + 5]]


def test_nobody_decodes_to_nothing() -> None:
    xy, score = heatmaps.decode(torch.zeros((0, 17, 64, 48)))
    assert xy.shape == (0, 17, 2)
    assert score.shape == (0, 17)
