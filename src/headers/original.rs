//! Original: the request that a proxy in front asks about, as nginx, Caddy and Traefik do before they let it pass.
//!
//! Comes in: the fields of the request that asks, and whether a trusted proxy sent it. Goes out: the request it asks about,
//! in normal form, in the place of the one that asks. Never believes anybody who is not trusted, and never one of two words
//! that contradict each other: a proxy passes on what a client made up under the names it does not set itself.

use http::Method;

use super::inbound::has_two_readings;
use super::target::Target;
use super::{BadRequest, Client, Inbound, NormalPath};
use crate::message::Fields;

/// The names that say the method and the target of one request.
struct Words {
    method: &'static str,
    target: &'static str,
}

/// As Caddy and Traefik say it.
const FORWARDED: Words = Words { method: "X-Forwarded-Method", target: "X-Forwarded-Uri" };

/// As it is usual with nginx, which has no names of its own for it.
const ORIGINAL: Words = Words { method: "X-Original-Method", target: "X-Original-URI" };

/// What a trusted proxy says of the request it asks about, as it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    methods: Vec<Box<[u8]>>,
    targets: Vec<Box<[u8]>>,
    host_is_unreadable: bool,
    passes_redirects: bool,
}

impl Original {
    /// Finds it, if there is one and `client` is behind a trusted proxy.
    #[inline]
    pub(super) fn find(client: &Client, fields: &Fields) -> Option<Box<Self>> {
        if client.is_behind_proxy() { Self::said(client, fields) } else { None }
    }

    fn said(client: &Client, fields: &Fields) -> Option<Box<Self>> {
        let all = |name: fn(&Words) -> &'static str| -> Vec<Box<[u8]>> {
            let names = [name(&FORWARDED), name(&ORIGINAL)];
            names.into_iter().flat_map(|name| fields.get_all(name)).map(Into::into).collect()
        };
        let (methods, targets) = (all(|words| words.method), all(|words| words.target));
        let said = !methods.is_empty() || !targets.is_empty();
        said.then(|| {
            Box::new(Self {
                methods,
                targets,
                host_is_unreadable: fields.contains("X-Forwarded-Host") && client.host.is_none(),
                passes_redirects: !fields.contains(ORIGINAL.target),
            })
        })
    }

    /// Whether the proxy passes on what it is answered, redirects too. nginx knows 401 and 403 only.
    pub fn passes_redirects(&self) -> bool {
        self.passes_redirects
    }

    /// The request asked about, with everything else as it is in the one that asks.
    pub fn take_place(&self, asking: Inbound) -> Result<Inbound, BadRequest> {
        let word = |said: &[Box<[u8]>]| {
            let (first, others) = said.split_first().ok_or(BadRequest::Original)?;
            let agree = others.iter().all(|other| other == first) && !self.host_is_unreadable;
            let text = std::str::from_utf8(first).ok().filter(|_| agree);
            text.map(str::to_owned).ok_or(BadRequest::Original)
        };
        let (method, target) = (word(&self.methods)?, word(&self.targets)?);
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| BadRequest::Method)?;
        if matches!(method, Method::CONNECT | Method::TRACE) || has_two_readings(&method) {
            return Err(BadRequest::Method);
        }
        let target = Target::parse(&method, &target)?;
        if target.authority.is_some() {
            return Err(BadRequest::Original);
        }
        let asterisk = target.path == "*";
        let path = NormalPath::parse(if asterisk { "/" } else { target.path })?;
        let query = target.query.map(str::to_owned);
        let host = asking.client.host.clone().unwrap_or(asking.host);
        Ok(Inbound { method, path, query, host, asterisk, ..asking })
    }
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;
    use crate::headers::{IdentityNames, ResponseHeaders, Rules, inbound};
    use crate::message::RequestHead;
    use crate::peer::{Peer, Scheme};

    /// The request asked about, as `METHOD host path?query`; `None` where none is believed.
    fn asked(ip: [u8; 4], said: &[(&str, &str)]) -> Option<Result<String, BadRequest>> {
        let mut fields = Fields::new();
        fields.append("Host", "gateway.internal");
        said.iter().for_each(|(name, value)| fields.append(name, value));
        let target = "/_cloakroom/auth".to_owned();
        let head = RequestHead { method: Method::GET, target, version: Version::HTTP_11, fields };
        let peer = Peer {
            remote: Some((ip, 5555).into()),
            local_port: Some(80),
            scheme: Scheme::Http,
            certificate: None,
        };
        let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
        let rules = Rules::new(IdentityNames::default(), &[], ResponseHeaders::default(), trusted);
        let mut asking = inbound(head, &peer, &rules, || "id".into()).expect("valid");
        assert!(asking.fields.iter().all(|(name, _)| !name.starts_with("X-")), "the rest does not see them");
        let original = asking.original.take()?;
        Some(original.take_place(asking).map(|request| {
            let Inbound { method, host, path, query, .. } = request;
            format!("{method} {} {}?{}", host.name(), path.as_str(), query.unwrap_or_default())
        }))
    }

    const PROXY: [u8; 4] = [10, 0, 0, 1];

    #[test]
    fn a_trusted_proxy_says_which_request_it_asks_about() {
        let said = [
            ("X-Forwarded-Method", "POST"),
            ("X-Forwarded-Uri", "/a/./b//%63?x=%2F"),
            ("X-Forwarded-Host", "App.example"),
        ];
        assert_eq!(asked(PROXY, &said), Some(Ok("POST app.example /a/b/c?x=%2F".to_owned())));
        let said = [("X-Original-URI", "/a"), ("X-Original-Method", "GET")];
        assert_eq!(asked(PROXY, &said), Some(Ok("GET gateway.internal /a?".to_owned())));
        assert_eq!(asked(PROXY, &[]), None);
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let said = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/"), ("X-Original-URI", "/")];
        assert_eq!(asked([192, 0, 2, 1], &said), None);
    }

    #[test]
    fn two_words_for_one_thing_are_none() {
        let refused: [&[(&str, &str)]; 6] = [
            &[("X-Forwarded-Uri", "/open")],
            &[("X-Forwarded-Method", "GET")],
            &[("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/admin"), ("X-Original-URI", "/open")],
            &[("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/admin"), ("X-Forwarded-Uri", "/open")],
            &[("X-Original-Method", "POST"), ("X-Forwarded-Method", "GET"), ("X-Original-URI", "/")],
            &[("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/"), ("X-Forwarded-Host", "a b")],
        ];
        for said in refused {
            assert_eq!(asked(PROXY, said), Some(Err(BadRequest::Original)), "{said:?}");
        }
    }

    #[test]
    fn what_could_not_be_a_request_is_none() {
        for (method, target) in [
            ("get", "/"),
            ("CONNECT", "/"),
            ("TRACE", "/"),
            ("G T", "/"),
            ("GET", ""),
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "/../x"),
            ("GET", "/a%00"),
            ("GET", "/a#b"),
            ("GET", "http://evil.example/"),
        ] {
            let said = [("X-Forwarded-Method", method), ("X-Forwarded-Uri", target)];
            assert!(matches!(asked(PROXY, &said), Some(Err(_))), "{method} {target}");
        }
    }
}
