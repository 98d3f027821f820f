"""The loop of both stages: step, log, evaluate, save. It does not know the models of a stage.

All intervals count steps: a step is one batch for the generator or the prior.
"""

import contextlib
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from smalti.compute import choose_compute
from smalti.config import InputError
from smalti.distributed import from_first, largest, mean_over_processes, rank, together
from smalti.health.findings import in_words
from smalti.health.history import History, Line
from smalti.health.run_images import GROUP as RUN_IMAGES
from smalti.health.run_images import RunImages
from smalti.model_folder import BEST, save_model
from smalti.randomness import generator_for
from smalti.sharding import own_part, whole_weights
from smalti.training.checkpoint import Counters, newest_step, resume, save_checkpoint
from smalti.training.config import TrainingConfig
from smalti.training.learner import Keyed, Learner
from smalti.training.log import RunLog, append_line, read_metrics, resume_command, say
from smalti.training.pace import Pace
from smalti.training.run_lock import check_held
from smalti.training.stop_signals import StopSignals
from smalti.words import counted

B = TypeVar("B", bound=Keyed)

MAX_FAILED_SAVES = 3

log = logging.getLogger(__name__)


class StepScalars(NamedTuple):
    """Losses and norms of a step by name, on the device, and the paths of its images."""

    step: int
    keys: Sequence[str]
    scalars: Mapping[str, Tensor]


class NotFiniteError(InputError):
    """A loss or gradient became NaN or infinite; the last good checkpoint is kept."""


