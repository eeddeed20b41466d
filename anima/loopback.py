"""Says which addresses are this machine's own."""

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str) -> bool:
    """Says whether only this machine can be meant. A name other than localhost may stand for any address."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return host.rstrip(".").lower().rpartition(".")[2] == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
