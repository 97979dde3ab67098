"""Make the README's pictures from the running product: `make pictures`.

Runs `make demo` (all processes, an invented OpenRouter) and lets Chromium look at it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"


def main() -> int:
    """Make all pictures; give the exit status."""
    env = {**os.environ, "PORT": str(PORT), "FLOWER_PORT": str(PORT + 1)}
    demo = subprocess.Popen([sys.executable, "-m", "local", "demo"], env=env, cwd=HERE.parents[1])
    try:
        _wait_until_healthy()
        _look()
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(40)
    return 0


def _wait_until_healthy() -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{ADDRESS}/health", timeout=3) as answer:  # noqa: S310 - our own address
                if json.load(answer)["status"] == "healthy":
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise TimeoutError("the demo did not become healthy within a minute")


def _look() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.goto(ADDRESS)
        page.screenshot(path=HERE / "index.png")
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
