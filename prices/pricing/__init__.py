"""What a model costs: prices as values, schedules, the rates of a request, and what a call cost. Pure."""
