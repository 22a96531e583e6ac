"""A WSGI application that keeps nothing and remembers everything: Cloakroom does it.

python3 wsgi_app.py 3000
"""

import html
import re
import sys
from urllib.parse import parse_qs, unquote
from wsgiref.simple_server import make_server

KEY = r"[a-z*][a-z0-9_.*-]*"
VALUE = r'"(?:[^"\\]|\\["\\])*"|%"[^"]*"|\?[01]|-?\d+(?:\.\d+)?'
MEMBER = re.compile(rf"[ \t]*({KEY})(?:=({VALUE}))?(?:; *{KEY}(?:=(?:{VALUE}))?)*[ \t]*(?:,|$)")


def parse(field):
    """A dictionary of RFC 9651 as a dict; an empty one if it cannot be read."""
    members, at = {}, 0
    while at < len(field):
        member = MEMBER.match(field, at)
        if not member:
            return {}
        members[member[1]] = True if member[2] is None else value(member[2])
        at = member.end()
    return members


def value(item):
    if item[0] == "%":
        return unquote(item[2:-1])
    if item[0] == '"':
        return re.sub(r"\\(.)", r"\1", item[1:-1])
    if item[0] == "?":
        return item == "?1"
    return float(item) if "." in item else int(item)


def text(words):
    """A string, or a display string if it goes beyond ASCII."""
    if re.fullmatch("[ -~]*", words):
        return '"' + re.sub(r'(["\\])', r"\\\1", words) + '"'
    encoded = re.sub(rb"[^ !#$&-~]", lambda byte: b"%%%02x" % byte[0][0], words.encode())
    return '%"' + encoded.decode() + '"'


PAGE = """<!doctype html>
<html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Python</title>
<style>:root {{ color-scheme: light }} [data-theme=dark] {{ color-scheme: dark }}</style></head>
<body><main>{message}<h1>Hello, {user}</h1><p>Visits: {visits}</p>
<form method="post" action="theme"><button name="theme" value="dark">Dark</button>
<button name="theme" value="light">Light</button></form>
<form method="post" action="message"><label>Message <input name="text"></label><button>Send</button></form>
<form method="post" action="sign-out"><button>Sign out</button></form></main></body></html>
"""


def application(environ, start_response):
    data = parse(environ.get("HTTP_SESSION_DATA", ""))
    if environ["REQUEST_METHOD"] == "POST":
        return change(environ, start_response)
    user = environ.get("HTTP_X_AUTH_NAME") or environ.get("HTTP_X_AUTH_USER") or "stranger"
    message = f'<p role="status">{html.escape(data["message"])}</p>' if "message" in data else ""
    page = PAGE.format(
        theme="dark" if data.get("shared.theme") == "dark" else "light",
        message=message,
        user=html.escape(unquote(user)),
        visits=data.get("visits", 0) + 1,
    )
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"), ("Session-Add", "visits=1")]
    start_response("200 OK", headers)
    return [page.encode()]


def change(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    form = parse_qs(environ["wsgi.input"].read(length).decode(errors="replace"))
    action = environ["PATH_INFO"].rsplit("/", 1)[-1]
    headers = [("Location", "./")]
    if action == "theme" and form.get("theme", [""])[0] in ("dark", "light"):
        headers.append(("Session-Set", f'shared.theme={text(form["theme"][0])};max-age=2592000'))
    elif action == "message":
        headers.append(("Session-Set", f'message={text(form.get("text", [""])[0])};flash'))
    elif action == "sign-out":
        headers.append(("Session-Logout", "this"))
    start_response("303 See Other", headers)
    return []


if __name__ == "__main__":
    # The loopback only: whoever reaches this port can claim to be anybody.
    make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
