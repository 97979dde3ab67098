"""A placeholder for a line of the Procfile: says its process numbers, has a child, and ends when told to.

Usage: service.py NAME [stubborn]. PORT, where set, is answered as HTTP.
"""

import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType


class Healthz(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        return


def main(name: str, *, stubborn: bool) -> None:
    child = subprocess.Popen(["sleep", "1000"])

    def end(_number: int, _frame: FrameType | None) -> None:
        if not stubborn:
            child.terminate()
            child.wait()
            Path("ended", name).touch()
            sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    for pid in (os.getpid(), child.pid):
        Path("pids", str(pid)).touch()
    Path("env", name).write_text("\n".join(f"{key}={os.environ[key]}" for key in sorted(os.environ)))
    print(f"here is {name}")
    if "PORT" in os.environ:
        HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Healthz).serve_forever()
    while True:
        time.sleep(100)


if __name__ == "__main__":
    main(sys.argv[1], stubborn="stubborn" in sys.argv)
