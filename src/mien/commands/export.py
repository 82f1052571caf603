"""``mien export``: a run as one ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from mien.commands.terminal import say
from mien.extras import need
from mien.types import InputError

RunFolder = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="ONNX file to write.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Quantise; needs --data.")]
DataFile = Annotated[Path | None, typer.Option(help="The run's Parquet file.")]


def export(run: RunFolder, output: Output, int8: Int8 = False, data: DataFile = None) -> None:
    """Write a run as ONNX with its card, for mien predict --model FILE."""
    for package in ("torch", "onnx", "onnxscript", "pyarrow"):
        need(package, "train", "mien export")
    from mien.runs.export import export as write
    from mien.train.calibration import calibration_pixels

    pixels = None
    if int8:
        if data is None:
            raise InputError("int8: expected the run's data for calibration, got none; give --data")
        pixels = calibration_pixels(run, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        written = write(run, output, calibration=pixels)
    say(f"model: {written}")
