//! An OpenID provider that can be told to lie.
//!
//! Its pages are not shown: a test takes the address that the gateway sends a browser to, and has the provider make the
//! address that it would send the browser back to. Tokens, keys and what it says of itself are served over HTTP.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Browser, EchoUpstream, Message};

/// What the gateway shows to redeem a code.
pub const CLIENT: (&str, &str) = ("cloakroom", "a secret: %/+");

/// How a token is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Signing {
    /// As it should be.
    #[default]
    Honest,
    /// `alg: none`, without a signature.
    Not,
    /// HS256, with the public key as the secret.
    WithThePublicKey,
    /// By a key that nobody else has, under the id of the right one.
    ByAnotherKey,
    /// By a key that nobody else has, under an id of its own.
    UnderAnotherId,
}

/// What the provider says and does; tests change it as they go.
pub struct Manner {
    /// What it says of itself.
    pub metadata: Value,
    /// What it says of people: in ID tokens.
    pub person: Value,
    /// What it says of people who are asked for; with their `sub`.
    pub userinfo: Value,
    /// Changes an ID token's claims.
    pub lie: fn(&mut Value),
    /// How it signs.
    pub signing: Signing,
    /// What it adds to its answers as `iss`; none: nothing.
    pub iss: Option<String>,
    /// The status of everything it serves; 0: as it should be.
    pub status: u16,
    /// The status of `/token` alone.
    pub token_status: u16,
    /// The status of `/token` where a session is to go on; 400: it is over there.
    pub refresh_status: u16,
    /// Clock, in seconds since 1970.
    pub now: u64,
}

struct Inside {
    manner: Mutex<Manner>,
    keys: Mutex<Vec<(String, EcdsaKeyPair)>>,
    codes: Mutex<HashMap<String, Asked>>,
    asked: Mutex<Vec<Message>>,
    /// How often another refresh token was given.
    refreshed: Mutex<u32>,
}

/// What somebody was sent with.
#[derive(Clone)]
struct Asked {
    nonce: String,
    challenge: String,
    redirect_uri: String,
    used: bool,
}

/// A running provider; it stops when dropped.
pub struct Provider {
    server: EchoUpstream,
    inside: Arc<Inside>,
}

