"""A Django 5.2 site in one file, as an operator would have it behind a gateway: it trusts `X-Auth-User`, nothing else.

In: requests from the gateway. Out: a greeting by name, and a form guarded by Django's own CSRF check.
`greeter.prepare()` makes the database (path in GREETER_DATABASE); `gunicorn greeter:application` serves.
"""

import os

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
    CSRF_COOKIE_SECURE=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["GREETER_DATABASE"]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "greeter.HeaderUser",
    ],
    ROOT_URLCONF="greeter",
    SECRET_KEY="only for this test site",
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    SESSION_COOKIE_SECURE=True,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

# Only now: these need the settings.
from django.contrib.auth.middleware import RemoteUserMiddleware  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402

PAGE = """<!doctype html><html lang="en"><title>Greeter</title>
<link rel="icon" href="data:,">
<h1>Hello, {{ user|default:"nobody" }}</h1>
{% if note %}<p id="note">{{ note }}</p>{% endif %}
<form method="post">{% csrf_token %}<label>Note <input name="note"></label><button>Send</button></form>"""


class HeaderUser(RemoteUserMiddleware):
    """Logs in whom the gateway names."""

    header = "HTTP_X_AUTH_USER"


def home(request):
    note = request.session.get("note")
    if request.method == "POST":
        note = request.session["note"] = request.POST["note"]
    template = engines["django"].from_string(PAGE)
    return HttpResponse(template.render({"note": note, "user": request.user.username}, request))


def seen(request):
    """The request as Django understood it."""
    wanted = ("HTTP_", "REMOTE_", "SERVER_")
    meta = {key: str(value) for key, value in request.META.items() if key.startswith(wanted)}
    return JsonResponse({"user": request.user.username, "secure": request.is_secure(), "host": request.get_host(), "meta": meta})


def prepare():
    """Makes the tables."""
    call_command("migrate", verbosity=0)


urlpatterns = [path("", home), path("seen", seen)]
application = get_wsgi_application()
