"""Which hosts are this machine: one answer, for keys that must not leave it and for callers that come from it."""

from ipaddress import ip_address


def is_this_machine(host: str) -> bool:
    """Whether `host`, a name or an address without port and brackets, can only mean this machine.

    Names are not looked up: besides `localhost`, only loopback addresses are; `127.example.com` is not.
    """
    return host == "localhost" or is_loopback(host)


def is_loopback(address: str) -> bool:
    """Whether `address` is an address that never leaves this machine; what is no address is not."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
