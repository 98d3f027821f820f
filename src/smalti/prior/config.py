"""Config of a prior of either kind. Imports no torch."""

from typing import Annotated

from pydantic import Field

from smalti.prior.gpt.config import GPTConfig
from smalti.prior.pixelsnail.config import PixelSNAILConfig

PriorConfig = Annotated[GPTConfig | PixelSNAILConfig, Field(discriminator="kind")]
