"""Puts this folder on the path of the tests below it."""

import signal

# In a background job of a shell it is ignored. So would the servers, and Ctrl-C not end them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
