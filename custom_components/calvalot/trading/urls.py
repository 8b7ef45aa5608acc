"""URLs that an owner types in."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
import socket

from yarl import URL

PRIVATE_NETWORKS = tuple(
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
PRIVATE_DOMAINS = (".local", ".lan", ".home.arpa", ".internal", ".localhost")


def normalise_url(text: str) -> str:
    """Base URL of a leader, without a slash at the end.

    Raises ValueError for what is not http or https, names no host, or holds credentials, a query or a fragment.
    """
    text = text.strip()
    if not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("the URL holds characters that do not belong there")
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("the URL does not start with http:// or https:// and a host")
    if "@" in text:
        raise ValueError("the URL holds credentials")
    if "?" in text or "#" in text:
        raise ValueError("the URL holds a query or a fragment")
    # Raises UnicodeError for a name that cannot be looked up.
    url.host.encode("idna")
    return str(url).rstrip("/")


def is_private(url: str) -> bool:
    """Whether the host of a URL lies inside one's own network, by its address or its name."""
    host = URL(url).host
    if not host:
        return False
    if address := _address(host):
        return any(address in network for network in PRIVATE_NETWORKS)
    return "." not in host or host.endswith(PRIVATE_DOMAINS)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address a host is written as, in any of the forms that are looked up as one (`127.1`, `2130706433`)."""
    try:
        address = ip_address(host)
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host))
        except OSError, ValueError:
            return None
    return getattr(address, "ipv4_mapped", None) or address
