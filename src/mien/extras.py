"""Optional packages: imported where they are needed, and named with what to do where they lack."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shlex
import warnings
from importlib import metadata
from typing import Any
from urllib.parse import unquote, urlparse

from mien.types import MissingExtraError


def need(package: str, extra: str, what: str = "this") -> Any:
    """The module ``package`` of an extra; MissingExtraError says how to install it.

    ``what`` needs it, in words. Warnings at import are left out: they speak to the package's own
    authors.

    >>> need("json", "batch").dumps([1])
    '[1]'
    >>> need("no_such_package", "batch", "batch work")
    Traceback (most recent call last):
    mien.types.MissingExtraError: batch work needs the package 'no_such_package', ...
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(package)
    except ImportError as error:
        raise missing(package, extra, what, error) from error


def missing(package: str, extra: str, what: str, error: ImportError) -> MissingExtraError:
    """The error for a package that cannot be imported: absent, or there and broken."""
    top = package.partition(".")[0]
    state = f"which cannot be imported ({error})" if present(top) else "which is not installed"
    return MissingExtraError(f"{what} needs the package {top!r}, {state}; run: {install(extra)}")


def present(package: str) -> bool:
    """Whether a package could be imported, without importing it.

    >>> present("json"), present("no_such_package")
    (True, False)
    """
    try:
        return importlib.util.find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def install(extra: str) -> str:
    """The command that adds an extra to this Mien, from where it was installed.

    A Mien from a checkout or from a wheel's file is named by that place: the package index may
    not know it.
    """
    return f"pip install {shlex.quote(f'{_origin()}[{extra}]')}"


def _origin() -> str:
    """What pip was given to install this Mien: a folder, a wheel's file, or its name."""
    try:
        text = metadata.distribution("mien").read_text("direct_url.json")
        address = urlparse(str(json.loads(text or "{}").get("url", "")))
    except (metadata.PackageNotFoundError, ValueError):
        return "mien"
    return unquote(address.path) if address.scheme == "file" else "mien"
