"""Side-by-side measurements, one file per claim: ratios to a floor or a peer in the same run."""
