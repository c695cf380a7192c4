"""A baseline that works like the authors' own scripts, reimplemented from what they do.

One crop per forward pass in fp32, BatchNorm not folded, every layer's attention matrix computed and returned,
heatmaps decoded in Python, joint by joint. The results equal those of the estimator.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tposecli.geometry import crop, heatmaps
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.models.catalog import heatmap_size
from tposecli.models.encoder import EncoderLayer
from tposecli.models.pose_net import IMAGENET_MEAN, IMAGENET_STD
from tposecli.types import Boxes, Float32, Frame

Map = NDArray[np.floating[Any]]


class AuthorsBaseline:
    """Estimates poses with TransPose, one person at a time."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._net = load(checkpoint).to(device)
        self._device = device
        self._attentions = [_multihead(layer) for layer in self._net.global_encoder.layers]  # type: ignore[arg-type]
        self._mean, self._std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)

    @torch.no_grad()
    def estimate(self, frame: Frame, boxes: Boxes) -> tuple[Float32, Float32]:
        """Return (N, K, 2) keypoints in frame pixels, and (N, K) scores."""
        found = [self._person(frame, boxes[person : person + 1]) for person in range(len(boxes))]
        return np.stack([xy for xy, _ in found]), np.stack([score for _, score in found])

    def _person(self, frame: Frame, box: Boxes) -> tuple[Float32, Float32]:
        height, width = self._net.input_hw
        center, scale = crop.crop_regions(box.corners, width / height)
        pixels = crop.cut(frame.image, crop.frame_to_crop(center, scale, (width, height)), (width, height))[0]
        scaled = (pixels.astype(np.float32) / 255 - self._mean) / self._std
        heatmaps, _ = self._forward(torch.from_numpy(scaled.transpose(2, 0, 1).copy())[None].to(self._device))
        xy, score = decode(heatmaps[0].cpu().numpy())
        return crop.to_frame(xy[None], center, scale, heatmap_size((height, width))[::-1])[0], score

    def _forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return (1, K, h, w) heatmaps, and the (1, S, S) attention matrix of each layer."""
        net = self._net
        grid = net.reduce(net.features(x))
        tokens, position = grid.flatten(2).permute(2, 0, 1), net.pos_embedding
        matrices = []
        for layer, attention in zip(net.global_encoder.layers, self._attentions, strict=True):
            assert isinstance(layer, EncoderLayer)
            query = tokens + position
            mixed, matrix = attention(query, query, tokens, need_weights=True)
            matrices.append(matrix)
            tokens = layer.norm1(tokens + mixed)
            tokens = layer.norm2(tokens + layer.linear2(functional.relu(layer.linear1(tokens))))
        return net.head(tokens.permute(1, 2, 0).reshape(grid.shape)), matrices


def _multihead(layer: EncoderLayer) -> nn.MultiheadAttention:
    """Return PyTorch's ``MultiheadAttention`` with the layer's weights."""
    own = layer.self_attn
    attention = nn.MultiheadAttention(own.out_proj.in_features, own.heads)
    attention.in_proj_weight, attention.in_proj_bias = own.in_proj_weight, own.in_proj_bias
    attention.out_proj.weight, attention.out_proj.bias = own.out_proj.weight, own.out_proj.bias
    return attention.eval()


def decode(maps: Float32) -> tuple[Float32, Float32]:
    """Decode (K, h, w) heatmaps one by one to (K, 2) positions and (K,) scores."""
    xy, score = np.zeros((len(maps), 2), np.float32), np.zeros(len(maps), np.float32)
    for joint, single in enumerate(maps):
        row, column = np.unravel_index(single.argmax(), single.shape)
        score[joint] = single[row, column]
        if score[joint] > 0:
            xy[joint] = column, row
        logs = np.log(np.maximum(_blurred(single), heatmaps.FLOOR))
        xy[joint] += _step(logs, int(xy[joint, 0]), int(xy[joint, 1]))
    return xy, score


def _blurred(single: Map) -> Map:
    """Blur a zero-padded map, and rescale it to its old maximum."""
    border = heatmaps.BLUR_SIZE // 2
    padded = cv2.copyMakeBorder(single, border, border, border, border, cv2.BORDER_CONSTANT, value=0)
    size = (heatmaps.BLUR_SIZE, heatmaps.BLUR_SIZE)
    blurred = cv2.GaussianBlur(padded, size, heatmaps.BLUR_SIGMA)[border:-border, border:-border]
    return np.asarray(blurred * single.max() / blurred.max())


def _step(logs: Map, x: int, y: int) -> Map:
    """Return the second-order Taylor step from the highest cell to the maximum."""
    height, width = logs.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return np.zeros(2)
    slope = np.array([logs[y, x + 1] - logs[y, x - 1], logs[y + 1, x] - logs[y - 1, x]]) / 2
    across = (logs[y, x + 2] - 2 * logs[y, x] + logs[y, x - 2]) / 4
    down = (logs[y + 2, x] - 2 * logs[y, x] + logs[y - 2, x]) / 4
    both = (logs[y + 1, x + 1] - logs[y - 1, x + 1] - logs[y + 1, x - 1] + logs[y - 1, x - 1]) / 4
    if across * down - both**2 == 0:
        return np.zeros(2)
    return np.asarray(-np.linalg.inv(np.array([[across, both], [both, down]])) @ slope)
