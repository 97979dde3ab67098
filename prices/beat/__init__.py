"""When a refresh is sent, and which beat leads. Knows nothing of Celery."""
