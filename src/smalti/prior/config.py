"""Config of a prior of any kind. Imports no torch."""

from typing import Annotated

from pydantic import Field

from smalti.prior.gpt.config import GPT2Config, GPTConfig
from smalti.prior.local.config import LocalConfig
from smalti.prior.pixelsnail.config import PixelSNAILConfig

PriorConfig = Annotated[
    GPT2Config | GPTConfig | LocalConfig | PixelSNAILConfig, Field(discriminator="kind")
]
