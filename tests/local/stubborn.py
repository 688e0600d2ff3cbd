"""A child that does not care for SIGTERM."""

import signal
import threading

from vedette.local.process import watch_parent

signal.signal(signal.SIGTERM, signal.SIG_IGN)
watch_parent(grace_s=0.3)
print("ready", flush=True)
threading.Event().wait(600)
