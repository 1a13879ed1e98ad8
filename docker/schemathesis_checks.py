"""The checks that docker/schemathesis.sh adds to those of schemathesis (SCHEMATHESIS_HOOKS names this file).

A new campaign's gate opens a moment after the campaign was created. A call that comes before is told so by a problem of
the type gate-closed, status 503, with a Retry-After. That is no fault of the server, if asking again helps.
"""

import json
import time

import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response

GATE_CLOSED = "urn:firstcome:problem:gate-closed"
# How often the server is asked again, each time after its own Retry-After (1 s).
ASK_AGAIN = 3


@schemathesis.check
def no_fault_of_the_server(ctx, response, case):
    """Is not_a_server_error, but asks a closed gate again as Retry-After says."""
    for _ in range(ASK_AGAIN):
        if not is_closed_gate(response):
            break
        time.sleep(int(response.headers["retry-after"][0]))
        with requests.Session() as session:
            response = Response.from_requests(session.send(response.request, timeout=60), verify=True)
    return not_a_server_error(ctx, response, case)


def is_closed_gate(response):
    if response.status_code != 503:
        return False
    try:
        return json.loads(response.content)["type"] == GATE_CLOSED
    except (ValueError, KeyError, TypeError):
        return False
