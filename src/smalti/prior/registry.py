"""The priors by name."""

from typing import Any

from smalti.registry import Registry

PRIORS: Registry[Any] = Registry("prior")
"""Modules that follow `smalti.types.Prior` and are built with their config."""
