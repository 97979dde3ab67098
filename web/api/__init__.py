"""The JSON routes, one file per resource: parse, one call, render."""
