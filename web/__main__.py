"""The web process: `python -m web`, by the settings of the environment."""

import sys

from prices.errors import SettingsError
from prices.runtime.logs import configure_logs
from prices.runtime.settings import ServerSettings, Settings
from web.server import serve


def main() -> int:
    """Serve until told to stop; give the exit status. What is wrong with a setting is one line on stderr."""
    try:
        configure_logs(Settings.from_env().log_format)
        serve(ServerSettings.from_env())
    except SettingsError as error:
        print(f"web: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
