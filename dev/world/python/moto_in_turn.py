"""moto's server, answering one request after another.

moto keeps everything in dictionaries and walks through them while other threads add to them: a search beside a write
then ends with status 500. SQS alone is left out: who waits there for messages would keep all others waiting.
"""

import re
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

SQS = re.compile(r"Credential=[^,]*/sqs/aws4_request")


class InTurn:
    """Passes requests on, one at a time."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if SQS.search(environ.get("HTTP_AUTHORIZATION", "")):
            return self.application(environ, start_response)
        with self.lock:
            return self.application(environ, start_response)


moto = DomainDispatcherApplication(create_backend_app)
moto.debug = True
run_simple("127.0.0.1", int(sys.argv[1]), InTurn(moto), threaded=True, request_handler=MotoRequestHandler)
