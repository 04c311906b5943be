"""gunicorn reads this file by itself: gunicorn --threads=50 flask_app:app"""

import importlib
import os
import signal
import threading
import time

graceful_timeout = 5        # seconds


def post_worker_init(worker):
    module = importlib.import_module(worker.app.app_uri.partition(":")[0])

    def close():
        while worker.alive:     # until a signal, --max-requests or --reload
            time.sleep(0.1)
        module.channel.close()
        os.kill(worker.pid, signal.SIGTERM)     # UvicornWorker heeds no other signal
        time.sleep(worker.cfg.graceful_timeout + 1)
        os._exit(0)             # a client does not read what is left for it

    thread = threading.Thread(target=close)
    thread.daemon = True
    thread.start()
