"""One pure file per client format, all of one shape (`prices/formats/format.py`)."""
