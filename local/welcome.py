"""What is said once the cluster is up: where everything is."""

from urllib.parse import urlsplit

from local.plans import Plan
from local.ports import HOST


def addresses(plan: Plan) -> str:
    """Name every address, none with its password, and how it all ends."""
    web, flower = url_of(plan, "web"), url_of(plan, "flower")
    redis = urlsplit(plan.env["REDIS_URL"])
    lines = [
        "",
        "Pricebeat is up.",
        f"  Web page   {web}/",
        f"  API        {web}/api/v1/prices",
        f"  Flower     {flower}/",
        f"  Redis      {redis.netloc.rpartition('@')[2]}",
        f"  Database   {plan.database}",
    ]
    if plan.verb == "demo":
        url_file = (plan.state / "redis.url").relative_to(plan.folder)
        lines += [
            "The prices are invented, and move every few seconds. To look at it from another shell:",
            f'  export REDIS_URL="$(cat {url_file})" DATABASE_URL="{plan.env["DATABASE_URL"]}"'
            f" PRICE_REFRESH_HOURS={plan.env['PRICE_REFRESH_HOURS']}",
        ]
    return "\n".join([*lines, "Ctrl-C ends all of it.", ""])


def url_of(plan: Plan, process: str) -> str:
    """Return the address at which a browser finds the process."""
    return f"http://{HOST}:{plan.ports[process]}"
