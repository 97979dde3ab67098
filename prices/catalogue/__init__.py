"""The catalogue as values: a model, its changes, the guards, a list against the catalogue. Pure."""
