"""A Django 5.2 site in one file, as an operator would have it beside a gateway: people log in here, with passwords.

In: SITE_DATABASE (`sqlite:///path`, `postgres://…` or `mysql://…`), SITE_ENGINE (`db`, `cached_db`, `file` or `signed_cookies`),
SITE_SECRET, SITE_FALLBACKS (comma-separated), SITE_FILES (a directory). Out: `gunicorn django_site:application` serves; a command
does one thing from the shell and prints what came of it:

    prepare                       makes the tables, and `alice` (password `wonderland`) in the groups `staff` and `finance`
    login NAME PASSWORD           prints the cookie of a new login, made through the login page
    visit                         prints the cookie of somebody who is not logged in and has something in their session
    seen COOKIE                   prints whom the site itself takes the holder of a cookie for
    logout COOKIE                 logs out through the page
    password COOKIE OLD NEW       changes the password through the page, and prints the cookie after that
    activate NAME, disable NAME   lets a user in, or no longer
    expire COOKIE SECONDS         gives a session an expiry of its own, and prints the cookie after that
"""

import os
import sys
from urllib.parse import parse_qsl, unquote, urlsplit

import django
from django.conf import settings

ENGINES = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}


def database(url: str) -> dict:
    """A URL as Django wants it."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": unquote(parts.path)}
    host = dict(parse_qsl(parts.query)).get("host", parts.hostname or "")
    return {
        "ENGINE": f"django.db.backends.{ENGINES[parts.scheme]}",
        "NAME": parts.path.strip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(host),
        "PORT": str(parts.port or ""),
    }


settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1", "testserver"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    CSRF_TRUSTED_ORIGINS=["https://localhost", "http://localhost"],
    DATABASES={"default": database(os.environ["SITE_DATABASE"])},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    LOGIN_REDIRECT_URL="/",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SITE_SECRET", "only for this test site"),
    SECRET_KEY_FALLBACKS=[secret for secret in os.environ.get("SITE_FALLBACKS", "").split(",") if secret],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    SESSION_ENGINE="django.contrib.sessions.backends." + os.environ.get("SITE_ENGINE", "db"),
    SESSION_FILE_PATH=os.environ.get("SITE_FILES"),
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            "form.html": """<!doctype html><html lang="en"><title>Site</title><link rel="icon" href="data:,">
<h1>Site</h1><form method="post">{% csrf_token %}{{ form }}<button>Send</button></form>""",
                            "home.html": """<!doctype html><html lang="en"><title>Site</title><link rel="icon" href="data:,">
<h1>Hello, {{ user.username|default:"nobody" }}</h1>
<form method="post" action="/logout/">{% csrf_token %}<button>Log out</button></form>""",
                        },
                    )
                ],
                "context_processors": ["django.contrib.auth.context_processors.auth"],
            },
        }
    ],
    USE_TZ=True,
)
django.setup()

# Only now: these need the settings.
from django.contrib.auth import get_user_model, views  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402


def home(request):
    return render(request, "home.html")


def seen(request):
    """Whom the site takes the visitor for."""
    return JsonResponse({"user": request.user.username})


def note(request):
    """Keeps something in the session."""
    request.session["note"] = "kept"
    return HttpResponse("kept")


def expire(request, seconds):
    """Gives the session an expiry of its own."""
    request.session.set_expiry(seconds)
    return HttpResponse("set")


urlpatterns = [
    path("", home),
    path("seen", seen),
    path("note", note),
    path("expire/<int:seconds>", expire),
    path("login/", views.LoginView.as_view(template_name="form.html")),
    path("logout/", views.LogoutView.as_view(next_page="/login/")),
    path("password/", views.PasswordChangeView.as_view(template_name="form.html", success_url="/")),
]
application = get_wsgi_application()


def prepare():
    """Makes the tables and a user."""
    call_command("migrate", verbosity=0)
    alice, _ = get_user_model().objects.update_or_create(
        username="alice",
        defaults={"email": "alice@example.com", "first_name": "Alice", "last_name": "Liddell", "is_active": True},
    )
    alice.set_password("wonderland")
    alice.save()
    alice.groups.set([Group.objects.get_or_create(name=name)[0] for name in ("staff", "finance")])


def client(cookie=None) -> Client:
    visitor = Client()
    if cookie:
        visitor.cookies[settings.SESSION_COOKIE_NAME] = cookie
    return visitor


def cookie_of(visitor) -> str:
    return visitor.cookies[settings.SESSION_COOKIE_NAME].value


def post(visitor, where, **fields):
    answer = visitor.post(where, fields)
    if answer.status_code != 302:
        sys.exit(f"POST {where}: {answer.status_code} {answer.content.decode()}")


def main(what, *arguments):
    users = get_user_model().objects
    match what, *arguments:
        case ["prepare"]:
            prepare()
        case ["login", name, password]:
            visitor = client()
            post(visitor, "/login/", username=name, password=password)
            print(cookie_of(visitor))
        case ["visit"]:
            visitor = client()
            visitor.get("/note")
            print(cookie_of(visitor))
        case ["seen", cookie]:
            print(client(cookie).get("/seen").json()["user"])
        case ["logout", cookie]:
            post(client(cookie), "/logout/")
        case ["password", cookie, old, new]:
            visitor = client(cookie)
            post(visitor, "/password/", old_password=old, new_password1=new, new_password2=new)
            print(cookie_of(visitor))
        case ["activate" | "disable", name]:
            users.filter(username=name).update(is_active=what == "activate")
        case ["expire", cookie, seconds]:
            visitor = client(cookie)
            visitor.get(f"/expire/{int(seconds)}")
            print(cookie_of(visitor))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
