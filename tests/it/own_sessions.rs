//! Own sessions: what people see of their sessions, and how they end them.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Message, PASSWORD, Raw, TestGateway};

const MINUTE: Duration = Duration::from_secs(60);
const PAGE: &str = "/_cloakroom/sessions";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0";
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";

/// Sessions in memory, behind a proxy that says where people come from.
fn gateway() -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "trusted_proxies: [127.0.0.0/8]");
    (upstream, gateway)
}

fn signed_in(gateway: &TestGateway, user: &str, address: &str, user_agent: &str) -> Browser {
    let mut browser = Browser::of(gateway);
    browser.set_field("X-Forwarded-For", address);
    browser.set_field("User-Agent", user_agent);
    browser.sign_in(user);
    browser
}

/// A form of a page: where it goes, and its hidden fields.
struct Form(String, Vec<(String, String)>);

impl Form {
    fn all(page: &Message) -> Vec<Self> {
        let text = page.text();
        let value = |text: &str, name: &str| {
            let rest = text.split_once(&format!("{name}=\"")).map(|(_, rest)| rest);
            rest.and_then(|rest| rest.split('"').next()).unwrap_or_default().replace("&#x2f;", "/")
        };
        let form = |form: &str| {
            let form = form.split("</form>").next().expect("never empty");
            let hidden = form.split("<input type=\"hidden\"").skip(1);
            Self(
                value(form, "action"),
                hidden.map(|input| (value(input, "name"), value(input, "value"))).collect(),
            )
        };
        text.split("<form").skip(1).map(form).collect()
    }

    fn that_does<'f>(all: &'f [Self], deed: &str) -> Vec<&'f Self> {
        let does = |form: &&Self| form.1.iter().any(|(name, value)| name == "do" && value == deed);
        all.iter().filter(does).collect()
    }

    #[track_caller]
    fn submit(&self, browser: &mut Browser, more: &[(&str, &str)]) -> Message {
        let hidden = self.1.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        browser.post(&self.0, &hidden.chain(more.iter().copied()).collect::<Vec<_>>())
    }
}

#[track_caller]
fn is_in(browser: &mut Browser) -> bool {
    browser.get("/").status == 200
}

/// What is said where a form led to.
#[track_caller]
fn notice(browser: &mut Browser, answer: &Message) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let page = browser.get(answer.header("location").expect("somewhere to go"));
    let text = page.text();
    let rest = text.split_once("role=\"status\">").map(|(_, rest)| rest).unwrap_or_default();
    rest.split('<').next().unwrap_or_default().to_owned()
}

#[test]
fn people_see_where_and_when_they_signed_in_and_which_session_is_this_one() {
    let (_upstream, gateway) = gateway();
    let mut home = signed_in(&gateway, "alice", "2001:db8::7", FIREFOX);
    gateway.advance(25 * MINUTE);
    assert!(is_in(&mut home));
    let mut work = signed_in(&gateway, "alice", "192.0.2.1", CHROME);
    signed_in(&gateway, "bob", "198.51.100.66", "curl/8.17.0");
    gateway.advance(2 * MINUTE);
    let page = work.get(PAGE);
    assert_eq!(page.status, 200);
    let text = page.text().replace("&#x2f;", "/");
    let (this, other) = text.split_once("<li>").expect("a list").1.split_once("<li>").expect("two of them");
    for wanted in ["Chrome · Windows", "This one", "192.0.2.1", "2 minutes ago", "2027-01-15 08:25 UTC"] {
        assert!(this.contains(wanted), "{wanted}: {this}");
    }
    for wanted in
        ["Firefox · Linux", "2001:db8::7", "27 minutes ago", "2027-01-15 08:00 UTC", "2 minutes ago"]
    {
        assert!(other.contains(wanted), "{wanted}: {other}");
    }
    assert!(!other.contains("This one") && !text.contains("curl") && !text.contains("198.51.100.66"));
    work.set_field("Accept-Language", "ko");
    let korean = work.get(PAGE).text();
    for wanted in ["<html lang=\"ko\">", "내 세션", "현재 세션", "27분 전", "다른 모든 기기에서 로그아웃"]
    {
        assert!(korean.contains(wanted), "{wanted}: {korean}");
    }
}

