"""Opening addresses of the web, and of the web alone."""

from __future__ import annotations

import urllib.request


def http_opener() -> urllib.request.OpenerDirector:
    """Opens http and https; no redirection leads elsewhere, such as to a file of this machine."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
