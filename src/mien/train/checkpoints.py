"""Checkpoints that a stop at any moment leaves readable, and where a training goes on from."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from mien.files import cannot_write, whole_file

LAST: Final = "last.ckpt"  # weights and the state of the training after the last epoch
BEFORE: Final = "before.ckpt"  # the same, an epoch earlier
BEST: Final = "best.ckpt"  # the weights that were best on validation images so far
ALL: Final = (LAST, BEFORE, BEST)
PARTS: Final = ("epoch", "global_step", "state_dict", "loops", "optimizer_states", "callbacks")

log = logging.getLogger(__name__)


class WholeFiles(TorchCheckpointIO):
    """Lightning's checkpoints, written beside their place and put there in one step.

    Lightning's own go through the system's folder for temporary files, and from there to another
    disk byte by byte. The last checkpoint but one is kept.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint whole; InputError where the disk is full or cannot be written."""
        del storage_options  # of other file systems than this machine's
        target = Path(path)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with whole_file(target) as part:
            with part.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            if target.name == LAST and target.exists():
                target.replace(target.with_name(BEFORE))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint of tensors and plain values; a pickle that holds code is refused."""
        del weights_only  # never otherwise
        found: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return found


def resumable(folder: Path, net: nn.Module) -> Path | None:
    """The checkpoint to go on from; None where the training starts from its beginning.

    Files that cannot be read are named in the log and removed, and the one before counts.
    """
    best, last, before = (folder / name for name in (BEST, LAST, BEFORE))
    if best.exists() and (why := _fault(best, net, ("state_dict",))):
        _drop(best, why, "the training starts again from its beginning")
        for path in (last, before):
            path.unlink(missing_ok=True)
    if last.exists() and (why := _fault(last, net)):
        known = before.exists() and not _fault(before, net)
        way = "the epoch before" if known else "its beginning"
        _drop(last, why, f"the training goes on from {way}")
        if not known:
            before.unlink(missing_ok=True)
    if not last.exists() and before.exists() and not _fault(before, net):
        before.replace(last)
    return last if last.exists() else None


def _drop(path: Path, why: str, what: str) -> None:
    log.warning("%s: cannot be read (%s); %s", path, why, what)
    try:
        path.unlink()
    except OSError as error:
        raise cannot_write(path, error) from error


def _fault(path: Path, net: nn.Module, parts: tuple[str, ...] = PARTS) -> str:
    """What is wrong with a checkpoint of this network; nothing where it can be taken up."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle, torch and the system each raise their own kinds
        return str(error).splitlines()[0][:120] if str(error) else "it is cut short"
    if not isinstance(found, dict) or not all(name in found for name in parts):
        return "it is no checkpoint of a training"
    state = found["state_dict"]
    own = {f"net.{name}": value.shape for name, value in net.state_dict().items()}
    if {name: getattr(value, "shape", None) for name, value in state.items()} != own:
        return "it is the checkpoint of another network"
    return ""


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The state of the network that was best on validation images."""
    state = torch.load(folder / BEST, map_location="cpu", weights_only=True)["state_dict"]
    return {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
