"""One pure file per format in which clients take the catalogue; `registry.py` lists the published ones."""
