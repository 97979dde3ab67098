"""One file per format in which clients take the catalogue: pure functions from models to bytes."""
