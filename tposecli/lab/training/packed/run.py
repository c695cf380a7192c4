"""Train on packed people for some minutes: by their labels, and by the heatmaps of a teacher."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from tposecli.geometry.heatmaps import decode
from tposecli.geometry.keypoints import COCO
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.hub.download.options import Downloads
from tposecli.inference.backends.cpu import keep_memory
from tposecli.inference.runtime import resolve_device
from tposecli.lab.training.batches import Batch
from tposecli.lab.training.distributed import StopRequest, Team
from tposecli.lab.training.init_weights import load_initial_weights
from tposecli.lab.training.job import NO_AUGMENTATION, Augmentation, Recipe
from tposecli.lab.training.packed.pack import PackedPeople, read_packs
from tposecli.lab.training.packed.views import ViewMaker
from tposecli.lab.training.shared import LogCallback, check_new_run, save_weights
from tposecli.lab.training.state import TrainingState
from tposecli.lab.training.targets import heatmap_loss
from tposecli.models import build, find_spec
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import UsageError
from tposecli.utils.version import __version__

WEIGHTS: Final = "last.safetensors"
BEST: Final = "best.safetensors"
LOG: Final = "log.jsonl"
LEFT_SHOULDER, RIGHT_HIP = 5, 12
PCK: Final = 0.2
CHECK_BATCH: Final = 64
SEEN, CLEAN = 0, 1

RECIPE: Final = Recipe(
    optimizer="adamw", rate=1e-3, final_rate=2e-5, backbone=0.25, warm_up=200, weight_decay=0.03, clip=1.0,
    dropout=0.05, averaging=0.998,
)  # fmt: skip
VIEWS: Final = Augmentation(
    rotation=30.0, scale=0.28, shift=0.04, colour=0.55, blur=0.18, cut_out=0.4, neighbour=0.15, half_body=0.0
)


@dataclass(frozen=True)
class PackedJob:
    """A run.

    Attributes:
        packs: Files of people to train on.
        checks: Files of people to validate on.
        out: Folder of the checkpoint, the weights and the log.
        model: Name in the catalogue of the model to train.
        teacher: Name of a model that is imitated; None for none.
        init: Checkpoint with initial weights; None for random ones.
        minutes: Length of the run; over several calls with ``resume``, the sum of their times.
        steps: Length in steps instead; None for the minutes.
        check_minutes: Minutes between validations, at each of which a checkpoint is written.
        batch: Samples in a step.
        seed: Seeds everything random.
        device: As on the command line.
        resume: Go on from the checkpoint in ``out``.
        recipe: Optimizer, schedule and loss.
        views: How views vary.
        imitation: Weight of the teacher's part of the loss.
    """

    packs: Sequence[Path]
    checks: Sequence[Path]
    out: Path
    model: str = "transpose-s-a4"
    teacher: str | None = "transpose-m-a3"
    init: Path | None = None
    minutes: float = 9.0
    steps: int | None = None
    check_minutes: float = 1.0
    batch: int = 256
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    recipe: Recipe = field(default=RECIPE)
    views: Augmentation = field(default=VIEWS)
    imitation: float = 1.0


class Imitation(TrainingState):
    """The state of a training by labels and by a teacher; crops are (B, 2, H, W, 3): as seen, and undisturbed."""

    def __init__(self, net: PoseNet, job: PackedJob, team: Team, teacher: PoseNet | None) -> None:
        super().__init__(net, job.recipe, team, job.seed)
        self._teacher, self._imitation = teacher, job.imitation

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of some samples on the device."""
        maps = self.heatmaps(batch.crops[:, SEEN])
        loss = heatmap_loss(maps, batch.xy, batch.weight, self.recipe.sigma)
        if self._teacher is None:
            return loss
        with torch.no_grad(), self.autocast():
            wanted = self._teacher(self._teacher.normalize(batch.crops[:, CLEAN]))
        imitated: Tensor = (maps - wanted.float()).square().mean()
        return loss + self._imitation * 0.5 * imitated


def train_packed(job: PackedJob, log: LogCallback) -> Path:
    """Run a job until its time is over or it is stopped, and return the path of the weights.

    Args:
        job: What to train.
        log: Receives the progress lines.

    Raises:
        UsageError: The folder holds another run, or teacher and model do not fit.
        InputError: A file cannot be read, or there is nothing to resume from.
    """
    keep_memory()
    resumed = check_new_run(job.out, (WEIGHTS, BEST, LOG), job.resume)
    job.out.mkdir(parents=True, exist_ok=True)
    run = _Run(replace(job, resume=resumed), log)
    with StopRequest() as stop:
        run.train(stop)
    return job.out / WEIGHTS


