"""Every format that is published for a client. Adding one is a file of its own, its test, and a line here."""

from typing import Final

from prices.formats.clients import bifrost, crush, genai_prices, litellm, models_dev, openlit, spreadsheet
from prices.formats.format import Format

FORMATS: Final[tuple[Format, ...]] = (
    litellm.FORMAT,
    bifrost.FORMAT,
    genai_prices.FORMAT,
    models_dev.FORMAT,
    openlit.FORMAT,
    crush.FORMAT,
    spreadsheet.FORMAT,
)
