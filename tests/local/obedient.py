"""A child that ends in good order at SIGTERM."""

import signal

from vedette.local.process import watch_parent

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
watch_parent()
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
print("in good order", flush=True)
