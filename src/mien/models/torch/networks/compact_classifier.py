"""The built-in model's trunk as a classifier like the others: one head, logits only."""

from __future__ import annotations

from torch import Tensor, nn

from mien.models.torch.anatomy import with_parameters
from mien.models.torch.networks.compact import CompactNet
from mien.models.torch.registry import register
from mien.models.torch.spec import ClassMap, Layer, Spec
from mien.vision.geometry import Preprocess


class CompactClassifier(nn.Module):
    """The trunk of :class:`mien.models.torch.networks.compact.CompactNet` and one linear layer."""

    def __init__(self, classes: int, net: CompactNet) -> None:
        super().__init__()
        self.trunk = net.trunk
        self.dropout = net.dropout
        self.head = nn.Linear(net.fer2013.in_features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, classes]`` of grey pixels ``[N, 1, size, size]``."""
        logits: Tensor = self.head(self.dropout(self.trunk(x).mean(dim=(2, 3))))
        return logits


def build(
    classes: int,
    *,
    size: int = 48,
    stem: int = 32,
    widths: tuple[int, ...] = (64, 128, 256),
    blocks: tuple[int, ...] = (1, 1, 2),
    dropout: float = 0.3,
) -> tuple[nn.Module, Spec]:
    """Our compact network; the weights of a trained ``CompactNet`` load, with a new head."""
    net = CompactClassifier(classes, CompactNet(stem, widths, blocks, dropout))
    last = f"trunk.{len(net.trunk) - 1}"
    return net, Spec(
        "",
        classes,
        "none: Mien's own",
        Preprocess(size=size, channels=1, mean=(0.5,), std=(0.25,)),
        layers=(Layer(last),),
        output_layers=("head",),
        stages=with_parameters("trunk", net.trunk),
        class_map=ClassMap(last, "head"),
        added=("head",),
        dropped=("ferplus", "fer2013", "locate", "landmarks", "template"),
    )


register(
    "compact",
    build,
    {6: 3_120_614, 7: 3_120_871},
    tiny={"stem": 8, "widths": (8, 8, 8), "blocks": (0, 0, 1)},
)
