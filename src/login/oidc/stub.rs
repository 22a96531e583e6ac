//! Stub: the part of a login under way that stays in the browser.
//!
//! Comes in: the cookies of a request. Goes out: one cookie of fixed size for each login that was begun in this browser,
//! called after it, so that many tabs can log in at the same time and none takes another's away. All that only this
//! browser may know comes from its secret: which state is its own, the proof that it may redeem the code (RFC 7636), and
//! the nonce of its token. Never more than a few at a time, and none for longer than a login may take.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::login::guard::STUB_COOKIES;
use crate::message::Fields;
use crate::session::cookie;

/// Seconds that a login may take.
pub const LASTING: u64 = 600;

/// So many logins may be under way in one browser; the oldest gives way.
const MOST: usize = 16;

/// Characters of a secret: 32 bytes in base64url.
const LENGTH: usize = 43;

/// Characters of a state's name that its cookie is called by.
const CALLED: usize = 8;

/// What a browser keeps of one login.
pub struct Stub {
    secret: String,
    secure: bool,
}

impl Stub {
    /// A new one.
    pub fn fresh(secure: bool) -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system's generator works once the system is up");
        Self { secret: URL_SAFE_NO_PAD.encode(bytes), secure }
    }

    /// The one that belongs to the state of this name, if this browser has it.
    pub fn shown(fields: &Fields, state: &str, secure: bool) -> Option<Self> {
        let secret = cookie::find(fields, &called(state, secure)?)?;
        let stub = (secret.len() == LENGTH).then(|| Self { secret: secret.to_owned(), secure })?;
        verify_slices_are_equal(stub.state().as_bytes(), state.as_bytes()).ok()?;
        Some(stub)
    }

    /// The name of its state.
    pub fn state(&self) -> String {
        self.derived(b"cloakroom/1 oidc state")
    }

    /// What its token must say, to be for this login.
    pub fn nonce(&self) -> String {
        self.derived(b"cloakroom/1 oidc nonce")
    }

    /// What proves that the code is redeemed for this browser (RFC 7636, section 4.1).
    pub fn verifier(&self) -> String {
        self.derived(b"cloakroom/1 oidc verifier")
    }

    /// What the provider is told of that beforehand: `S256`.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier().as_bytes()))
    }

    /// `Set-Cookie` that has the browser keep it.
    pub fn set_cookie(&self) -> String {
        let name = called(&self.state(), self.secure).expect("a state's name is long enough");
        format!("{}; Max-Age={LASTING}", attributes(&name, &self.secret, self.secure))
    }

    /// `Set-Cookie` that takes it back.
    pub fn take_back(&self) -> String {
        let name = called(&self.state(), self.secure).expect("a state's name is long enough");
        format!("{}; Max-Age=0", attributes(&name, "", self.secure))
    }

    fn derived(&self, purpose: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose))
    }
}

impl std::fmt::Debug for Stub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stub(…)")
    }
}

/// `Set-Cookie` values that make room for another login: browsers show their oldest cookies first (RFC 6265, section 5.4).
pub fn take_back_oldest(fields: &Fields, secure: bool) -> Vec<String> {
    let start = format!("{}.", STUB_COOKIES[usize::from(!secure)]);
    let pairs = fields.get_all("cookie").flat_map(|field| field.split(|&byte| byte == b';'));
    let names = pairs.filter_map(|pair| {
        let name = std::str::from_utf8(pair.trim_ascii()).ok()?.split('=').next()?;
        let own = name.strip_prefix(&start)?;
        (own.len() <= LENGTH && own.bytes().all(is_base64url)).then_some(name)
    });
    let names: Vec<_> = names.collect();
    let surplus = (names.len() + 1).saturating_sub(MOST);
    names[..surplus].iter().map(|name| format!("{}; Max-Age=0", attributes(name, "", secure))).collect()
}

/// What the cookie for a state is called.
fn called(state: &str, secure: bool) -> Option<String> {
    let own = state.get(..CALLED).filter(|own| own.bytes().all(is_base64url))?;
    Some(format!("{}.{own}", STUB_COOKIES[usize::from(!secure)]))
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn attributes(name: &str, value: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &[String]) -> Fields {
        let mut fields = Fields::new();
        fields.append("Cookie", cookies.join("; "));
        fields
    }

    fn pair(stub: &Stub) -> String {
        stub.set_cookie().split(';').next().expect("a pair").to_owned()
    }

    #[test]
    fn a_stub_is_found_by_its_state_and_by_no_other() {
        for secure in [true, false] {
            let (one, other) = (Stub::fresh(secure), Stub::fresh(secure));
            let fields = sent(&[pair(&other), "a=1".to_owned(), pair(&one)]);
            let found = Stub::shown(&fields, &one.state(), secure).expect("it is there");
            assert_eq!((found.nonce(), found.verifier()), (one.nonce(), one.verifier()));
            assert!(Stub::shown(&fields, &Stub::fresh(secure).state(), secure).is_none());
            assert!(Stub::shown(&fields, &one.state(), !secure).is_none());
            let set = one.set_cookie();
            assert!(
                set.contains("; Path=/; HttpOnly; SameSite=Lax") && set.contains("; Max-Age=600"),
                "{set}"
            );
            assert_eq!((set.starts_with("__Host-"), set.contains("; Secure")), (secure, secure));
        }
    }

    #[test]
    fn a_cookie_under_the_name_of_another_state_is_not_its_stub() {
        let (mine, theirs) = (Stub::fresh(true), Stub::fresh(true));
        let name = called(&theirs.state(), true).expect("long enough");
        let fields = sent(&[format!("{name}={}", mine.secret)]);
        assert!(Stub::shown(&fields, &theirs.state(), true).is_none());
        for state in ["", "short", "../../../etc", "한글한글한글"] {
            assert!(Stub::shown(&fields, state, true).is_none());
        }
    }

    #[test]
    fn what_others_see_tells_nothing_of_the_secret() {
        let stub = Stub::fresh(true);
        let told = [stub.state(), stub.nonce(), stub.verifier(), stub.challenge(), stub.secret.clone()];
        for (at, text) in told.iter().enumerate() {
            assert_eq!(text.len(), 43);
            assert!(told[at + 1..].iter().all(|other| other != text));
        }
    }

    #[test]
    fn cookies_do_not_pile_up() {
        let stubs: Vec<_> = (0..20).map(|_| pair(&Stub::fresh(true))).collect();
        assert!(take_back_oldest(&sent(&stubs[..15]), true).is_empty());
        let gone = take_back_oldest(&sent(&stubs), true);
        assert_eq!(gone.len(), 5, "there is room for one more");
        let name = stubs[0].split('=').next().expect("a name");
        assert!(gone[0].starts_with(&format!("{name}=;")) && gone[0].ends_with("; Max-Age=0"), "{}", gone[0]);
    }
}
