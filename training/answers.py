"""What a network answers for crops as they stand, and how good that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mien.data.votes import majority, plurality
from mien.metrics import fit_temperature, probabilities
from mien.types import FloatArray
from training.examples import MEAN, STD, Examples
from training.networks import placed

HEADS = ("ferplus", "fer2013")


@torch.no_grad()
def outputs_of(
    net: nn.Module, images: Tensor, flip: bool = False, batch: int = 256
) -> dict[str, Tensor]:
    """float32 outputs for uint8 crops, on the CPU; computed where the network is.

    With ``flip`` the logits are means over the crop and its mirror image.
    """
    net.eval()
    device = next(net.parameters()).device
    results: dict[str, list[Tensor]] = {"ferplus": [], "fer2013": [], "landmarks": []}
    for chunk in torch.split(images, batch):
        x = (chunk.to(device).float() / 255 - MEAN) / STD
        x = x.to(memory_format=torch.channels_last)
        output = net(x)
        mirrored = net(x.flip(3)) if flip else output
        results["ferplus"].append((output.ferplus + mirrored.ferplus) / 2)
        results["fer2013"].append((output.fer2013 + mirrored.fer2013) / 2)
        results["landmarks"].append(output.landmarks)
    return {name: torch.cat(parts).cpu() for name, parts in results.items()}


def scores_of(net: nn.Module, data: Examples) -> dict[str, float]:
    """Accuracy of both heads and the landmark error in per cent of the eye distance."""
    out = outputs_of(net, data.images)
    label, kept = majority(data.votes.numpy())
    gap = (out["landmarks"] - data.landmarks).norm(dim=2).mean(dim=1)
    eyes = (data.landmarks[:, 6:8].mean(dim=1) - data.landmarks[:, 8:10].mean(dim=1)).norm(dim=1)
    right = (out["fer2013"].argmax(1) == data.labels).double()
    recalls = [right[data.labels == c].mean().item() for c in set(data.labels.tolist())]
    return {
        "fer2013": right.mean().item(),
        "fer2013_recall": float(np.mean(recalls)),
        "ferplus": float((out["ferplus"].argmax(1).numpy() == label)[kept].mean()),
        "landmark_error": (100 * gap / eyes)[data.landmarks_ok].mean().item(),
    }


def temperatures(logits: dict[str, FloatArray], public: Examples) -> dict[str, float]:
    """The temperature of each head, fitted on PublicTest."""
    answer, kept = plurality(public.votes.numpy())
    goals = {
        "ferplus": (np.eye(8)[answer], kept.astype(float)),
        "fer2013": (np.eye(7)[public.labels.numpy()], np.ones(len(public))),
    }
    return {head: fit_temperature(logits[head], *goals[head]) for head in HEADS}


def score(said: dict[str, FloatArray], public: Examples) -> str:
    """Accuracy of probabilities on PublicTest, by FER2013's labels and by FER+'s majority."""
    label, kept = majority(public.votes.numpy())
    fer2013 = (said["fer2013"].argmax(axis=1) == public.labels.numpy()).mean()
    ferplus = (said["ferplus"].argmax(axis=1) == label)[kept].mean()
    return f"fer2013 {fer2013:.4f}  ferplus {ferplus:.4f}"


def calibrated(net: nn.Module, public: Examples) -> tuple[dict[str, float], dict[str, FloatArray]]:
    """The temperatures that PublicTest gives a network, and what it then says of PublicTest.

    Both as means over each crop and its mirror image.
    """
    out = outputs_of(net, public.images, flip=True)
    logits = {head: out[head].double().numpy() for head in HEADS}
    heat = temperatures(logits, public)
    return heat, {head: probabilities(logits[head], heat[head]) for head in HEADS}


class Ensemble:
    """Teachers that are asked anew for every batch, one of them in turn.

    A teacher's answer stands for the mean of all, at the cost of one. They stand on ``device`` and
    compute in bf16 where ``halved``; their temperatures are fitted on PublicTest.
    """

    def __init__(
        self, nets: Sequence[nn.Module], public: Examples, device: torch.device, halved: bool
    ) -> None:
        self.nets = [placed(net, device).eval() for net in nets]
        self.halved = halved
        self.asked = 0
        self.heats: list[dict[str, float]] = []
        said: list[dict[str, FloatArray]] = []
        for net in self.nets:
            heat, answer = calibrated(net, public)
            self.heats.append(heat)
            said.append(answer)
            print(f"a teacher on PublicTest, with the mirror image: {score(answer, public)}")
        mean = {head: np.mean([each[head] for each in said], axis=0) for head in HEADS}
        print(f"{len(said)} teachers together: {score(mean, public)}", flush=True)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Probabilities ``[n, 8]`` and ``[n, 7]`` for normalised pixels ``[n, 1, 48, 48]``."""
        turn = self.asked % len(self.nets)
        net, heat = self.nets[turn], self.heats[turn]
        self.asked += 1
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.halved):
            output = net(x)
        return {h: (getattr(output, h).float() / heat[h]).softmax(dim=1) for h in HEADS}
