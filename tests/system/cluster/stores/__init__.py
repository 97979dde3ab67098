"""Redis and the database break under a running cluster, between its processes and them."""
