"""The bundled person detector: its weights, its geometry, its loss."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests import REPOSITORY
from tposecli.detection.base import BoxFilter
from tposecli.detection.bundled import BundledDetector, letterbox, load_person_detector, scaled_size
from tposecli.detection.factory import DetectorOptions, build_detector, weak_score
from tposecli.inference.runtime import Runtime
from tposecli.lab.training.detector.loop import BACKBONE_RATE, CLIP, parameter_groups, save_weights
from tposecli.lab.training.detector.loss import (
    MAX_DOUBTFUL_SCORE,
    Targets,
    assign,
    bins_loss,
    detector_loss,
    giou_loss,
    pair_iou,
)
from tposecli.models.person_detector import BINS, DIVISOR, STRIDES, Cells, Dense, PersonDetector, cells
from tposecli.sources import open_video
from tposecli.types import Frame, Image
from tposecli.utils.errors import WeightsError

WEIGHTS = REPOSITORY / "weights" / "person-detector.safetensors"


def picture(size_wh: tuple[int, int], seed: int = 0) -> Image:
    """Smooth random colours."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)


class FixedNet(torch.nn.Module):
    """Sees one person at a fixed place of the net's input."""

    def __init__(self, xyxy: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.xyxy = torch.tensor(xyxy)
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, batch: torch.Tensor) -> Dense:
        self.shapes.append(tuple(batch.shape))
        logit = torch.full((len(batch), 4), -9.0)
        logit[:, 2] = 3.0
        return Dense(logit, self.xyxy.expand(len(batch), 4, 4), torch.zeros(len(batch), 4, 4, BINS))


def seen(xyxy: torch.Tensor, logit: torch.Tensor | None = None) -> Dense:
    """Return the output of a net that sees these (B, A, 4) boxes; scores are 0.5 by default."""
    return Dense(torch.zeros(xyxy.shape[:2]) if logit is None else logit, xyxy, torch.zeros(*xyxy.shape, BINS))


def truth_of(people: torch.Tensor, real: torch.Tensor | None = None) -> Targets:
    """Return the targets of images of 64 x 64 pixels with these (B, M, 4) people."""
    real = torch.ones(people.shape[:2], dtype=torch.bool) if real is None else real
    return Targets(people, real, torch.ones(len(people), 8, 8))


@pytest.fixture(scope="module")
def detector() -> BundledDetector:
    return BundledDetector(WEIGHTS, BoxFilter(min_score=0.02, max_people=20), half=False)


class TestWeights:
    def test_file_is_small_and_fits_the_net(self) -> None:
        assert WEIGHTS.stat().st_size < 10_000_000
        net = load_person_detector(WEIGHTS)
        assert sum(p.numel() for p in net.parameters()) < 5_000_000
        assert all(torch.isfinite(p).all() for p in net.parameters())

    def test_card_lies_beside_it(self) -> None:
        assert "train-detector" in WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")

    def test_missing_damaged_and_foreign_files_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"none\.safetensors"):
            load_person_detector(tmp_path / "none.safetensors")
        damaged = tmp_path / "damaged.safetensors"
        damaged.write_bytes(WEIGHTS.read_bytes()[:5000])
        with pytest.raises(WeightsError, match="damaged"):
            load_person_detector(damaged)
        save_weights(torch.nn.Linear(2, 2), tmp_path / "foreign.safetensors")
        with pytest.raises(WeightsError, match="foreign"):
            load_person_detector(tmp_path / "foreign.safetensors")


