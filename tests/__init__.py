"""Folders mirror the packages of ``tposecli``; ``support`` has helpers, ``studies`` measurements that print tables."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