impl Provider {
    /// A provider that tells the truth, where `alice` is signed in.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let issuer = issuer(address);
        let at = |page: &str| format!("{issuer}/{page}");
        let manner = Manner {
            metadata: json!({
                "issuer": issuer, "authorization_endpoint": at("authorize?tenant=1"), "token_endpoint": at("token"),
                "jwks_uri": at("keys"), "userinfo_endpoint": at("userinfo"), "end_session_endpoint": at("end"),
                "authorization_response_iss_parameter_supported": true,
            }),
            person: json!({ "sub": "alice", "email": "alice@example.com", "name": "Alice", "groups": ["staff"], "sid": "s1" }),
            userinfo: json!({ "sub": "alice" }),
            lie: |_| {},
            signing: Signing::Honest,
            iss: Some(issuer),
            status: 0,
            token_status: 0,
            refresh_status: 0,
            now: 1_800_000_000,
        };
        let inside = Arc::new(Inside {
            manner: Mutex::new(manner),
            keys: Mutex::new(vec![key("k1")]),
            codes: Mutex::default(),
            asked: Mutex::default(),
            refreshed: Mutex::default(),
        });
        let serving = inside.clone();
        let server = EchoUpstream::on(listener, address, move |mut conversation| {
            while let Some(request) = conversation.request() {
                serving.asked.lock().expect("whole").push(request.clone());
                let (status, body) = serving.answer(&request);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
                );
                if conversation.try_send(head + &body).is_err() {
                    return;
                }
            }
        });
        Self { server, inside }
    }

    /// Its word for itself.
    pub fn issuer(&self) -> String {
        issuer(self.server.address())
    }

    /// The entry of `login.oidc` for it, under this name and with these settings besides.
    pub fn entry(&self, name: &str, settings: &str) -> String {
        let (issuer, (id, secret)) = (self.issuer(), CLIENT);
        format!(
            "{{ name: {name}, issuer: '{issuer}', client_id: {id}, client_secret: '{secret}', {settings} }}"
        )
    }

    /// Signs in with this browser by the entry of this name.
    #[track_caller]
    pub fn sign_in(&self, browser: &mut Browser, name: &str) {
        let sent = browser.get(&format!("/_cloakroom/login/{name}"));
        let back = self.authorize(sent.header("location").expect("there"));
        assert_eq!(browser.get(&back).status, 303);
    }

    /// Has it say or do something else from now on.
    pub fn change(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.inside.manner.lock().expect("whole"));
    }

    /// Has it sign with another key, and tell of that one only.
    pub fn rotate(&self, id: &str) {
        *self.inside.keys.lock().expect("whole") = vec![key(id)];
    }

    /// The requests it has got for this page.
    pub fn asked(&self, page: &str) -> Vec<Message> {
        let asked = self.inside.asked.lock().expect("whole");
        asked.iter().filter(|request| request.target().split('?').next() == Some(page)).cloned().collect()
    }

    /// Where it would send the browser that was sent here: on which page of the gateway it ends up.
    #[track_caller]
    pub fn authorize(&self, location: &str) -> String {
        let said = |name| query(location, name).unwrap_or_else(|| panic!("no {name} in {location}"));
        assert!(location.starts_with(&format!("{}/authorize?tenant=1&", self.issuer())), "{location}");
        assert_eq!((said("response_type"), said("client_id")), ("code".to_owned(), CLIENT.0.to_owned()));
        assert_eq!(said("code_challenge_method"), "S256");
        assert!(said("scope").split(' ').any(|scope| scope == "openid"));
        let redirect_uri = said("redirect_uri");
        let asked = Asked {
            nonce: said("nonce"),
            challenge: said("code_challenge"),
            redirect_uri: redirect_uri.clone(),
            used: false,
        };
        let mut codes = self.inside.codes.lock().expect("whole");
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), asked);
        self.back(location, &format!("code={code}"))
    }

    /// The same where somebody does not want to, or something went wrong.
    pub fn refuse(&self, location: &str, error: &str) -> String {
        self.back(location, &format!("error={error}&error_description=because"))
    }

    fn back(&self, location: &str, answer: &str) -> String {
        let redirect_uri = query(location, "redirect_uri").expect("an address to go back to");
        let page = redirect_uri.splitn(4, '/').nth(3).expect("a path");
        let state = query(location, "state").expect("a state");
        let iss = self.inside.manner.lock().expect("whole").iss.clone();
        let iss = iss.map(|iss| format!("&iss={}", encoded(&iss))).unwrap_or_default();
        format!("/{page}?{answer}&state={}{iss}", encoded(&state))
    }

    /// A token that says that somebody has signed out, with these changes.
    pub fn logout_token(&self, change: impl FnOnce(&mut Value)) -> String {
        let manner = self.inside.manner.lock().expect("whole");
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT.0, "iat": manner.now, "jti": URL_SAFE_NO_PAD.encode(random()), "sid": "s1",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        change(&mut claims);
        self.inside.signed(&claims, manner.signing)
    }
}

impl Inside {
    fn answer(&self, request: &Message) -> (u16, String) {
        let manner = self.manner.lock().expect("whole");
        if manner.status != 0 {
            return (manner.status, String::new());
        }
        let refreshes = request.text().contains("grant_type=refresh_token");
        match request.target().split('?').next().unwrap_or_default() {
            "/.well-known/openid-configuration" => (200, manner.metadata.to_string()),
            "/keys" => {
                let keys: Vec<_> =
                    self.keys.lock().expect("whole").iter().map(|(id, key)| public(id, key)).collect();
                (200, json!({ "keys": keys }).to_string())
            }
            "/token" if refreshes && manner.refresh_status == 400 => {
                (400, json!({ "error": "invalid_grant" }).to_string())
            }
            "/token" if refreshes && manner.refresh_status != 0 => (manner.refresh_status, String::new()),
            "/token" if manner.token_status != 0 => (manner.token_status, "not JSON".to_owned()),
            "/token" => match self.token(request, &manner) {
                Ok(answer) => (200, answer.to_string()),
                Err(error) => (400, json!({ "error": error }).to_string()),
            },
            "/userinfo" if request.header("authorization") == Some("Bearer access-0") => {
                (200, manner.userinfo.to_string())
            }
            _ => (404, String::new()),
        }
    }

