"""What the service knows: prices, who may refresh them, and how they are read. No Flask, no Celery."""
