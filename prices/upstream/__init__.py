"""OpenRouter: its list over HTTP, and its JSON as our values."""
