//! Client certificates: a connection that proves who it is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::support::{EchoUpstream, TestGateway};

/// An authority, and what it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, fill: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        fill(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.der().clone(), key)
    }
}

fn named(name: &str) -> impl FnOnce(&mut CertificateParams) {
    let name = name.to_owned();
    move |params| {
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationalUnitName, "machines");
    }
}

/// The gateway's own certificate and the clients' authority, in files.
fn files(directory: &Path, clients: &Authority) -> Authority {
    let own = Authority::new("the gateway's");
    let (certificate, key) = own.sign(|params| {
        params.subject_alt_names.push(SanType::DnsName("localhost".try_into().expect("a name")));
    });
    let pem = rcgen_pem(&certificate);
    std::fs::write(directory.join("server.crt"), pem).expect("written");
    std::fs::write(directory.join("server.key"), key.serialize_pem()).expect("written");
    std::fs::write(directory.join("clients.pem"), clients.certificate.pem()).expect("written");
    own
}

fn rcgen_pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn yaml(directory: &Path, auth: &str, method: &str) -> String {
    let directory = directory.display();
    format!(
        "listen:\n  - address: 127.0.0.1:0\n    tls:\n      certificates: [{{ cert: '{directory}/server.crt', key: '{directory}/server.key' }}]\n      client_ca: '{directory}/clients.pem'\n      client_auth: {auth}\nroutes: [{{ path: /public, access: public }}, {{ path: /machines, access: {{ groups: [machines] }} }}, {{ path: / }}]\nlogin:\n  local: {{ users: {{ alice: '$HASH' }} }}\n  client_certificate: {method}\n"
    )
}