class _Run:
    """A run in progress."""

    def __init__(self, job: PackedJob, log: LogCallback) -> None:
        self.job, self.log = job, log
        self.device = resolve_device(job.device)
        spec = find_spec(job.model)
        torch.manual_seed(job.seed)
        net = build(job.model, spec.input_hw, len(COCO.names))
        if job.init is not None and not job.resume:
            log(load_initial_weights(net, spec, str(job.init), Downloads(offline=True), _no_crops))
        self.state = Imitation(net, job, Team(self.device), self._load_teacher(spec.input_hw))
        self.make = ViewMaker(COCO, spec.input_hw, job.views)
        self.plain = ViewMaker(COCO, spec.input_hw, NO_AUGMENTATION)
        self.people = read_packs(job.packs).to(self.device)
        self.checks = read_packs(job.checks).to(self.device) if job.checks else None
        self.best = -1.0
        if job.resume:
            self.best = float(self.state.load(job.out)["best"])
        log(f"{len(self.people)} people, step {self.state.step}, {self.device}")

    def train(self, stop: StopRequest) -> None:
        """Train until the time is over, or a stop is requested."""
        state, job = self.state, self.job
        began, checked, first = time.monotonic() - state.seconds, state.seconds, state.step
        while self._progress() < 1 and not stop.number:
            state.advance(self._batch(state.step), self._progress())
            state.seconds = time.monotonic() - began
            if state.seconds - checked > job.check_minutes * 60:
                self._check((state.step - first) * job.batch / (state.seconds - checked))
                checked, first = state.seconds, state.step
        if state.step > first:
            self._check((state.step - first) * job.batch / max(state.seconds - checked, 1e-9))
        stop.raise_signal()

    def _progress(self) -> float:
        """Return the share of the run that is done, 0..1."""
        if self.job.steps is not None:
            return self.state.step / self.job.steps
        return self.state.seconds / (self.job.minutes * 60)

    def _batch(self, step: int) -> Batch:
        """Return the batch of a step, which depends on the seed and the step only."""
        generator = torch.Generator(self.device).manual_seed(self.job.seed * 1_000_003 + step)
        index = torch.randint(len(self.people), (self.job.batch,), generator=generator, device=self.device)
        views = self.make(self.people, index, generator)
        return Batch(torch.stack((views.seen, views.clean), dim=1), views.xy, views.weight)

    def _check(self, speed: float) -> None:
        """Validate the averaged weights, write them and the checkpoint, and say how it goes."""
        state, net = self.state, self.state.averaged_net
        loss, norm = state.pop_means()
        found = None if self.checks is None else correct_share(net, self.checks, self.plain)
        metadata = {"tool": f"tposecli {__version__}", "model": self.job.model, "step": state.step}
        facts = {**metadata, "input_hw": net.input_hw, **COCO.to_dict()}
        header = {key: json.dumps(value) for key, value in facts.items()}
        if found is not None and found > self.best:
            self.best = found
            save_weights(net, self.job.out / BEST, header)
        save_weights(net, self.job.out / WEIGHTS, header)
        state.save(self.job.out, {"best": self.best, "recipe": json.dumps(asdict(self.job.recipe))})
        row = {"step": state.step, "minutes": state.seconds / 60, "loss": loss, "norm": norm, "pck": found}
        with (self.job.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, "samples_per_second": speed}) + "\n")
        shown = "" if found is None else f", PCK@{PCK:g} {found:.3f}"
        self.log(f"step {state.step}, {state.seconds / 60:.1f} min, loss {loss:.6f}{shown}, {speed:.0f} samples/s")

    def _load_teacher(self, input_hw: tuple[int, int]) -> PoseNet | None:
        if self.job.teacher is None:
            return None
        teacher = load(resolve(self.job.teacher, None, Downloads(offline=True)))
        if teacher.input_hw != input_hw or teacher.final_layer.out_channels != len(COCO.names):
            raise UsageError(
                f"{self.job.teacher}: not a teacher for {self.job.model}, whose crops are {input_hw}; choose another"
            )
        placed: PoseNet = teacher.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed.eval().requires_grad_(False)


def _no_crops(count: int) -> Tensor:
    raise UsageError("--init: MoveNet's graph needs crops to start with; convert it by tpose train --init first")


@torch.inference_mode()
def correct_share(net: PoseNet, people: PackedPeople, make: ViewMaker) -> float:
    """Return PCK@0.2: the share of annotated joints found within 0.2 torsos; of people whose torso is annotated."""
    generator = torch.Generator(net.device)
    hits: list[Tensor] = []
    net.eval()
    for index in torch.split(torch.arange(len(people), device=net.device), CHECK_BATCH):
        views = make(people, index, generator)
        found = decode(net(net.normalize(views.clean).contiguous(memory_format=torch.channels_last)).float())[0]
        torso = (views.xy[:, LEFT_SHOULDER] - views.xy[:, RIGHT_HIP]).norm(dim=1, keepdim=True)
        known = (views.weight > 0) & (views.weight[:, [LEFT_SHOULDER, RIGHT_HIP]] > 0).all(dim=1, keepdim=True)
        hits.append(((found - views.xy).norm(dim=2) < PCK * torso)[known])
    joined = torch.cat(hits)
    return float(joined.float().mean()) if len(joined) else 0.0