class TestDetect:
    def test_batch_equals_single(self, detector: BundledDetector) -> None:
        sizes = ((320, 240), (201, 333), (320, 240), (97, 61))
        frames = [Frame(picture(size, seed), seed) for seed, size in enumerate(sizes)]
        together = detector.detect(frames)
        for frame, boxes in zip(frames, together, strict=True):
            alone = detector.detect([frame])[0]
            np.testing.assert_allclose(boxes.xyxy, alone.xyxy, atol=0.05)
            np.testing.assert_allclose(boxes.score, alone.score, atol=1e-3)

    def test_half_precision_finds_the_same(self, media: Path) -> None:
        image = cv2.VideoCapture(str(media / "crossing.mp4")).read()[1][:, :, ::-1]
        dense = []
        for half in (False, True):
            net = BundledDetector(WEIGHTS, half=half)._net
            with torch.inference_mode():
                dense.append(net(torch.from_numpy(letterbox(image, 256)).permute(2, 0, 1)[None]))
        side = (dense[0].xyxy[..., 2:] - dense[0].xyxy[..., :2]).amax(dim=2)
        moved = (dense[1].xyxy - dense[0].xyxy).abs().amax(dim=2)
        peaks = dense[0].logit > 0
        assert peaks.sum() >= 3
        assert (moved / side)[peaks].max() < 0.03
        assert (dense[1].logit.sigmoid() - dense[0].logit.sigmoid())[peaks].abs().max() < 0.05

    def test_where_people_are_followed_it_says_more(self, media: Path) -> None:
        """People half hidden, whose boxes may continue a track; all of them score less than counts by itself."""
        options, runtime = DetectorOptions(), Runtime(torch.device("cpu"))
        with open_video(media / "crossing.mp4") as clip:
            frames = list(islice(clip, 60, 68))
        usual = build_detector(options, runtime).detect(frames)
        more = build_detector(options, runtime, tracked=True).detect(frames)
        assert sum(map(len, more)) > sum(map(len, usual))
        for some, every in zip(usual, more, strict=True):
            strong = every.score >= weak_score(options)
            np.testing.assert_array_equal(every.xyxy[strong], some.xyxy)
        assert weak_score(DetectorOptions(min_score=0.2)) == weak_score(DetectorOptions("full-frame")) == 0

    def test_openvino_finds_the_same(self, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("openvino")
        monkeypatch.setenv("TPOSE_HOME", str(tmp_path))
        with open_video(media / "crossing.mp4") as clip:
            frames = [*islice(clip, 60, 63), Frame(picture((201, 333)), 3)]
        cpu, options = torch.device("cpu"), DetectorOptions("bundled")
        for precision, pixels, score in (("fp32", 0.05, 1e-3), ("bf16", 3.0, 0.03)):
            expected = build_detector(options, Runtime(cpu)).detect(frames)
            found = build_detector(options, Runtime(cpu, precision, backend="openvino")).detect(frames)
            assert sum(map(len, expected)) >= 3
            for wanted, boxes in zip(expected, found, strict=True):
                np.testing.assert_allclose(boxes.xyxy, wanted.xyxy, atol=pixels)
                np.testing.assert_allclose(boxes.score, wanted.score, atol=score)
        assert len(list((tmp_path / "exports").glob("person-detector-*.xml"))) == 1

    @pytest.mark.parametrize("broken", ["DenseExport.cached", "OpenVinoNet.__call__"])
    def test_where_openvino_fails_torch_goes_on(
        self, broken: str, media: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("no such instruction\n  at some line")

        with open_video(media / "crossing.mp4") as clip:
            frames = list(islice(clip, 60, 62))
        monkeypatch.setattr("tposecli.detection.exported.DenseExport.cached", lambda _: Path("file"))
        monkeypatch.setattr(f"tposecli.detection.exported.{broken}", fail)
        found = BundledDetector(WEIGHTS, half=False, openvino=True).detect(frames)
        for boxes, wanted in zip(found, BundledDetector(WEIGHTS, half=False).detect(frames), strict=True):
            np.testing.assert_array_equal(boxes.xyxy, wanted.xyxy)
        assert caplog.text.count("it runs through torch, because OpenVINO cannot run it: no such instruction") == 1
        assert "at some line" not in caplog.text

    def test_no_frames(self, detector: BundledDetector) -> None:
        assert detector.detect([]) == []

    def test_plain_frame_has_nobody(self) -> None:
        plain = Frame(np.full((240, 320, 3), 128, np.uint8), 0)
        assert len(BundledDetector(WEIGHTS).detect([plain])[0]) == 0

    @pytest.mark.parametrize("size_wh", [(1280, 720), (333, 501), (641, 97), (64, 64), (1, 7)])
    def test_coordinates_map_back(self, size_wh: tuple[int, int]) -> None:
        detector = BundledDetector(WEIGHTS, size=192)
        width, height = scaled_size(size_wh, 192)
        part = np.array([0.25, 0.25, 0.75, 0.5])
        fixed = FixedNet(tuple(part * (width, height, width, height)))
        detector._net = fixed
        boxes = detector.detect([Frame(picture(size_wh), 0)])[0]
        want = np.minimum(part * (*size_wh, *size_wh), np.array((*size_wh, *size_wh)) - 1)
        if (want[2:] > want[:2]).all():
            np.testing.assert_allclose(boxes.xyxy, want[None], rtol=1e-5)
        assert all(side % DIVISOR == 0 for side in fixed.shapes[0][2:])

    def test_frames_of_one_size_share_a_forward(self) -> None:
        detector = BundledDetector(WEIGHTS)
        fixed = FixedNet((10, 10, 50, 50))
        detector._net = fixed
        frames = [Frame(picture(size), i) for i, size in enumerate([(64, 48), (48, 64), (64, 48)])]
        assert [len(boxes) for boxes in detector.detect(frames)] == [1, 1, 1]
        assert sorted(shape[0] for shape in fixed.shapes) == [1, 2]

    def test_letterbox_keeps_the_picture_at_the_left_top(self) -> None:
        padded = letterbox(np.full((100, 300, 3), 7, np.uint8), 96)
        assert padded.shape == (32, 96, 3)
        assert (padded == 7).all()
        padded = letterbox(np.full((100, 290, 3), 7, np.uint8), 96)
        assert (padded[:33] == 7).all() and (padded[33:] != 7).all()


class TestLoss:
    def test_iou_and_giou_of_known_boxes(self) -> None:
        first = torch.tensor([0.0, 0, 2, 2])
        second = torch.tensor([1.0, 0, 3, 2])
        apart = torch.tensor([2.0, 0, 4, 2])
        assert pair_iou(first, second).item() == pytest.approx(1 / 3)
        assert giou_loss(first, first).item() == pytest.approx(0)
        assert giou_loss(first, second).item() == pytest.approx(1 - 1 / 3)
        assert giou_loss(first, apart + 2).item() > giou_loss(first, apart).item() >= 1

    def test_cells_are_those_of_all_levels(self) -> None:
        where = cells((64, 96))
        assert len(where.centre) == sum(64 // stride * (96 // stride) for stride in STRIDES)
        assert where.centre[[0, 1, 96]].tolist() == [[4, 4], [12, 4], [8, 8]]
        assert where.stride[[0, 95, 96, -1]].tolist() == [8, 8, 16, 32]
        dense = PersonDetector().eval()(torch.zeros(1, 3, 64, 96))
        middle = (dense.xyxy[0, :, :2] + dense.xyxy[0, :, 2:]) / 2
        # An untrained net sees boxes of nearly equal sides round its cells.
        assert ((middle - where.centre).abs() < where.stride[:, None] / 4).all()

    def test_cells_go_to_the_person_they_see(self) -> None:
        where = cells((64, 64))
        people = torch.tensor([[[4.0, 4, 30, 60], [34, 4, 60, 60], [0, 0, 0, 0]]])
        nearer = (where.centre[:, 0] > 32).long()
        dense = seen(people[0, nearer][None])
        assigned = assign(dense, truth_of(people, torch.tensor([[True, True, False]])), where)
        positive = assigned.score[0] > 0
        assert 2 <= positive.sum() <= 20
        assert assigned.score.max().item() == pytest.approx(1)
        assert torch.equal(assigned.xyxy[0, positive], people[0, nearer[positive]])

    def test_the_nearest_cells_go_to_a_person_whom_no_box_meets(self) -> None:
        where = cells((64, 64))
        people = torch.tensor([[[8.0, 8, 56, 56]]])
        assigned = assign(seen(torch.zeros(1, len(where.centre), 4)), truth_of(people), where)
        away = (where.centre - 32).abs().amax(dim=1) / where.stride
        assert (assigned.score[0] > 0).any()
        assert away[assigned.score[0] > 0].max() < 2

    def test_nobody_means_no_box_loss(self) -> None:
        dense = seen(torch.rand(1, len(cells((64, 64)).centre), 4))
        targets = truth_of(torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.bool))
        score, box = detector_loss(dense, targets, (64, 64))
        assert score > 0 and box == 0
        unpunished = targets._replace(weight=torch.zeros(1, 8, 8))
        assert detector_loss(dense, unpunished, (64, 64))[0] == 0

    def test_a_confident_box_may_be_an_unannotated_person_but_no_second_one_of_an_annotated_person(self) -> None:
        people = torch.tensor([[[0.0, 0, 32, 32]]])
        where = cells((64, 64))
        away = (where.centre > 32).all(dim=1)
        logit = torch.full((1, len(where.centre)), -9.0)
        logit[:, away] = 2.0
        assert logit.sigmoid().max() > MAX_DOUBTFUL_SCORE
        elsewhere = torch.tensor([40.0, 40, 60, 60]).expand(1, len(where.centre), 4)
        losses = {}
        for name, xyxy, share in (
            ("complete", elsewhere, 1.0),
            ("partial", elsewhere, 0.25),
            ("partial, repeated", torch.where(away[:, None], people[0], elsewhere), 0.25),
        ):
            targets = truth_of(people)._replace(weight=torch.full((1, 8, 8), share))
            losses[name] = detector_loss(seen(xyxy, logit), targets, (64, 64))[0].item()
        assert losses["partial"] < 0.1 * losses["complete"]
        assert losses["partial, repeated"] > 0.5 * losses["complete"]

    def test_bins_loss_is_least_at_the_true_distance(self) -> None:
        where = Cells(torch.tensor([[40.0, 40]]), torch.tensor([8.0]))
        wanted = torch.tensor([[20.0, 24, 60, 64]])  # 2.5, 2, 2.5 and 3 cells
        bins = torch.full((1, 4, BINS), -20.0)
        for side, near in enumerate(((2, 3), (2,), (2, 3), (3,))):
            bins[0, side, list(near)] = 0.0
        right = bins_loss(bins, wanted, where).item()
        assert right == pytest.approx(np.log(2) / 2, abs=1e-3)
        assert bins_loss(bins.roll(1, dims=2), wanted, where).item() > right + 1
        assert torch.isfinite(bins_loss(bins, wanted * 1000, where)).all()

    def test_training_on_one_picture_finds_the_box(self) -> None:
        torch.manual_seed(0)
        net = load_person_detector(WEIGHTS).train()
        shown = np.full((64, 64, 3), 60, np.uint8)
        shown[8:56, 14:40] = (250, 200, 160)
        batch = torch.from_numpy(shown).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
        targets = truth_of(torch.tensor([14.0, 8, 40, 56])[None, None].repeat(2, 1, 1))
        groups = [{**group, "lr": 4e-4 * group["share"]} for group in parameter_groups(net, BACKBONE_RATE)]
        optimizer = torch.optim.AdamW(groups)
        losses = []
        for _ in range(45):
            dense = net(batch)
            loss = sum(detector_loss(dense, targets, (64, 64)), torch.zeros(()))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            losses.append(loss.item())
        best = dense.xyxy[0, dense.logit[0].argmax()]
        assert losses[-1] < 0.5 * losses[0]
        assert pair_iou(best, targets.xyxy[0, 0]).item() > 0.7
