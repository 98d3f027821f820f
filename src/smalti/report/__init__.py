"""Reports for people: the page of a run, plots of several runs, and surprise maps."""
