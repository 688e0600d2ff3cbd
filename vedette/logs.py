"""Log lines of a node's processes: one line each, ``key=value``, to stderr."""

import logging
import sys
import time

FORMAT = "%(asctime)s %(levelname)s %(vedette)s %(message)s"
"""Time (UTC), level, process, then what happened."""


class _Named(logging.Filter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def filter(self, record: logging.LogRecord) -> bool:
        record.vedette = self._process
        return True


class _OneLine(logging.Formatter):
    """A traceback becomes one line as well: the last call and the error."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name that logging calls
        del ei
        return ""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).rstrip("\n").replace("\n", " | ")
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = ""
            if trace is not None:
                where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            line += f" error={type(error).__name__}: {error}{where}".replace("\n", " | ")
        return line


def set_up(process: str, level: int = logging.INFO) -> logging.Logger:
    """Send this process's log to stderr and return its logger.

    Parameters
    ----------
    process
        Its name in every line.
    level
        Lowest level shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter = _OneLine(FORMAT, "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(_Named(process))
    root = logging.getLogger("vedette")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
    return root.getChild(process)
