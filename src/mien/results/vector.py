"""Drawings as files: PNG at any scale, SVG and PDF, whose text and lines stay text and lines."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from mien.results.draw import data_url, png
from mien.results.drawing import (
    ASCENT,
    DESCENT,
    DPI,
    Bar,
    Colour,
    Drawing,
    Lines,
    Mark,
    Picture,
    Text,
    font,
)
from mien.types import ImageArray, InputError

KINDS: Final = ("png", "svg", "pdf")
LARGEST: Final = 20_000  # pixels, the side of a PNG
FINE: Final = 4  # pixels of a picture for one of the drawing, in files that are enlarged
FONT: Final = "Aileron"  # Pillow's own; its licence is CC0


def picture_kind(path: str | Path) -> str:
    """The kind of picture that a file's suffix means; InputError for another.

    >>> picture_kind("figure 2.PDF")
    'pdf'
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise InputError(f"{path}: expected a name ending in .png, .svg or .pdf; rename the output")
    return kind


def picture_file(drawing: Drawing, kind: str, scale: float = 1.0) -> bytes:
    """The drawing as a file of one of :data:`KINDS`.

    A PNG has ``scale`` pixels for one of the drawing's and says how many make an inch, 96 times
    ``scale``, so that it is printed at one size. SVG and PDF are enlarged without loss, and leave
    ``scale`` alone. Raises InputError for a scale that gives no picture or too large a one.

    >>> picture_file(Drawing(30, 20, (Text(0, 0, "why", 12),)), "pdf")[:8]
    b'%PDF-1.7'
    """
    longest = max(drawing.width, drawing.height)
    if not (scale > 0 and 1 <= longest * scale <= LARGEST):
        raise InputError(
            f"scale: expected above 0 and at most {LARGEST / longest:.3g}, which makes "
            f"{LARGEST:,} pixels, got {scale:g}; save as .svg or .pdf for any size"
        )
    if kind == "svg":
        return svg(drawing).encode()
    return pdf(drawing) if kind == "pdf" else png(drawing.raster(scale), dpi=DPI * scale)


def svg(drawing: Drawing) -> str:
    """The drawing as SVG, with its font inside."""
    wide, high = _number(drawing.width), _number(drawing.height)
    face = data_url(_font_file(), "font/ttf")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}" font-family="{FONT}, Helvetica, Arial, sans-serif">'
        f"<style>@font-face {{ font-family: {FONT}; src: url({face}) }}</style>"
        f'<rect width="{wide}" height="{high}" fill="#fff"/>'
    )
    return head + "\n".join(["", *(_svg_mark(mark) for mark in drawing.marks), "</svg>\n"])


def _svg_mark(mark: Mark) -> str:
    if isinstance(mark, Text):
        side = {"l": "start", "m": "middle", "r": "end"}[mark.anchor[0]]
        text = escape("".join(c if c.isprintable() else "\ufffd" for c in mark.text))
        place = f'x="{_number(mark.x)}" y="{_number(mark.baseline)}"'
        style = f'font-size="{_number(mark.size)}" fill="{_hex(mark.colour)}"'
        return f'<text {place} {style} text-anchor="{side}" xml:space="preserve">{text}</text>'
    if isinstance(mark, Bar):
        size = f'width="{_number(mark.x1 - mark.x0)}" height="{_number(mark.y1 - mark.y0)}"'
        place = f'x="{_number(mark.x0)}" y="{_number(mark.y0)}"'
        return f'<rect {place} {size} fill="{_hex(mark.colour)}"/>'
    if isinstance(mark, Picture):
        place = f'x="{_number(mark.x)}" y="{_number(mark.y)}"'
        size = f'width="{_number(mark.width)}" height="{_number(mark.height)}"'
        source = data_url(_jpeg(_fine(mark)), "image/jpeg")
        return f'<image {place} {size} preserveAspectRatio="none" href="{source}"/>'
    way = " ".join(_svg_way(part, mark.closed) for part in mark.parts)
    ink = f'stroke="{_hex(mark.colour)}" stroke-width="{_number(mark.width)}"'
    ends = 'stroke-linecap="round"'  # without them a single point would leave no dot
    return f'<path d="{way}" fill="none" {ink} stroke-opacity="{mark.opacity:g}" {ends}/>'


def _svg_way(part: Any, closed: bool) -> str:
    points = "L".join(f"{_number(x)} {_number(y)}" for x, y in part)
    return f"M{points}{'Z' if closed else ''}"


