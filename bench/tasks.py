"""What the worker of bench.queue runs beside the product's task: nothing, with the same options."""

from celery import Task, shared_task

from prices.errors import PricesError


@shared_task(name="nothing", bind=True, throws=(PricesError,))
def nothing(_self: Task) -> None:
    """Do nothing."""
