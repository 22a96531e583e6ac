//! Public URL: what browsers see.
//!
//! Comes in: `public_url:` as written. Goes out: scheme, host and port. Never has a path.

use super::Context;
use crate::gateway::settings::PublicUrl;
use crate::headers::Host;
use crate::peer::Scheme;

/// Reads `public_url:`.
pub(super) fn resolve(context: &mut Context, given: Option<&str>) -> Option<PublicUrl> {
    let given = given?;
    match parse(given) {
        Ok(url) => Some(url),
        Err(why) => {
            context.error("public_url", format!("`{given}` is not a URL for browsers: {why}"));
            // Enough to keep quiet about what follows from it.
            let scheme = if given.starts_with("http://") { Scheme::Http } else { Scheme::Https };
            Some(PublicUrl { scheme, authority: String::new() })
        }
    }
}

fn parse(given: &str) -> Result<PublicUrl, &'static str> {
    const EXAMPLE: &str = "it needs a scheme\nwrite `https://app.example.com`";
    let (scheme, rest) = given.split_once("://").ok_or(EXAMPLE)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return Err("the scheme is neither http nor https\nwrite `https://app.example.com`"),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("a path, query or fragment has no place here\nwrite scheme, host and port only");
    }
    let host =
        Host::parse(authority).ok_or("the host or port is not valid\nwrite `https://app.example.com`")?;
    let port = host.port().filter(|port| *port != scheme.default_port());
    let suffix = port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(PublicUrl { scheme, authority: format!("{}{suffix}", host.name()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_written_as_browsers_do() {
        for (given, origin) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com:443/", "https://app.example.com"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(parse(given).expect("a URL").origin(), origin);
        }
        for given in
            ["app.example.com", "ftp://x", "https://a/b", "https://u@a", "https://a:99999", "https://"]
        {
            assert!(parse(given).is_err(), "{given}");
        }
    }
}
