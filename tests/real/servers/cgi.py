"""Runs one CGI program (RFC 3875) for every request, as a web server of the nineties does.

In: `--port N` and the program. Out: what the program answers, with its `Status`. Request headers become `HTTP_…`.
"""

import argparse
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    program = ""

    def run_program(self):
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "")
        variables = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PROTOCOL": self.request_version,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": str(self.server.server_port),
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": length,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REMOTE_ADDR": self.client_address[0],
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }
        for name, value in self.headers.items():
            variables.setdefault("HTTP_" + name.upper().replace("-", "_"), value)
        body = self.rfile.read(int(length or 0))
        done = subprocess.run([self.program], input=body, env=variables, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\n\n")
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in head.decode("latin-1").splitlines()]
        status = next((value for name, value in fields if name.lower() == "status"), "200 OK")
        if done.returncode != 0 or not fields:
            status, fields, content = "500 Internal Server Error", [], done.stderr
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in fields:
            if name.lower() != "status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = run_program


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("program")
    chosen = arguments.parse_args()
    Handler.program = chosen.program
    ThreadingHTTPServer(("127.0.0.1", chosen.port), Handler).serve_forever()


main()
