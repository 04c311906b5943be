import _thread
import signal


def post_worker_init(worker):
    from flask_app import channel

    for number in signal.SIGTERM, signal.SIGINT, signal.SIGQUIT:
        def handler(*args, before=signal.getsignal(number)):
            # Not in the handler, which may interrupt whoever holds a lock. Not with
            # threading.Thread, which under gevent waits until it runs.
            _thread.start_new_thread(channel.close, ())
            before(*args)
        signal.signal(number, handler)