#[test]
fn nobody_sees_it_without_a_login_and_a_login_leads_there() {
    let (_upstream, gateway) = gateway();
    let mut browser = Browser::of(&gateway);
    let answer = browser.get(PAGE);
    assert_eq!((answer.status, answer.header("cache-control")), (302, Some("no-store")));
    let login = answer.header("location").expect("the login").to_owned();
    assert_eq!(browser.post(PAGE, &[("do", "others")]).status, 303);
    let answer = browser.submit(&login, &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(answer.header("location"), Some(PAGE));
    assert_eq!(browser.get(PAGE).status, 200);
    assert_eq!(browser.request("DELETE", PAGE, &[], b"").status, 405);
    gateway.advance(31 * MINUTE);
    assert_eq!(browser.get(PAGE).status, 302, "and looking at it extends nothing");
}

#[test]
fn each_session_can_be_ended_and_the_others_go_on() {
    let (_upstream, gateway) = gateway();
    let mut here = signed_in(&gateway, "alice", "192.0.2.1", FIREFOX);
    let mut second = signed_in(&gateway, "alice", "192.0.2.2", CHROME);
    gateway.advance(MINUTE);
    let mut third = signed_in(&gateway, "alice", "192.0.2.3", CHROME);
    let forms = Form::all(&here.get(PAGE));
    let ends = Form::that_does(&forms, "end");
    assert_eq!(ends.len(), 3);
    // This one first, then those used last.
    let answer = ends[2].submit(&mut here, &[]);
    assert_eq!(notice(&mut here, &answer), "That session has ended.");
    assert!(is_in(&mut here) && !is_in(&mut second) && is_in(&mut third));
    assert!(second.get("/_cloakroom/login").text().contains("You are signed out."));
    let answer = ends[2].submit(&mut here, &[]);
    assert_eq!(notice(&mut here, &answer), "That session had ended already.");
    let answer = ends[0].submit(&mut here, &[]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/_cloakroom/logout")));
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
    assert_eq!(here.ticket(), None);
    assert!(!is_in(&mut here) && is_in(&mut third));
}

#[test]
fn one_can_sign_out_everywhere_else_and_everywhere() {
    let (_upstream, gateway) = gateway();
    let mut here = signed_in(&gateway, "alice", "192.0.2.1", FIREFOX);
    let mut there = signed_in(&gateway, "alice", "192.0.2.2", CHROME);
    let mut bob = signed_in(&gateway, "bob", "192.0.2.3", CHROME);
    let forms = Form::all(&here.get(PAGE));
    let answer = Form::that_does(&forms, "others")[0].submit(&mut here, &[]);
    assert_eq!(notice(&mut here, &answer), "You are signed out everywhere else.");
    assert!(is_in(&mut here) && !is_in(&mut there) && is_in(&mut bob));
    let forms = Form::all(&here.get(PAGE));
    assert!(Form::that_does(&forms, "others").is_empty(), "there is nothing else");

    for page in [PAGE, "/_cloakroom/logout"] {
        let mut here = signed_in(&gateway, "alice", "192.0.2.1", FIREFOX);
        let mut there = signed_in(&gateway, "alice", "192.0.2.2", CHROME);
        let shown = here.get(page);
        assert!(shown.text().contains("name=\"everywhere\""), "{page}");
        let forms = Form::all(&shown);
        let logout = forms.iter().find(|form| form.0 == "/_cloakroom/logout").expect("a form that signs out");
        let answer = logout.submit(&mut here, &[("everywhere", "yes")]);
        assert_eq!((answer.status, answer.header("clear-site-data")), (303, Some("\"cache\"")), "{page}");
        assert!(!is_in(&mut here) && !is_in(&mut there) && is_in(&mut bob), "{page}");
    }
}

#[test]
fn the_sessions_of_somebody_else_are_out_of_reach() {
    let (_upstream, gateway) = gateway();
    let mut alice = signed_in(&gateway, "alice", "192.0.2.1", FIREFOX);
    let mut bob = signed_in(&gateway, "bob", "192.0.2.2", CHROME);
    let (of_alice, of_bob) = (Form::all(&alice.get(PAGE)), Form::all(&bob.get(PAGE)));
    let (mine, theirs) = (Form::that_does(&of_alice, "end")[0], Form::that_does(&of_bob, "end")[0]);
    assert_eq!(theirs.submit(&mut alice, &[]).status, 403, "another's form");
    let value = |form: &Form, name: &str| {
        form.1.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).expect("it has one")
    };
    let (name, token) = (value(theirs, "session"), value(mine, "token"));
    let mixed = [("do", "end"), ("session", name.as_str()), ("token", token.as_str())];
    assert_eq!(alice.post(PAGE, &mixed).status, 403, "another's session with a token of one's own");
    assert!(is_in(&mut bob));
}

#[test]
fn a_form_does_only_what_it_is_for_and_only_where_it_stands() {
    let (_upstream, gateway) = gateway();
    let mut here = signed_in(&gateway, "alice", "192.0.2.1", FIREFOX);
    let mut there = signed_in(&gateway, "alice", "192.0.2.2", CHROME);
    let forms = Form::all(&here.get(PAGE));
    let token = |form: &Form| {
        form.1.iter().find(|(found, _)| found == "token").map(|(_, value)| value.clone()).expect("it has one")
    };
    let (end, logout) =
        (token(Form::that_does(&forms, "end")[1]), token(forms.last().expect("the last form")));
    for token in [end.as_str(), logout.as_str(), ""] {
        assert_eq!(here.post(PAGE, &[("do", "others"), ("token", token)]).status, 403);
    }
    assert_eq!(here.post(PAGE, &[("do", "logout"), ("token", &logout)]).status, 400);
    assert_eq!(here.post("/_cloakroom/logout", &[("token", &end)]).status, 403);
    assert_eq!(
        Form::that_does(&forms, "others")[0].submit(&mut there, &[]).status,
        403,
        "another session's form"
    );
    here.set_field("Origin", "https://evil.example");
    here.set_field("Sec-Fetch-Site", "cross-site");
    assert_eq!(Form::that_does(&forms, "others")[0].submit(&mut here, &[]).status, 403);
    here.set_field("Sec-Fetch-Site", "");
    here.set_field("Origin", "");
    for link in ["?do=others", "?done=others", "?done=others&token=AAAA"] {
        let page = here.get(&format!("{PAGE}{link}"));
        assert_eq!(page.status, 200);
        assert!(
            !page.text().contains("role=\"status\""),
            "a link from elsewhere puts no words into our mouth"
        );
    }
    assert!(is_in(&mut here) && is_in(&mut there));
}

#[test]
fn no_more_than_a_hundred_are_shown() {
    let (_upstream, gateway) = gateway();
    let mut browser = signed_in(&gateway, "alice", "192.0.2.1", FIREFOX);
    for _ in 0..104 {
        signed_in(&gateway, "alice", "192.0.2.2", CHROME);
    }
    let page = browser.get(PAGE);
    let forms = Form::all(&page);
    assert_eq!(Form::that_does(&forms, "end").len(), 100);
    assert!(page.text().contains("these are the ones used last"));
    let answer = Form::that_does(&forms, "others")[0].submit(&mut browser, &[]);
    assert_eq!(answer.status, 303);
    assert_eq!(gateway.sessions(), (1, 0), "also those that are not shown");
}

#[test]
fn where_browsers_keep_their_sessions_there_is_no_list() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "session: { store: cookie }");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let page = browser.get(PAGE);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("there is no list of them") && !page.text().contains("everywhere"));
    assert!(!browser.get("/_cloakroom/logout").text().contains("everywhere"));
    let forms = Form::all(&page);
    assert_eq!(forms.len(), 1);
    assert_eq!(forms[0].submit(&mut browser, &[]).status, 303);
    assert_eq!(browser.ticket(), None);
}