    fn token(&self, request: &Message, manner: &Manner) -> Result<Value, &'static str> {
        let form = format!("?{}", request.text());
        let said = |name| query(&form, name).unwrap_or_default();
        let secret =
            format!("{}:{}", CLIENT.0, utf8_percent_encode(CLIENT.1, NON_ALPHANUMERIC)).replace("%20", "+");
        if request.header("authorization") != Some(&format!("Basic {}", STANDARD.encode(secret))) {
            return Err("invalid_client");
        }
        if said("grant_type") == "refresh_token" {
            return self.refreshed(&said("refresh_token"));
        }
        let mut codes = self.codes.lock().expect("whole");
        let asked = codes.get_mut(&said("code")).ok_or("invalid_grant")?;
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, said("code_verifier").as_bytes()));
        let fits = challenge == asked.challenge && said("redirect_uri") == asked.redirect_uri;
        if asked.used || !fits || said("grant_type") != "authorization_code" {
            return Err("invalid_grant");
        }
        asked.used = true;
        let mut claims = manner.person.clone();
        let common = json!({
            "iss": manner.metadata["issuer"], "aud": CLIENT.0, "iat": manner.now, "exp": manner.now + 300, "nonce": asked.nonce,
        });
        claims.as_object_mut().expect("a map").extend(common.as_object().expect("a map").clone());
        (manner.lie)(&mut claims);
        let id_token = self.signed(&claims, manner.signing);
        Ok(json!({
            "token_type": "Bearer", "access_token": "access-0", "id_token": id_token,
            "refresh_token": format!("refresh-{}", self.refreshed.lock().expect("whole")), "expires_in": 300,
        }))
    }

    /// Another token for the one that was given last; whoever shows an older one has lost.
    fn refreshed(&self, token: &str) -> Result<Value, &'static str> {
        let mut given = self.refreshed.lock().expect("whole");
        if token != format!("refresh-{given}") {
            return Err("invalid_grant");
        }
        *given += 1;
        let refresh = format!("refresh-{given}");
        Ok(
            json!({ "token_type": "Bearer", "access_token": format!("access-{given}"), "refresh_token": refresh, "expires_in": "300" }),
        )
    }

    fn signed(&self, claims: &Value, signing: Signing) -> String {
        let keys = self.keys.lock().expect("whole");
        let (id, own) = keys.first().expect("there is always one");
        let (_, foreign) = key("foreign");
        let (algorithm, id) = match signing {
            Signing::Not => ("none", id.as_str()),
            Signing::WithThePublicKey => ("HS256", id.as_str()),
            Signing::UnderAnotherId => ("ES256", "foreign"),
            Signing::Honest | Signing::ByAnotherKey => ("ES256", id.as_str()),
        };
        let head = json!({ "alg": algorithm, "kid": id, "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&head), part(claims));
        let sign = |key: &EcdsaKeyPair| {
            key.sign(&SystemRandom::new(), text.as_bytes()).expect("it can sign").as_ref().to_vec()
        };
        let signature = match signing {
            Signing::Not => Vec::new(),
            Signing::WithThePublicKey => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, own.public_key().as_ref());
                hmac::sign(&secret, text.as_bytes()).as_ref().to_vec()
            }
            Signing::ByAnotherKey | Signing::UnderAnotherId => sign(&foreign),
            Signing::Honest => sign(own),
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn issuer(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn key(id: &str) -> (String, EcdsaKeyPair) {
    (id.to_owned(), EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("it can be made"))
}

fn public(id: &str, key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id,
        "x": coordinate(&point[1..33]), "y": coordinate(&point[33..]),
    })
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A parameter of an address.
pub fn query(address: &str, name: &str) -> Option<String> {
    let (_, query) = address.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8().ok()?.into_owned())
}