def pdf(drawing: Drawing) -> bytes:
    """The drawing as a PDF of one page, with its font inside; 96 pixels are an inch."""
    point = 72 / DPI
    objects: list[bytes] = [b"", b"", b"", b"", b"", b"", b""]  # numbered from 1
    images: list[bytes] = []
    faint: dict[str, int] = {}  # opacities, by the name of their state
    lines = [f"{point:g} 0 0 {-point:g} 0 {drawing.height * point:.3f} cm"]
    for mark in drawing.marks:
        if isinstance(mark, Picture):
            x, y, wide, high = mark.x, mark.y, mark.width, mark.height
            lines.append(f"q {wide:.3f} 0 0 {-high:.3f} {x:.3f} {y + high:.3f} cm")
            lines.append(f"/I{len(images)} Do Q")
            images.append(_pdf_image(_fine(mark)))
        else:
            lines += _pdf_mark(mark, faint)
    drawn = "/XObject << " + " ".join(f"/I{i} {8 + i} 0 R" for i in range(len(images))) + " >>"
    states = " ".join(f"/{name} << /CA {share / 100:g} >>" for name, share in faint.items())
    box = f"[0 0 {drawing.width * point:.3f} {drawing.height * point:.3f}]"
    resources = f"<< /Font << /F 5 0 R >> {drawn} /ExtGState << {states} >> >>"
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R /Resources {resources} >>"
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    objects[2] = page.encode()
    objects[3] = _pdf_stream("\n".join(lines).encode("latin-1"))
    objects[4:7] = _pdf_font()
    return _pdf_file([*objects, *images])


def _pdf_mark(mark: Text | Bar | Lines, faint: dict[str, int]) -> Iterable[str]:
    ink = " ".join(f"{v / 255:.3f}" for v in mark.colour)
    if isinstance(mark, Text):
        raw = mark.text.encode("cp1252", "replace")
        text = "".join(chr(b) if b >= 32 and b not in b"\\()" else f"\\{b:03o}" for b in raw)
        place = f"1 0 0 -1 {mark.left:.3f} {mark.baseline:.3f} Tm"  # upright: y grows downwards
        return [f"BT /F {mark.size:g} Tf {ink} rg {place} ({text}) Tj ET"]
    if isinstance(mark, Bar):
        size = f"{mark.x1 - mark.x0:.3f} {mark.y1 - mark.y0:.3f}"
        return [f"{ink} rg {mark.x0:.3f} {mark.y0:.3f} {size} re f"]
    share = round(100 * mark.opacity)
    faint[f"S{share}"] = share
    ways = []
    for part in mark.parts:
        (x, y), *others = np.asarray(part).tolist()
        ways.append(f"{x:.3f} {y:.3f} m " + " ".join(f"{a:.3f} {b:.3f} l" for a, b in others))
    end = " h " if mark.closed else " "
    # round ends: without them a single point would leave no dot
    return ["q", f"/S{share} gs {ink} RG {mark.width:g} w 1 J", end.join([*ways, ""]) + "S", "Q"]


def _pdf_image(image: ImageArray) -> bytes:
    high, wide = image.shape[:2]
    what = f"/Type /XObject /Subtype /Image /Width {wide} /Height {high}"
    how = "/ColorSpace /DeviceRGB /BitsPerComponent 8"
    return _pdf_stream(_jpeg(image), f"{what} {how}", "DCTDecode")


def _pdf_font() -> list[bytes]:
    """The font, how it is described, and its file: objects 5, 6 and 7."""
    codes = [bytes([code]).decode("cp1252", "replace") for code in range(32, 256)]
    widths = " ".join(f"{font(1000).getlength(c):.0f}" for c in codes)
    kind = f"<< /Type /Font /Subtype /TrueType /BaseFont /{FONT} /Encoding /WinAnsiEncoding"
    high, low = round(1000 * ASCENT), round(-1000 * DESCENT)
    shape = f"/FontBBox [-200 {low} 1200 {high}] /Ascent {high} /Descent {low} /CapHeight 700"
    data = _font_file()
    return [
        f"{kind} /FirstChar 32 /LastChar 255 /Widths [{widths}] /FontDescriptor 6 0 R >>".encode(),
        f"<< /Type /FontDescriptor /FontName /{FONT} /Flags 32 {shape} /ItalicAngle 0 /StemV 80 "
        "/FontFile2 7 0 R >>".encode(),
        _pdf_stream(data, f"/Length1 {len(data)}"),
    ]


def _pdf_stream(data: bytes, more: str = "", kind: str = "FlateDecode") -> bytes:
    packed = zlib.compress(data) if kind == "FlateDecode" else data
    head = f"<< /Length {len(packed)} /Filter /{kind} {more} >>\nstream\n"
    return head.encode() + packed + b"\nendstream"


def _pdf_file(objects: list[bytes]) -> bytes:
    """The objects, numbered from 1, and where each of them begins."""
    found = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    starts = []
    for i, content in enumerate(objects):
        starts.append(len(found))
        found += f"{i + 1} 0 obj\n".encode() + content + b"\nendobj\n"
    table = len(found)
    count = len(objects) + 1
    found += f"xref\n0 {count}\n0000000000 65535 f \n".encode()
    found += "".join(f"{start:010d} 00000 n \n" for start in starts).encode()
    found += f"trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(found)


@cache
def _font_file() -> bytes:
    """Pillow's own font as a TrueType file."""
    return bytes(getattr(font(12), "font_bytes", b""))


def _fine(mark: Picture) -> ImageArray:
    return mark.paint(max(round(mark.width * FINE), 1), max(round(mark.height * FINE), 1))


def _jpeg(image: ImageArray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{v:02x}" for v in colour)
