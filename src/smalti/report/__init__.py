"""Reports for people: pages of runs, plots, surprise maps, and what goes to the hub."""
