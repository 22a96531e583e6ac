"""The login page of a real Django site lets people in everywhere behind the gateway."""

from pathlib import Path

from rig.django import PASSWORD, USER, Site
from rig.gateway import http, start
from rig.process import application, expect
from rig.wire import Jar


async def check_upstream_login(folder: Path) -> str:
    site = await Site(folder).start()
    app = await application(folder)
    config = {
        "upstreams": {"site": {"servers": [http(site.port)]}, "app": {"servers": [http(app.port)]}},
        "routes": [
            {"path": "/login/", "access": "optional", "upstream": "site"},
            {"path": "/app/", "upstream": "app", "strip_prefix": "/app"},
            {"path": "/", "upstream": "site"},
        ],
        "login": {
            "upstream": [
                {
                    "path": "/login/",
                    "success": {"status": 302, "cookie": "sessionid"},
                    "user_from": {"field": "username"},
                    "login_page": "/login/",
                    "logout": {"path": "/logout/", "method": "POST"},
                }
            ],
            "throttle": {"per_user": "3/15m"},
        },
        "access_log": {"format": "off"},
    }
    gateway = await start(folder, config)
    jar = Jar(gateway.port)

    # A visitor of the second application is sent to Django's page, and back after it.
    page, answer = await jar.page("/app/hello?x=1")
    expect(page.startswith("/login/?next=") and "csrfmiddlewaretoken" in answer.text(), f"sent to {page}")
    wrong = await jar.submit(page, answer, {"username": USER, "password": "no"})
    expect(wrong.status == 200 and "cloakroom" not in jar.cookies, f"a wrong password: {wrong.status} {jar.cookies}")
    answer = await jar.login(USER, PASSWORD, "/app/hello?x=1")
    expect(answer.header("location") == "/app/hello?x=1", f"Django led to {answer.header('location')}")
    expect({"sessionid", "cloakroom"} <= set(jar.cookies), f"cookies: {list(jar.cookies)}")
    seen = (await jar.ask("GET", "/app/headers")).json()
    expect(dict((n.lower(), v) for n, v in seen["headers"]).get("x-auth-user") == USER, f"the application saw {seen}")
    expect((await jar.ask("GET", "/seen")).json()["user"] == USER, "Django itself knows the user")

    # The logout of Django's page is one for both.
    page, answer = await jar.page("/")
    answer = await jar.submit(page, answer, {})
    expect(answer.status == 302, f"POST logout: {answer.status} {answer.text()[:300]}")
    expect((await jar.ask("GET", "/app/hello")).status == 401, "the second application still knows the user")

    # Too many failures: nobody learns any more whether a password is right.
    page, form = await jar.page("/login/")
    for _ in range(3):
        expect((await jar.submit(page, form, {"username": USER, "password": "no"})).status == 200, "a failure")
    answer = await jar.submit(page, form, {"username": USER, "password": PASSWORD})
    expect(answer.status == 429 and "sessionid" not in jar.cookies, f"after 3 failures: {answer.status}")
    return f"{USER} logged in on Django's page, known to another application, logged out of both"
