//! Paths: what was judged is what the upstream gets, however a client writes it.

use crate::support::{Browser, EchoUpstream, Http2, Raw, TestGateway};

const ROUTES: &str = "
    routes:
      - { path: /public/, access: public }
      - { path: /admin/, access: { groups: [staff] } }
      - { path: /kept/, access: public, encoded_slash: keep }
      - { path: /api/, access: public, methods: [GET] }
      - { path: / }
";

/// How somebody without a login might try to get out of what is public, or into what is not.
const TRICKS: [&str; 78] = [
    "/public/../admin",
    "/public/../admin/",
    "/public/./../admin/x",
    "/public/x/../../admin/x",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/public/..%2fadmin",
    "/public/..%2Fadmin",
    "/public%2f..%2fadmin",
    "/public/%2e%2e%2fadmin",
    "/public/%252e%252e/admin",
    "/public/..%252fadmin",
    "/public/..\\admin",
    "/public/..%5cadmin",
    "/public\\..\\admin",
    "/public/%5c../admin",
    "/public/..;/admin",
    "/public/..;x=y/admin",
    "/public/.;/../admin",
    "/public;/../admin",
    "/public/..%3b/admin",
    "/public/%2e%2e;/admin",
    "/public/..%00/admin",
    "/public/%00/../admin",
    "/public/..%0d%0a/admin",
    "/public/..%09/admin",
    "/public/..%20/admin",
    "/public/..../admin",
    "/public/.../admin",
    "/public/..//admin",
    "/public//../admin",
    "/public///..//../admin",
    "/public/..#/admin",
    "/public#/../../admin",
    "/public/%23/../../admin",
    "/public/../../admin",
    "/../admin",
    "/..",
    "/%2e%2e/admin",
    "//admin",
    "//admin/",
    "///admin",
    "/./admin",
    "/%2e/admin",
    "/.//admin",
    "/admin//",
    "/admin/.",
    "/admin/..",
    "/admin/%2e%2e/admin",
    "/admin/../admin/x",
    "/%61dmin/",
    "/%61%64%6d%69%6e",
    "/adm%69n/x",
    "/a%64min%2fx",
    "/admin%2f",
    "/admin%2Fx",
    "/admin%5cx",
    "/admin%00",
    "/admin;x=y",
    "/admin;/x",
    "/admin/;x",
    "/;/admin",
    "/x;/../admin",
    "/ADMIN",
    "/Admin/",
    "/PUBLIC/x",
    "/publicx",
    "/public.html",
    "/public%20/x",
    "/public%",
    "/public/%",
    "/public/%2",
    "/public/%zz",
    "/public/%u002e%u002e/admin",
    "/public/%c0%ae%c0%ae/admin",
    "/admin?/public/",
];

/// The most generous reading a server might make of a path: decoded again and again, backslashes as slashes,
/// parameters cut off, dots resolved, letters in lower case.
fn most_generous(target: &str) -> String {
    let mut path = target.split(['?', '#']).next().unwrap_or_default().to_owned();
    for _ in 0..3 {
        path = percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned();
    }
    let mut segments = Vec::new();
    for segment in path.replace('\\', "/").to_lowercase().split('/') {
        match segment.split([';', '\0']).next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    format!("/{}", segments.join("/"))
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
}

#[test]
fn nobody_gets_out_of_what_is_public() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    for trick in TRICKS {
        for target in [trick.to_owned(), format!("http://a.example{trick}"), format!("{trick}?a=/public/x")] {
            let before = upstream.requests().len();
            let status = Raw::ask(gateway.address(), get(&target)).status;
            let after = upstream.requests();
            assert!(matches!(status, 200 | 400 | 401 | 404), "{target}: {status}");
            assert_eq!(status == 200, after.len() > before, "{target}: {status}");
            if let Some(seen) = after.get(before) {
                assert!(seen.target().starts_with("/public/"), "{target} became {}", seen.target());
                // Servers that decode twice are not ours to guess at, but nothing else may be read as another place.
                if !trick.contains("%25") && !trick.contains("%c0") {
                    let read = most_generous(seen.target());
                    assert!(read.starts_with("/public"), "{target} arrives as {} = {read}", seen.target());
                }
            }
        }
    }
}

#[test]
fn the_wrong_group_gets_in_by_no_spelling() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let mut bob = Browser::of(&gateway);
    bob.sign_in("bob");
    assert_eq!(bob.get("/admin/x").status, 403);
    assert_eq!(bob.get("/else").status, 200);
    for trick in TRICKS {
        bob.get(trick);
    }
    for seen in upstream.requests() {
        let normal = seen.target().split('?').next().unwrap_or_default();
        assert!(
            !most_generous(normal).starts_with("/admin")
                || normal.contains("%25")
                || normal.starts_with("/A"),
            "{}",
            seen.target()
        );
    }
}

#[test]
fn what_the_upstream_gets_is_in_normal_form() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    for trick in TRICKS {
        let once = alice.get(trick);
        if once.status == 200 {
            let seen = upstream.requests().pop().expect("it arrived").target().to_owned();
            let path = seen.split('?').next().unwrap_or_default();
            for odd in ["//", "/./", "/../", "%2e", "%2E", "%61", "%5c", "\\", "%00", "#"] {
                assert!(!path.contains(odd), "{trick} arrived as {seen}");
            }
            assert!(!path.ends_with("/..") && !path.ends_with("/."), "{trick} arrived as {seen}");
            assert_eq!(alice.get(&seen).status, 200);
            let again = upstream.requests().pop().expect("it arrived").target().to_owned();
            assert_eq!(again, seen, "the normal form of a normal form is itself");
        }
    }
}

