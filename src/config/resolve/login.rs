//! Login: users and their password hashes.
//!
//! Comes in: `login:` as written, and the file of users. Goes out: settings whose hashes can be checked. Never shows a
//! hash.

use std::collections::BTreeMap;
use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash;
use secrecy::ExposeSecret;

use super::{Context, ldap, looks, totp};
use crate::config::brief::Brief;
use crate::config::file::{File, Login, LoginLanguage, Secret, User};
use crate::config::users;
use crate::identity::Identity;
use crate::login::oidc::settings::OidcSettings;
use crate::login::replay::ReplaySettings;
use crate::login::{Languages, LocalSettings, LocalUser, Settings, ThrottleSettings};

/// `login:`
pub(super) fn resolve(context: &mut Context, file: &File) -> Settings {
    let given = &file.login;
    if given.title.trim().is_empty() || given.title.chars().any(char::is_control) {
        context.error("login.title", "the login page needs a heading of one line");
    }
    let local = given.local.as_ref().map(|local| {
        let in_configuration = users(context, "login.local.users", &local.users);
        let users_file = local.users_file.as_deref().map(|given| context.file(given));
        if let Some(path) = &users_file {
            match users::load(path) {
                Ok(in_file) => {
                    let both =
                        in_file.iter().find(|user| in_configuration.iter().any(|u| u.name == user.name));
                    if let Some(user) = both {
                        let message =
                            format!("`{}` is in this file and under `users`\nkeep one of them", user.name);
                        context.error("login.local.users_file", message);
                    }
                }
                Err(problems) if problems.diagnostics().iter().all(|found| found.place.line == 0) => {
                    let why = problems.diagnostics().first().map(|found| found.message.as_str());
                    let message = format!("cannot read {}: {}", path.display(), why.unwrap_or_default());
                    context.error("login.local.users_file", message);
                }
                Err(problems) => context.found.extend_from_slice(problems.diagnostics()),
            }
        }
        let totp = local.totp.as_ref().map(|totp| totp::resolve(context, file, totp));
        LocalSettings { users: in_configuration, users_file, totp }
    });
    if let Some(local) = &given.local
        && local.users.is_empty()
        && local.users_file.is_none()
    {
        context.missing("login.local", "no users\nadd `users:` or `users_file:`");
    }
    Settings {
        title: given.title.clone(),
        languages: match given.languages.0[..] {
            [LoginLanguage::English] => Languages::English,
            [LoginLanguage::Korean] => Languages::Korean,
            _ => Languages::Auto,
        },
        remember_name: given.remember_name_for.0,
        local,
        ldap: given.ldap.as_ref().map(|given| ldap::resolve(context, given)),
        basic: None,
        bearer: None,
        trusted_header: None,
        client_certificate: None,
        oidc: OidcSettings::default(),
        throttle: ThrottleSettings {
            per_user: (given.throttle.per_user.0, given.throttle.per_user.1),
            per_ip: (given.throttle.per_ip.0, given.throttle.per_ip.1),
        },
        replay: replay(context, given),
        looks: looks::resolve(context, given),
        applications: Vec::new(),
    }
}

/// `login.replay_body` and its like: what may wait must find room.
fn replay(context: &mut Context, given: &Login) -> ReplaySettings {
    let settings = ReplaySettings {
        body: context.number("login.replay_body", given.replay_body.0, 0),
        total: context.number("login.replay_total", given.replay_total.0, 0),
        lasting: given.replay_for.0,
    };
    if settings.body > 16 << 20 {
        context.error("login.replay_body", "anybody may have the gateway keep this much\nat most 16MiB");
    }
    if settings.body > 0 && settings.body.saturating_add(4096) > settings.total {
        let message = "not even one request of `replay_body` fits\nmake it several times `replay_body`";
        context.error("login.replay_total", message);
    }
    settings
}

/// A map of users, which stands at `at` (empty: the whole file).
pub(in crate::config) fn users(
    context: &mut Context,
    at: &str,
    given: &BTreeMap<String, Brief<User>>,
) -> Vec<LocalUser> {
    let dot = if at.is_empty() { "" } else { "." };
    let mut users = Vec::new();
    for (name, Brief(user)) in given {
        let path = format!("{at}{dot}{name}");
        if let Err(why) = Identity::new(name, user.email.as_deref(), user.name.as_deref(), &user.groups) {
            context.key_error(&path, format!("`{name}` cannot be used: {why}"));
        }
        let Some(Secret(password)) = &user.password else {
            context.missing(&path, "a user without a password\nadd a hash from `cloakroom hash-password`");
            continue;
        };
        if let Err(why) = check_hash(password.expose_secret()) {
            context.error(&format!("{path}.password"), why);
        }
        users.push(LocalUser {
            name: name.clone(),
            password: password.clone(),
            email: user.email.clone(),
            full_name: user.name.clone(),
            groups: user.groups.clone(),
            disabled: user.disabled.0,
        });
    }
    users
}

/// Whether a text is a hash that a login can be checked against.
fn check_hash(hash: &str) -> Result<(), &'static str> {
    const MAKE_ONE: &str = "this is not a password hash\nmake one with `cloakroom hash-password`";
    if hash.starts_with("$argon2") {
        const BROKEN: &str = "this argon2 hash is damaged\ncopy it whole, in quotes: \"$argon2id$…\"";
        let parsed = PasswordHash::new(hash).map_err(|_| BROKEN)?;
        if parsed.algorithm.as_str() != "argon2id" {
            return Err(
                "only argon2id and bcrypt are accepted\nmake a new hash with `cloakroom hash-password`",
            );
        }
        let params = argon2::Params::try_from(&parsed).map_err(|_| BROKEN)?;
        if params.m_cost() > 1 << 20 || params.t_cost() > 64 {
            return Err(
                "this hash takes more than 1 GiB of memory or 64 passes\nmake a cheaper one with `cloakroom hash-password`",
            );
        }
        return if parsed.salt.is_some() && parsed.hash.is_some() { Ok(()) } else { Err(BROKEN) };
    }
    if ["$2a$", "$2b$", "$2y$"].iter().any(|start| hash.starts_with(start)) {
        const BROKEN: &str = "this bcrypt hash is damaged\ncopy it whole, in quotes: \"$2y$…\"";
        let parts = bcrypt::HashParts::from_str(hash).map_err(|_| BROKEN)?;
        return match parts.get_cost() {
            4..=16 if hash.len() == 60 => Ok(()),
            17.. => Err("this bcrypt hash takes seconds to check\nuse a cost of at most 16"),
            _ => Err(BROKEN),
        };
    }
    Err(MAKE_ONE)
}
