"""Configs of the training loop and of the optimizer. Imports no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from smalti.config import Config, Precision

RUN_CONFIG_FILE = "config.yaml"
"""Name of the file with the settled config, in the folder of a run."""

Track = Literal["trackio", "wandb"] | None


class TrainingConfig(Config):
    """Options of the training loop: length, batch and intervals."""

    total_steps: int = Field(default=2000, ge=1)
    """Length of the run in steps. A step is one batch."""
    batch_size: int = Field(default=16, ge=1)
    """Images per step, over all processes together."""
    accumulation_steps: int = Field(default=1, ge=1)
    """Number of chunks in which a batch is computed, one after the other, to save memory."""
    activation_checkpointing: bool = False
    """Whether to keep only the inputs of each block of the network for the backward pass, which
    computes the other activations again. It trains the same, with about half of the activations'
    memory or less, and up to a third more operations a step. A run may go on with the other
    value."""
    compile: bool = False
    """Whether to compile the blocks of the network with torch.compile, which may make steps faster.
    It is meant for long runs on graphics cards, though it was not tried on one: compare the images
    a second of some hundred steps with and without. On a processor it was slower. The first steps
    take minutes. It needs a C++ compiler on a processor, and triton and a C compiler on a card. It
    computes the same but for rounding, and dropout draws other numbers. A run may go on with the
    other value, which is noted in its metrics."""
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """Decay of the averaged weights, which are evaluated and saved; 0 is no average."""
    log_steps: int = Field(default=20, ge=1)
    """Steps between lines of metrics.jsonl."""
    eval_steps: int = Field(default=250, ge=1)
    """Steps between evaluations, on held-out images or, without any, on training images."""
    eval_images: int = Field(default=256, ge=1)
    """Most images of each evaluation."""
    save_steps: int = Field(default=250, ge=1)
    """Steps between checkpoints."""
    picture_steps: int = Field(default=250, ge=1)
    """Steps between pictures."""
    device: str = "auto"
    """Device, such as cpu, cuda:1 or mps. With several processes it is auto, cpu or cuda, with a
    card for each."""
    precision: Precision = "auto"
    """Number format; auto is bfloat16 if the hardware has it, else float32."""
    workers: int = Field(default=0, ge=0)
    """Number of processes that decode images; 0 decodes in the training process. The batches are
    the same."""

    track: Track = None
    """Show the run in trackio, on this machine, or in wandb, written into the run's folder unless
    the environment variable WANDB_MODE is online. null does neither. TensorBoard's files are always
    written if it is installed."""

    @property
    def chunk_images(self) -> int:
        """Number of images of the largest chunk of a batch."""
        return -(-self.batch_size // self.accumulation_steps)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.accumulation_steps > self.batch_size:
            raise ValueError(
                f"accumulation-steps {self.accumulation_steps} is more than the batch-size "
                f"{self.batch_size}"
            )
        return self


class OptimizerConfig(Config):
    """Options of AdamW, with warm-up and cosine decay of the learning rate.

    The learning rate is used as written: it is not multiplied by batch size or devices.
    """

    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """Highest learning rate, reached after the warm-up."""
    final_factor: float = Field(default=0.1, ge=0, le=1)
    """Learning rate of the last step relative to the highest; 1 keeps it constant."""
    warmup_steps: int = Field(default=50, ge=0)
    """Steps over which the learning rate rises from 0."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the gradient's running mean."""
    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the squared gradient's running mean."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay, on matrices, convolutions and embeddings."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradients, to which larger gradients are scaled down."""
