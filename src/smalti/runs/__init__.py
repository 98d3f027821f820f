"""From a config to a finished run: the folder of a run, and training in it."""