class Stopped(Exception):
    """A signal stopped the run in a folder, and everything is saved."""

    def __init__(self, signal_number: int, folder: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number, self.folder = signal_number, folder


class Trainer(Generic[B]):
    """Trains to the last step, from the run's newest checkpoint if there is one.

    Several processes take the same steps, each with its share of the batches. Process 0 alone
    draws and saves, and the others wait for it.

    `batches` gives endless batches from a step on, and must be a pure function of that step. The
    randomness of a step is a function of the step and the seed. After `early_stop` evaluations in a
    row without a lower score the run ends; None trains to the last step. `after_save` is called in
    process 0 after each checkpoint of a run that goes on; the others wait for it.
    """

    def __init__(
        self,
        learner: Learner[B],
        batches: Callable[[int], Iterator[B]],
        config: TrainingConfig,
        folder: Path,
        seed: int,
        images: RunImages,
        early_stop: int | None = None,
        after_save: Callable[[], object] | None = None,
    ) -> None:
        self.learner, self.batches, self.config = learner, batches, config
        self.folder, self.seed, self.images, self.early_stop = folder, seed, images, early_stop
        self._after_save = after_save or (lambda: None)
        self.checkpoints = folder / "checkpoints"
        self.counters = Counters()
        self._failed_saves = 0
        self._pace = Pace(images_done=0)
        self._unchecked: list[StepScalars] = []

    def run(self) -> Counters:
        """Train, and return the counters at the end.

        Raises:
            Stopped: SIGINT, SIGTERM or SIGUSR1 stopped the run, after saving.
            NotFiniteError: a number is not finite; the message names step, term and batch.
            InputError: the disk refused several checkpoints in a row, or the last one; or all
                checkpoints are damaged, or not all processes see the same ones.
        """
        start = self._resume()
        batch_size, total_steps = self.config.batch_size, self.config.total_steps
        with together():
            run_log = RunLog(self.folder, total_steps, start, batch_size, self.config.track)
        with StopSignals() as stop, run_log:
            if RunImages.last(self._lines()) != self.images:
                run_log.line(start, RUN_IMAGES, self.images.line)
            batches = self.batches(start)
            self._pace = Pace(start * batch_size)
            while self.counters.step < total_steps and not self._has_stopped_early():
                with self._pace.waiting(), together():
                    batch = next(batches)
                self._one_step(batch, run_log)
                # A signal to one process stops all of them, after the same step.
                stopped_by = largest(stop.asked())
                if stopped_by:
                    self._save(must=True)
                    raise Stopped(stopped_by, self.folder)
        if self._has_stopped_early():
            say(self._early_stop_in_words())
        for line in in_words(self.learner.examine(self._lines())):
            say(f"health: {line}")
        return self.counters

    def _has_stopped_early(self) -> bool:
        """Whether early stopping ends the run; a resumed run knows it from its checkpoint."""
        if self.early_stop is None or self.counters.step >= self.config.total_steps:
            return False
        return self.counters.without_gain >= self.early_stop

    def _early_stop_in_words(self) -> str:
        counters = self.counters
        best = "No score was a number, so no model is the best"
        if counters.best_step >= 0:
            best = f"The best model is that of step {counters.best_step}, in checkpoints/best"
        return (
            f"stopped early at step {counters.step} of {self.config.total_steps}: "
            f"{counted(counters.without_gain, 'evaluation')} without gain. {best}; to train "
            f"on: {resume_command(self.folder)} --training.early-stop null"
        )

    def _resume(self) -> int:
        """Go on from the newest checkpoint; returns its step, or 0."""
        with together():
            self.counters = resume(self.checkpoints, self.learner.state()) or self.counters
        step = self.counters.step
        newest = largest(step)
        with together():
            if step != newest:
                raise InputError(
                    f"{self.checkpoints} has step {newest} for one process and {step} for another: "
                    "all machines must see the same folder"
                )
        self.learner.set_step(step)
        if step:
            say(f"resuming from step {step}")
        return step

    def _one_step(self, batch: B, run_log: RunLog) -> None:
        started = time.monotonic()
        with self._randomness_of_step():
            scalars = self.learner.step(batch)
        self.counters.step += 1
        step, last = self.counters.step, self.counters.step == self.config.total_steps
        self._unchecked.append(StepScalars(step, batch.keys, scalars))
        run_log.advance()
        if last or step % self.config.log_steps == 0:
            self._log(run_log, scalars)
        with self._pace.paused():
            self._evaluate_and_save(run_log, last, started)

    def _evaluate_and_save(self, run_log: RunLog, last: bool, started: float) -> None:
        """Evaluate, draw and save at their intervals, in a step that began at `started`."""
        step = self.counters.step
        if last or step % self.config.eval_steps == 0:
            self._evaluate(run_log)
            self._examine(run_log)
        last = last or self._has_stopped_early()
        if last or step % self.config.picture_steps == 0:
            with self.learner.drawing():
                from_first(lambda: self._draw(run_log))
        self.counters.seconds += time.monotonic() - started
        if last or step % self.config.save_steps == 0:
            self._save(must=last)
            if not last:
                from_first(self._after_save)

    @contextlib.contextmanager
    def _randomness_of_step(self) -> Iterator[None]:
        """Context that seeds dropout and the like by the step, so that no state must be saved."""
        # A run on the CPU leaves graphics cards alone, which may be full.
        started_cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        devices = range(torch.cuda.device_count()) if started_cuda else ()
        with torch.random.fork_rng(devices):
            torch.manual_seed(generator_for(self.seed, self.counters.step).initial_seed())
            yield

    def _log(self, run_log: RunLog, scalars: Mapping[str, Tensor]) -> None:
        self._check_finite()
        from_first(lambda: check_held(self.folder))
        means = mean_over_processes(torch.stack([value.float() for value in scalars.values()]))
        values = dict(zip(scalars, means.tolist(), strict=True))
        pace = self._pace.lap(self.counters.step * self.config.batch_size)
        times = {"seconds": round(self.counters.seconds, 3)} | pace
        run_log.scalars(self.counters.step, "train", values | times)
        shown = {name: values[name] for name in self.learner.shown if name in values}
        run_log.progress(self.counters.step, shown)

    def _evaluate(self, run_log: RunLog) -> None:
        self._check_finite()
        values = dict(self.learner.evaluate())
        score = values.pop("score")
        step, comparable_from = self.counters.step, self.learner.comparable_from()
        run_log.scalars(step, "eval", values)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        say(f"{self.images.scored} at step {step}: {shown}")
        is_first = self.counters.best_step < comparable_from <= step
        has_gained = math.isfinite(score) and (is_first or score < self.counters.best_score)
        if not math.isfinite(score):
            log.warning("the score at step %d is %s: it is never the best", step, score)
        self.counters.without_gain = 0 if has_gained else self.counters.without_gain + 1
        if has_gained:
            model = self.learner.model()
            weights, best = whole_weights(model.module), self.checkpoints / BEST
            save = partial(save_model, best, model.kind, model.config, weights)
            if self._guarded(lambda: from_first(save)):
                self.counters.best_step, self.counters.best_score = step, score

    def _draw(self, run_log: RunLog) -> None:
        for name, picture in self.learner.pictures().items():
            run_log.picture(self.counters.step, name, picture)

    def _lines(self) -> Sequence[Line]:
        """The run's metrics so far, which process 0 reads for all processes."""
        return from_first(lambda: read_metrics(self.folder))

    def _examine(self, run_log: RunLog) -> None:
        """Report new findings, and apply remedies if the config allows it."""
        step, lines = self.counters.step, self._lines()
        findings = self.learner.examine(lines)
        known = History(lines).last_findings()
        for finding in findings:
            if finding.kind not in known:
                say(f"health: {finding.in_words}")
        run_log.flags = [finding.flag for finding in findings]
        run_log.line(step, "health", {"findings": [finding.kind for finding in findings]})
        with self._randomness_of_step():
            treatments = self.learner.treat(findings)
        for treatment in treatments:
            say(f"remedy at step {step}: {treatment.change}")
            run_log.line(step, "remedy", asdict(treatment))

    def _save(self, must: bool) -> None:
        self._check_finite()
        with together():
            self._check_weights()
        state, model = self.learner.state(), self.learner.model()
        self._guarded(lambda: save_checkpoint(self.checkpoints, state, model, self.counters), must)

    def _guarded(self, save: Callable[[], object], must: bool = False) -> bool:
        """Save, in all processes; returns whether it succeeded.

        A full disk must not end a long run at once: it may be cleared before the next save.
        """
        from_first(lambda: check_held(self.folder))
        try:
            save()
        except InputError as error:
            self._failed_saves += 1
            if must or self._failed_saves >= MAX_FAILED_SAVES:
                raise
            log.warning("%s; training goes on, older checkpoints are kept", error)
            return False
        self._failed_saves = 0
        return True

    def _check_finite(self) -> None:
        """Check the scalars of all steps since the last check."""
        unchecked, self._unchecked = self._unchecked, []
        with together():
            if unchecked:
                self._check_scalars(unchecked)

    def _check_scalars(self, unchecked: Sequence[StepScalars]) -> None:
        # One transfer from the device for all of them.
        rows = [torch.stack([v.float() for v in scalars.values()]) for _, _, scalars in unchecked]
        if bool(torch.cat(rows).isfinite().all()):
            return
        for (step, keys, scalars), row in zip(unchecked, rows, strict=True):
            for name, value in zip(scalars, row.tolist(), strict=True):
                if not math.isfinite(value):
                    raise self._not_finite(
                        name, f"{name} became {value} at step {step}; batch: {', '.join(keys)}"
                    )

    def _check_weights(self) -> None:
        """Refuse to save infinite weights, which a step with a finite loss may cause."""
        for name, module in self.learner.state().modules.items():
            weights = map(own_part, module.state_dict().values())
            if not all(bool(tensor.isfinite().all()) for tensor in weights):
                raise self._not_finite(
                    name, f"weights of {name} became infinite or NaN by step {self.counters.step}"
                )

    def _not_finite(self, name: str, what: str) -> NotFiniteError:
        """Write the end of the run into its metrics; returns an error with advice.

        `name` is the loss, norm or network that is not finite, and `what` says so in a sentence.
        """
        step = newest_step(self.checkpoints)
        again = f"No checkpoint was saved yet, so {resume_command(self.folder)} begins anew"
        if step:
            again = f"{resume_command(self.folder)} goes on from the checkpoint of step {step}"
        optimizer = "discriminator-optimizer" if "discriminator" in name else "optimizer"
        advice = f"a lower --{optimizer}.learning-rate"
        if choose_compute(self.config.device, self.config.precision).dtype != torch.float32:
            advice += " or --training.precision float32"
        if rank() == 0:
            # Of a later step than the checkpoint's: a run that goes on drops the line.
            line = {"what": what, "advice": advice}
            append_line(self.folder, max(self.counters.step, step + 1), "not_finite", line)
        return NotFiniteError(f"{what}. {again}; give it {advice}")
