"""The command `smalti`; each sub-command has a file."""
