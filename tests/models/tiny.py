"""Options that make each registered model small enough for a real pass in a test."""

from __future__ import annotations

from mien.models.torch.tiny import TINY

__all__ = ["TINY"]
