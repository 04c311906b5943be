"""Who is connected: tells once that somebody came, and once that he left.

    presence = Presence(channel, "user:%d", changed)
    presence.arrived(7)     # after channel.open(request, ["user:7"]): calls changed(7, True)
    presence.here()         # [7]

Whoever reconnects within `grace` seconds has not left. The thread of a `Presence` serves streams
of threads and of asyncio alike; `arrived` never blocks. For several processes see
shared_presence.py.
"""

import logging
import threading
import time

from six.moves import queue


class Presence(object):

    def __init__(self, channel, topic, changed, grace=7, every=2):
        self.channel, self.topic, self.changed = channel, topic, changed
        self.grace, self.every = grace, every
        self.arrivals = queue.Queue()
        self.seen, self.told = {}, set()    # when each had a stream; who is here, as was told
        self.starting, self.thread = threading.Lock(), None

    def arrived(self, user):
        self.arrivals.put(user)
        with self.starting:
            # Here, and not in the constructor: a server may fork in between.
            if not (self.thread and self.thread.is_alive()):
                self.thread = threading.Thread(target=self.run)
                self.thread.daemon = True
                self.thread.start()

    def run(self):
        mine, due = set(), time.time()      # those who had a stream here in the last round
        while True:
            wait = min(self.every, due - time.time())
            if wait <= 0:
                users, mine, due = mine, set(), time.time() + self.every
            else:
                try:
                    users = [self.arrivals.get(timeout=wait)]
                except queue.Empty:
                    continue
            try:
                users = [user for user in users if self.channel.to(self.topic % user).streams]
                mine.update(users)
                self.record(users)
            except Exception:
                logging.exception("presence")       # the next round tells it

    def record(self, users):
        """These have a stream now. Tell who came, and who had none for `grace` seconds."""
        now = time.time()
        self.seen.update((user, now) for user in users)
        for user in [user for user, at in self.seen.items() if at < now - self.grace]:
            del self.seen[user]
        for user in set(self.seen).symmetric_difference(self.told):
            self.changed(user, user in self.seen)
            self.told.symmetric_difference_update([user])

    def here(self):
        return sorted(self.seen.copy())
