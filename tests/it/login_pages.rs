//! Login pages: what operators may change, and what stays.

use std::fs;
use std::path::Path;

use cloakroom::config::{Source, inspect};

use crate::support::{Browser, EchoUpstream, TestGateway};

const SVG: &str =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 10 4\"><rect width=\"10\" height=\"4\"/></svg>";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).expect("written"));
    folder
}

fn keys(folder: &Path) -> String {
    let path = folder.display();
    format!(
        "login: {{ title: Example, pages_dir: '{path}', logo: {{ file: '{path}/logo.svg', alt: 'Example <Inc.>' }}, \
         local: {{ users: {{ alice: '$HASH' }} }} }}"
    )
}

/// What is wrong with pages like these.
#[track_caller]
fn problems(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let path = folder.path().display();
    let text = format!(
        "listen: 127.0.0.1:8080\nstate_dir: '{path}'\nupstream: http://127.0.0.1:1\nlogin: {{ pages_dir: '{path}', local: {{ users_file: /dev/null }} }}\n"
    );
    match inspect(&Source::Text { name: "test.yaml".to_owned(), text }) {
        Ok(config) => config.warnings.iter().map(|warning| warning.render(false)).collect(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_template_a_style_sheet_and_a_logo_take_the_place_of_ours() {
    let own = "{% extends \"base.html\" %}{% block content %}<p>Ask {{ title }} for help.</p><p>{{ note }}</p>{% endblock %}";
    let files = [("notice.html", own), ("style.css", "body{color:teal}"), ("logo.svg", SVG)];
    let folder = folder(&files);
    let upstream = EchoUpstream::start();
    let mut gateway = TestGateway::before(&upstream, &keys(folder.path()));
    let mut browser = Browser::of(&gateway);
    let page = browser.get("/_cloakroom/nothing");
    let text = page.text();
    assert!(
        text.contains("Ask Example for help.") && text.contains("<style>body{color:teal}</style>"),
        "{text}"
    );
    assert!(text.contains("alt=\"Example &lt;Inc.&gt;\""), "{text}");
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-")
            && policy.contains("img-src 'self' data:")
    );
    assert!(
        browser.get("/_cloakroom/login").text().contains("<style>body{color:teal}</style>"),
        "and our own"
    );

    let start = text.split("<img src=\"").nth(1).expect("a picture");
    let address = start.split('"').next().expect("its address").replace("&#x2f;", "/");
    let logo = browser.get(&address);
    assert_eq!((logo.status, logo.text()), (200, SVG.to_owned()));
    assert_eq!(logo.header("content-type"), Some("image/svg+xml"));
    assert!(logo.header("cache-control").is_some_and(|value| value.contains("immutable")));
    assert!(logo.header("content-security-policy").is_some_and(|value| value.contains("sandbox")));
    let tag = logo.header("etag").expect("a tag").to_owned();
    assert_eq!(browser.request("GET", &address, &[("If-None-Match", &tag)], b"").status, 304);

    fs::write(folder.path().join("style.css"), "body{color:navy}").expect("written");
    gateway.reload(&keys(folder.path()));
    assert!(browser.get("/_cloakroom/login").text().contains("navy"), "a reload takes them");
    gateway.reload("");
    assert_eq!(browser.get("/_cloakroom/logo").status, 404);
}

#[test]
fn a_template_that_cannot_work_is_named_with_its_line() {
    let said = problems(&[("login.html", "<p>\n{{ words.user }\n")]);
    assert!(said.contains("login.html:2: syntax error"), "{said}");
    let said = problems(&[("notice.html", "<p>\n\n{{ titel }}\n")]);
    assert!(said.contains("notice.html:3: undefined value"), "{said}");
    let said = problems(&[("notice.html", "{{ note|shout }}")]);
    assert!(said.contains("notice.html:1: unknown filter: filter shout is unknown"), "{said}");
    let said = problems(&[("login.html", "<form method=post>{{ words.user }}</form>")]);
    assert!(said.contains("login.html: the page lacks `sample-token`"), "{said}");
    let said = problems(&[("style.css", "</STYLE><script>")]);
    assert!(said.contains("a style sheet cannot hold `</style`"), "{said}");
    let said = problems(&[("logn.html", "")]);
    assert!(
        said.contains("`logn.html` is none of the gateway's pages") && said.contains("login.html"),
        "{said}"
    );
    assert_eq!(problems(&[("base.html", "<h1>{{ heading }}</h1>{% block content %}{% endblock %}")]), "");
}

#[test]
fn a_logo_that_is_no_picture_is_refused() {
    let folder = folder(&[("logo.gif", "GIF89a")]);
    let path = folder.path().display();
    for (file, why) in [("logo.gif", "neither SVG nor PNG"), ("none.svg", "cannot read")] {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:1\nlogin: {{ logo: '{path}/{file}', local: {{ users_file: /dev/null }} }}\n"
        );
        let refused = inspect(&Source::Text { name: "test.yaml".to_owned(), text });
        let said = refused.expect_err("it is refused").to_string();
        assert!(said.contains(why), "{said}");
    }
}
