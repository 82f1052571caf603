"""Sessions of ONNX Runtime, opened when they are needed and closed when the process forks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from mien.forks import before_fork, unforked
from mien.types import ModelError, first_line


class Session:
    """The opened network of a file, shared by the copies of its model.

    ``threads`` bounds those of ONNX Runtime, 0 takes as many as cores. They would stay behind in
    a forked process, which then waits for them when it ends: so parent and child each open the
    file again after a fork. ``initializers`` returns the arrays that the file declares as external
    data, by name, and must keep them: ONNX Runtime reads them where they are.
    """

    def __init__(
        self,
        path: Path,
        threads: int,
        initializers: Callable[[], Mapping[str, npt.NDArray[np.float32]]] | None = None,
    ) -> None:
        self.path, self.threads, self.initializers = path, threads, initializers
        self._opened: Any = None  # onnxruntime ships no types
        _sessions.add(self)

    def get(self) -> Any:
        """The session of ONNX Runtime; ModelError where the file cannot be loaded."""
        opened = self._opened
        if opened is None:
            with unforked():
                opened = self._opened = self._open()
        return opened

    def close(self) -> None:
        """End its threads; the next :meth:`get` opens the file again."""
        if self.threads != 1:  # with one there are none but the caller's
            self._opened = None

    def _open(self) -> Any:
        import onnxruntime as ort

        ort.disable_telemetry_events()  # where it was loaded before Mien
        options = ort.SessionOptions()
        options.log_severity_level = 4  # of errors, the exception tells
        options.intra_op_num_threads = self.threads
        # waiting threads sleep instead of spinning, so that other processes keep their cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self.initializers is not None:
            given = self.initializers()
            values = [ort.OrtValue.ortvalue_from_numpy(array) for array in given.values()]
            options.add_external_initializers(list(given), values)
        try:
            return ort.InferenceSession(
                str(self.path),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # which prints, and tries the same again
            )
        except Exception as error:  # onnxruntime raises its own unexported kinds
            reason = first_line(error)
            raise ModelError(
                f"{self.path}: expected an ONNX model, but it cannot be loaded ({reason})"
            ) from error


_sessions: Final[WeakSet[Session]] = WeakSet()


@before_fork
def _close_all() -> None:
    for session in list(_sessions):
        session.close()
