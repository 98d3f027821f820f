"""The address of the studio. Imports nothing heavy."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this machine reaches."""
TOKEN = "token"
"""Name of the token in the address."""
SHORTEST_TOKEN = 16
"""Characters of a token that a user chooses."""
EVERYWHERE = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of this machine."""


def address_of(host: str, port: int, token: str) -> str:
    """The address that opens the studio on this machine."""
    shown = "127.0.0.1" if host in EVERYWHERE else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/?{TOKEN}={token}"
