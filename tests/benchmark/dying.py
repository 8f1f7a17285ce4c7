"""A job that dies without a word of its own, as when the kernel runs out of memory."""

import os
import signal
import sys

sys.stdin.read()
sys.stderr.write("some last words\n")
sys.stderr.flush()
os.kill(os.getpid(), signal.SIGKILL)
