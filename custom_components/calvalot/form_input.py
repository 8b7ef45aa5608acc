"""What an owner puts into a form, refused with the fields that are wrong."""

from .trading.urls import is_private, normalise_url


class InvalidInput(Exception):
    """Input that cannot be taken: an error key by field, and what the messages name."""

    def __init__(self, errors: dict[str, str], **placeholders: str) -> None:
        super().__init__(errors)
        self.errors = errors
        self.placeholders = placeholders


def checked_url(url: str, field: str, *, accept_plain_http: bool) -> str:
    """Normal form of a URL. Raises InvalidInput where it is none, or sends secrets in the open without consent."""
    try:
        normal = normalise_url(url)
    except ValueError as err:
        scheme, found, _ = url.strip().partition("://")
        if not found:
            raise InvalidInput({field: "url_without_scheme"}) from err
        if scheme.lower() not in {"http", "https"}:
            raise InvalidInput({field: "url_scheme"}) from err
        raise InvalidInput({field: "invalid_url"}) from err
    if normal.startswith("http://") and not is_private(normal) and not accept_plain_http:
        raise InvalidInput({field: "plain_http"})
    return normal
