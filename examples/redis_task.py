"""From another process, such as a task queue or a cron job: python redis_task.py hello"""

import os
import sys

from redis_channel import RedisChannel

url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
channel = RedisChannel(url, "news", history=1000)       # as in the web application


def announce(text):     # under Celery below its @app.task
    channel.add_json("news", text)


if __name__ == "__main__":
    announce(sys.argv[1])
