"""Connections, and the one place where the driver's errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from model.errors import StorageError

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_S = 10
"""Seconds to wait for a server that does not answer."""

APPLICATION = "vedette"


class StorageUnreachable(StorageError):  # noqa: N818 - a state of the database, named as one
    """The database is away, or broke off: what was asked may be tried again later."""


def place(dsn: str) -> str:
    """Host and database of a connection string, without its secrets, for messages."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "database.dsn"
    host = parts.get("host") or "local socket"
    return f"database {parts.get('dbname') or 'postgres'} at {host}"


@contextmanager
def storage_errors(dsn: str, doing: str = "") -> Iterator[None]:
    """Turn the driver's errors into ours.

    Parameters
    ----------
    dsn
        Whose errors they are.
    doing
        What was being done, for the message.

    Raises
    ------
    StorageUnreachable
        If the connection could not be made or broke off, or the server gave up for a reason that
        passes (shutdown, deadlock, full disk).
    StorageError
        For everything else.
    """
    where = f"{place(dsn)}: {doing}: " if doing else f"{place(dsn)}: "
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StorageUnreachable(where + _line(error)) from error
    except psycopg.Error as error:
        raise StorageError(where + _line(error)) from error


def connect(dsn: str, *, autocommit: bool = False) -> Connection:
    """Open a connection.

    Parameters
    ----------
    dsn
        Connection string (libpq's key words or URL).
    autocommit
        Every statement is a transaction of its own.

    Raises
    ------
    StorageUnreachable
        If the server is away or refuses.
    StorageError
        If `dsn` is no connection string.
    """
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's own words may repeat the string, password and all.
        raise StorageError("database.dsn: not a connection string or URL of libpq") from None
    with storage_errors(dsn):
        return psycopg.connect(
            dsn,
            autocommit=autocommit,
            connect_timeout=CONNECT_S,
            application_name=APPLICATION,
        )


def _line(error: psycopg.Error) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
