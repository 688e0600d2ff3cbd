"""The program that runs amqtt: ``python -m vedette.local.amqtt_main CONFIG.json``.

Started by `vedette.local.broker`; it ends in good order at SIGTERM, and when its parent is gone.
"""

import asyncio
import json
import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from amqtt.broker import Broker

from vedette.local.process import watch_parent

_log = logging.getLogger(__name__)


async def serve(config: dict[str, Any]) -> None:
    """Run the broker until SIGTERM or SIGINT.

    Parameters
    ----------
    config
        ``host``, ``port``, ``password_file`` and ``acl_file`` (empty: none).
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    files = {key: config[key] for key in ("password_file", "acl_file")}
    broker = Broker(
        {
            "listeners": {
                "default": {"type": "tcp", "bind": f"{config['host']}:{config['port']}"},
            },
            "plugins": {"vedette.local.amqtt_access.Access": files},
        }
    )
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main(arguments: list[str]) -> int:
    """Read the configuration and serve; warnings go to the log, which is standard error."""
    watch_parent()
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.captureWarnings(True)
    warnings.simplefilter("once")
    asyncio.run(serve(json.loads(Path(arguments[0]).read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
