"""The formats in which the catalogue is taken, all pure: OpenRouter's, our own, and those of `clients/`."""
