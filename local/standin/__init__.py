"""A stand-in for OpenRouter's price list: a process of its own, on the standard library alone.

`python -m local.standin --help` starts one; tests and benchmarks use `client.Standin`. It serves
`GET /api/v1/models` from a made-up catalogue (`catalogue.py`) or from recorded bodies (`replay.py`), and is
commanded under `/_control/` (`control.py`): the time, the faults (`answers.py`), the count of requests.
"""