#[test]
fn plain_paths_arrive_as_they_are_meant() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    for (sent, arrived) in [
        ("/public/", "/public/"),
        ("/public", "/public"),
        ("/public/a%20b/%ED%95%9C%EA%B8%80?q=%ED%95%9C", "/public/a%20b/%ED%95%9C%EA%B8%80?q=%ED%95%9C"),
        ("/public/%7Euser/%2D%5F", "/public/~user/-_"),
        ("//public///a//", "/public/a/"),
        ("/x/../public/a/./b/../c", "/public/a/c"),
        ("/%70ublic/a", "/public/a"),
        ("/public/a;v=1", "/public/a;v=1"),
        ("/public/..a/...", "/public/..a/..."),
        ("/public/%25", "/public/%25"),
        ("/kept/a%2Fb%2fc", "/kept/a%2Fb%2fc"),
        ("http://a.example/public/../public/x?y", "/public/x?y"),
    ] {
        assert_eq!(Raw::ask(gateway.address(), get(sent)).status, 200, "{sent}");
        assert_eq!(upstream.requests().pop().expect("it arrived").target(), arrived);
    }
    for refused in ["/public/a%2Fb", "/kept/..%2Fadmin", "/kept/%2e%2e%2fadmin", "/kept/a%2f..%2f..%2fadmin"]
    {
        assert_eq!(Raw::ask(gateway.address(), get(refused)).status, 400, "{refused}");
    }
}

#[test]
fn a_route_for_one_method_opens_no_other() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let ask = |method: &str, more: &str| {
        let request =
            format!("{method} /api/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n{more}\r\n");
        Raw::ask(gateway.address(), request).status
    };
    assert_eq!((ask("GET", ""), ask("HEAD", "")), (200, 200));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        assert_eq!(ask(method, ""), 401, "{method}");
    }
    for other_spelling in ["get", "Get", "post"] {
        assert_eq!(
            ask(other_spelling, ""),
            405,
            "applications may read it as another method: {other_spelling}"
        );
    }
    assert_eq!(ask("POST", "X-HTTP-Method-Override: GET\r\n"), 401);
}

#[test]
fn hosts_are_compared_without_case_port_and_final_dot() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(
        &upstream,
        "routes: [{ host: open.example, path: /, access: public }, { host: '*.open.example', path: /, access: public }, { path: / }]",
    );
    let ask =
        |host: &str| Raw::ask(gateway.address(), format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    for host in ["open.example", "OPEN.Example", "open.example:8080", "open.example.", "a.open.example"] {
        assert_eq!(ask(host), 200, "{host}");
    }
    for host in ["closed.example", "xopen.example", "open.example.evil", "open.example..", "127.0.0.1"] {
        assert!(matches!(ask(host), 400 | 401), "{host}");
    }
}

#[test]
fn an_unmatched_request_is_refused() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /public/, access: public }]");
    for target in ["/", "/publi", "/publicx", "/other", "/public/../other", "/%2e%2e/"] {
        let status = Raw::ask(gateway.address(), get(target)).status;
        assert!(matches!(status, 400 | 404), "{target}: {status}");
    }
    assert!(upstream.bytes().is_empty());
}

#[test]
fn a_prefix_is_stripped_from_what_was_judged() {
    let upstream = EchoUpstream::start();
    let routes = "routes: [{ path: /app/, access: public, strip_prefix: /app }]";
    let gateway = TestGateway::before(&upstream, routes);
    for (sent, arrived) in [
        ("/app/x?y", "/x?y"),
        ("/app", "/"),
        ("/app/", "/"),
        ("//app//x", "/x"),
        ("/%61pp/%61?q", "/a?q"),
        ("/app/app/x", "/app/x"),
        ("/app//evil.example/x", "/evil.example/x"),
    ] {
        assert_eq!(Raw::ask(gateway.address(), get(sent)).status, 200, "{sent}");
        assert_eq!(upstream.requests().pop().expect("it arrived").target(), arrived, "{sent}");
    }
}

#[test]
fn own_pages_cannot_be_reached_around_nor_covered() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: public }]");
    for target in [
        "/_cloakroom/login",
        "//_cloakroom/login",
        "/x/../_cloakroom/login",
        "/%5fcloakroom/login",
        "/_cloakroom",
    ] {
        Raw::ask(gateway.address(), get(target));
    }
    assert!(upstream.bytes().is_empty(), "all of them are the gateway's own");
    assert_eq!(Raw::ask(gateway.address(), get("/_cloakroomx")).status, 200);
    assert_eq!(upstream.only_request().target(), "/_cloakroomx");
}

#[test]
fn http2_paths_are_judged_in_the_same_way() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let mut client = Http2::connect(gateway.address());
    for trick in TRICKS {
        let Ok(url) = format!("http://a.example{trick}").parse::<http::Uri>() else { continue };
        let over_http2 = client.get(&url.to_string(), &[]).status().as_u16();
        let path = url.path_and_query().expect("a path").as_str();
        let over_http1 = Raw::ask(gateway.address(), get(path)).status;
        assert_eq!(over_http2, over_http1, "{trick}");
    }
    // What stands behind a `#` never leaves an HTTP/2 client of good manners: `/public` is left of it.
    let is_public = |target: &str| target == "/public" || target.starts_with("/public/");
    assert!(upstream.requests().iter().all(|seen| is_public(seen.target())));
}