#[test]
fn sessions_that_began_at_another_gateway_are_listed_and_ended_and_their_pages_hear_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let yaml = format!(
        "keys: [{{ id: k, secret: a-secret-of-at-least-thirty-two-bytes }}]
session: {{ store: sql, sql: {{ url: 'sqlite:{}' }} }}",
        directory.path().join("sessions.db").display()
    );
    let upstream = EchoUpstream::start();
    let [one, two] = [(); 2].map(|()| TestGateway::before(&upstream, &yaml));
    let (mut here, mut there) = (signed_in(&one, "alice", "", FIREFOX), signed_in(&two, "alice", "", CHROME));
    let mut listening = Raw::connect(two.address());
    listening.send(there.head("GET", "/_cloakroom/session/events", &[]) + "\r\n");
    let head = listening.head();
    let page = here.get(PAGE);
    assert!(page.text().contains("Firefox · Linux") && page.text().contains("Chrome · Windows"));
    let forms = Form::all(&page);
    let answer = Form::that_does(&forms, "end")[1].submit(&mut here, &[]);
    assert_eq!(notice(&mut here, &answer), "That session has ended.");
    let heard = listening.body(head);
    assert!(heard.complete && heard.text().ends_with("{\"reason\":\"logout\"}\n\n"), "{}", heard.text());
    assert!(is_in(&mut here) && !is_in(&mut there));
}