/// A client that trusts the gateway, with or without a certificate of its own.
fn client(server: &Authority, shown: Option<(CertificateDer<'static>, KeyPair)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.der().clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder =
        builder.with_safe_default_protocol_versions().expect("there are some").with_root_certificates(roots);
    let mut config = match shown {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            builder.with_client_auth_cert(vec![certificate], key).expect("they belong together")
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// One request on a connection of its own: how it was set up, and the whole answer; `None` where there is none.
fn ask(config: &Arc<ClientConfig>, address: SocketAddr, path: &str) -> Option<(HandshakeKind, String)> {
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(config.clone(), name).expect("a client");
    let socket = TcpStream::connect(address).expect("the gateway listens");
    let mut stream = StreamOwned::new(connection, socket);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let kind = stream.conn.handshake_kind()?;
    Some((kind, String::from_utf8_lossy(&answer).into_owned()))
}

fn status(answer: Option<(HandshakeKind, String)>) -> u16 {
    answer.map_or(0, |(_, text)| text[9..12].parse().expect("a status"))
}

#[test]
fn a_certificate_says_who_is_asking_also_when_the_connection_is_resumed() {
    let (directory, clients) = (tempfile::tempdir().expect("a directory"), Authority::new("clients'"));
    let own = files(directory.path(), &clients);
    let upstream = EchoUpstream::start();
    let method = "{ organizational_units: true }";
    let gateway = TestGateway::before(&upstream, &yaml(directory.path(), "optional", method));
    let shown = clients.sign(|params| {
        named("printer-7")(params);
        params.subject_alt_names.push(SanType::Rfc822Name("p7@example.com".try_into().expect("ASCII")));
    });
    let config = client(&own, Some(shown));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let (kind, answer) = ask(&config, gateway.address(), "/machines").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let head = answer.split_once("\r\n\r\n").expect("a head").0;
        assert!(!head.to_lowercase().contains("set-cookie"), "{head}");
        kinds.push(kind);
        let seen = upstream.requests().pop().expect("it came");
        assert_eq!(seen.header("x-auth-user"), Some("printer-7"));
        assert_eq!(seen.header("x-auth-email"), Some("p7@example.com"));
        assert_eq!(seen.header("x-auth-groups"), Some("machines"));
    }
    assert_eq!(kinds[1..], [HandshakeKind::Resumed, HandshakeKind::Resumed]);
    assert_eq!(gateway.sessions(), (0, 0));
    assert_eq!(status(ask(&config, gateway.address(), "/public")), 200);
    assert_eq!(upstream.requests().pop().expect("it came").header("x-auth-user"), None);
}

#[test]
fn without_a_certificate_or_with_a_strange_one_nobody_is_known() {
    let (directory, clients) = (tempfile::tempdir().expect("a directory"), Authority::new("clients'"));
    let own = files(directory.path(), &clients);
    let upstream = EchoUpstream::start();
    let stranger = || Some(Authority::new("clients'").sign(named("root")));
    let optional = TestGateway::before(&upstream, &yaml(directory.path(), "optional", "{}"));
    assert_eq!(status(ask(&client(&own, None), optional.address(), "/")), 401);
    assert_eq!(status(ask(&client(&own, None), optional.address(), "/public")), 200);
    assert_eq!(status(ask(&client(&own, stranger()), optional.address(), "/public")), 0);

    let required = TestGateway::before(&upstream, &yaml(directory.path(), "required", "{}"));
    assert_eq!(status(ask(&client(&own, None), required.address(), "/public")), 0);
    assert_eq!(status(ask(&client(&own, stranger()), required.address(), "/public")), 0);
    let known = Some(clients.sign(named("printer-7")));
    assert_eq!(status(ask(&client(&own, known), required.address(), "/")), 200);
}

#[test]
fn the_name_is_taken_from_where_it_is_looked_for_and_from_nowhere_else() {
    let (directory, clients) = (tempfile::tempdir().expect("a directory"), Authority::new("clients'"));
    let own = files(directory.path(), &clients);
    let upstream = EchoUpstream::start();
    let full = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::CommonName, "김철수");
        params.distinguished_name.push(DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), "u42");
        params.subject_alt_names = vec![
            SanType::DnsName("host.example".try_into().expect("ASCII")),
            SanType::Rfc822Name("kim@example.com".try_into().expect("ASCII")),
            SanType::URI("spiffe://example/printer".try_into().expect("ASCII")),
        ];
    };
    for (place, user) in [
        ("common_name", "%EA%B9%80%EC%B2%A0%EC%88%98"),
        ("user_id", "u42"),
        ("email", "kim@example.com"),
        ("dns", "host.example"),
        ("uri", "spiffe://example/printer"),
    ] {
        let yaml = yaml(directory.path(), "required", &format!("{{ user: {place}, groups: [machines] }}"));
        let gateway = TestGateway::before(&upstream, &yaml);
        let config = client(&own, Some(clients.sign(full)));
        assert_eq!(status(ask(&config, gateway.address(), "/machines")), 200, "{place}");
        assert_eq!(upstream.requests().pop().expect("it came").header("x-auth-user"), Some(user));
        let empty = client(&own, Some(clients.sign(|_| {})));
        assert_eq!(status(ask(&empty, gateway.address(), "/")), 401, "{place}");
    }
    let gateway = TestGateway::before(&upstream, &yaml(directory.path(), "required", "{}"));
    let twice = clients.sign(|params| {
        let kind = DnType::CustomDnType(vec![2, 5, 4, 3]);
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.distinguished_name.push(kind, "root");
    });
    assert_eq!(status(ask(&client(&own, Some(twice)), gateway.address(), "/")), 401);
    let evil = clients.sign(named("a\r\nX-Auth-Groups: machines"));
    assert_eq!(status(ask(&client(&own, Some(evil)), gateway.address(), "/")), 401);
}

#[test]
fn one_that_has_expired_since_the_handshake_counts_no_more() {
    let (directory, clients) = (tempfile::tempdir().expect("a directory"), Authority::new("clients'"));
    let own = files(directory.path(), &clients);
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, &yaml(directory.path(), "required", "{}"));
    let config = client(
        &own,
        Some(clients.sign(|params| {
            named("printer-7")(params);
            params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        })),
    );
    assert_eq!(status(ask(&config, gateway.address(), "/")), 200);
    gateway.advance(std::time::Duration::from_secs(14 * 366 * 86_400));
    assert_eq!(status(ask(&config, gateway.address(), "/")), 401);
}
