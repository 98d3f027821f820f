"""The command `smalti`: parse, build, call; one file per sub-command."""
