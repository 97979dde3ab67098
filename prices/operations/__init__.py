"""What operators see and do: the health report and the refresh lock."""
