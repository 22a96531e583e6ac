//! Directory: whose entry it is, and what it says of them.
//!
//! Comes in: a user name as typed, and a password. Goes out: an entry, whether the password is its own, and who that is.
//! Never lets in where several entries fit, where the entry is disabled, or where it does not say who it is.

use std::collections::HashSet;

use ldap3::{Ldap, Scope};

use super::connections::{Connections, Entry, Question};
use super::failure::{Bound, Failure};
use super::settings::{Attributes, Groups, LdapSettings, People};
use super::template::{filter, first_part, is_below, name};
use crate::identity::Identity;

/// The attribute that names the groups of an entry.
const MEMBER_OF: &str = "memberOf";

/// Flags of an account in Active Directory.
const ACCOUNT_CONTROL: &str = "userAccountControl";
const DISABLED: u32 = 2;

/// Groups within groups are followed so far down.
const DEEPEST: usize = 10;

/// More groups than this are nobody's.
const MOST_GROUPS: usize = 1000;

/// Every entry has this.
const ANY: &str = "(objectClass=*)";

/// A directory, and how people are found in it.
#[derive(Debug)]
pub(super) struct Directory {
    connections: Connections,
    people: People,
    attributes: Attributes,
    groups: Groups,
}

/// Somebody's entry.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The user name in the directory's own spelling.
    pub user: String,
    entry: Entry,
}

/// What came of a password.
#[derive(Debug)]
pub(super) enum Proof {
    /// It is theirs.
    Is(Identity),
    /// It is not, or the account does not count; why, where that is known.
    IsNot(Option<String>),
}

impl Directory {
    pub fn new(settings: &LdapSettings, connections: Connections) -> Self {
        Self {
            connections,
            people: settings.people.clone(),
            attributes: settings.attributes.clone(),
            groups: settings.groups.clone(),
        }
    }

    /// The entry of a user, where an account searches for it.
    pub async fn find(&self, user: &str) -> Result<Option<Found>, Failure> {
        let People::Search { base, filter: template, .. } = &self.people else { return Ok(None) };
        let wanted = self.wanted();
        let question = Question {
            base,
            scope: Scope::Subtree,
            filter: &filter(template, user, ""),
            attributes: &wanted,
            most: 2,
        };
        let mut found = self.connections.search(question).await?;
        if found.len() > 1 {
            let all: Vec<_> = found.iter().map(|entry| entry.dn.as_str()).collect();
            tracing::error!("a login was refused: `user_filter` finds several entries: {}", all.join("; "));
            return Ok(None);
        }
        Ok(found.pop().and_then(|entry| self.recognised(entry)))
    }

    /// Whether a password is that of an entry.
    pub async fn prove(&self, found: &Found, password: &str) -> Result<Proof, Failure> {
        match self.connections.bind(&found.entry.dn, password).await? {
            (Bound::Yes, mut own) => self.admit(found, &mut own).await,
            (Bound::No(why), _) => Ok(Proof::IsNot(why)),
        }
    }

    /// Binds under a name made of what was typed. The entry must say the same name, up to blanks and upper case: otherwise
    /// another spelling that the directory takes for the same would be counted as somebody else.
    pub async fn bind_direct(&self, user: &str, password: &str) -> Result<Proof, Failure> {
        let People::Bind { dn } = &self.people else { return Ok(Proof::IsNot(None)) };
        let dn = name(dn, user);
        let mut own = match self.connections.bind(&dn, password).await? {
            (Bound::Yes, own) => own,
            (Bound::No(why), _) => return Ok(Proof::IsNot(why)),
        };
        let wanted = self.wanted();
        let question = Question { base: &dn, scope: Scope::Base, filter: ANY, attributes: &wanted, most: 1 };
        let entry = self.connections.ask(&mut own, question).await?.pop();
        let Some(found) = entry.and_then(|entry| self.recognised(entry)) else {
            return Ok(Proof::IsNot(Some("the entry cannot be read".to_owned())));
        };
        let spelled = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
        if spelled(&found.user) != spelled(user) {
            return Ok(Proof::IsNot(Some(format!("`{}` is another name", self.attributes.user))));
        }
        self.admit(&found, &mut own).await
    }

    /// Says who somebody is who has proved it.
    async fn admit(&self, found: &Found, own: &mut Ldap) -> Result<Proof, Failure> {
        let flags = found.entry.value(ACCOUNT_CONTROL).and_then(|flags| flags.parse::<u32>().ok());
        if flags.is_some_and(|flags| flags & DISABLED != 0) {
            return Ok(Proof::IsNot(Some("the account is disabled".to_owned())));
        }
        let groups = self.groups_of(found, own).await?;
        let Attributes { email, name, .. } = &self.attributes;
        let (email, name) = (found.entry.value(email), found.entry.value(name));
        let identity = Identity::new(&found.user, email, name, &groups);
        identity.map(Proof::Is).map_err(|why| Failure::Unusable(format!("{}: {why}", found.entry.dn)))
    }

    /// An entry, if it says who it is.
    fn recognised(&self, entry: Entry) -> Option<Found> {
        let attribute = &self.attributes.user;
        match entry.values(attribute) {
            [user] if !user.trim().is_empty() => Some(Found { user: user.trim().to_owned(), entry }),
            values => {
                let count = values.len();
                tracing::error!(
                    "a login was refused: `{attribute}` of {} has {count} values, and a user name is one",
                    entry.dn
                );
                None
            }
        }
    }

    fn wanted(&self) -> Vec<&str> {
        let Attributes { user, email, name } = &self.attributes;
        vec![user, email, name, MEMBER_OF, ACCOUNT_CONTROL]
    }

    /// The names of the groups somebody belongs to, in alphabetical order.
    async fn groups_of(&self, found: &Found, own: &mut Ldap) -> Result<Vec<String>, Failure> {
        let mut names = HashSet::new();
        let mut seen = HashSet::from([found.entry.dn.to_lowercase()]);
        let mut level = vec![found.entry.clone()];
        for depth in 0..=DEEPEST {
            let mut next = Vec::new();
            for entry in &level {
                for group in self.direct(entry, &found.user, own).await? {
                    if !seen.insert(group.dn.to_lowercase()) {
                        continue;
                    }
                    if seen.len() > MOST_GROUPS {
                        let message = format!("{} is in more than {MOST_GROUPS} groups", found.entry.dn);
                        return Err(Failure::Unusable(message));
                    }
                    names.extend(self.called(&group));
                    next.push(group);
                }
            }
            if !self.groups.nested || next.is_empty() {
                break;
            }
            if depth == DEEPEST {
                tracing::warn!("groups of {} go deeper than {DEEPEST} levels", found.entry.dn);
            }
            level = next;
        }
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort();
        Ok(names)
    }

    /// The groups that an entry belongs to itself.
    async fn direct(&self, entry: &Entry, user: &str, own: &mut Ldap) -> Result<Vec<Entry>, Failure> {
        let name = self.groups.name.as_str();
        match (&self.groups.filter, &self.groups.base) {
            (Some(template), Some(base)) => {
                let question = Question {
                    base,
                    scope: Scope::Subtree,
                    filter: &filter(template, user, &entry.dn),
                    attributes: &[name],
                    most: i32::try_from(MOST_GROUPS).unwrap_or(i32::MAX),
                };
                self.search(question, own).await
            }
            _ => {
                let mut groups = Vec::new();
                for dn in entry.values(MEMBER_OF) {
                    let counts = self.groups.base.as_ref().is_none_or(|base| is_below(dn, base));
                    if counts {
                        groups.push(self.group(dn, own).await?);
                    }
                }
                Ok(groups)
            }
        }
    }

    /// A group by its name: it is only looked at where it must be known what it belongs to.
    async fn group(&self, dn: &str, own: &mut Ldap) -> Result<Entry, Failure> {
        let named = Entry::named(dn);
        let is_called = first_part(dn).is_some_and(|(attribute, _)| self.is_name(attribute));
        if !self.groups.nested && is_called {
            return Ok(named);
        }
        let attributes = [self.groups.name.as_str(), MEMBER_OF];
        let question =
            Question { base: dn, scope: Scope::Base, filter: ANY, attributes: &attributes, most: 1 };
        match self.search(question, own).await {
            Ok(mut found) => Ok(found.pop().unwrap_or(named)),
            Err(error) if error.is_no_such_object() => Ok(named),
            Err(error) => Err(error),
        }
    }

    /// Searches as whoever may: the account, or the person.
    async fn search(&self, question: Question<'_>, own: &mut Ldap) -> Result<Vec<Entry>, Failure> {
        match &self.people {
            People::Search { .. } => self.connections.search(question).await,
            People::Bind { .. } => self.connections.ask(own, question).await,
        }
    }

    /// What a group is called: by its attribute, or else by its distinguished name.
    fn called(&self, group: &Entry) -> Option<String> {
        let by_attribute = group.value(&self.groups.name).map(str::to_owned);
        by_attribute.or_else(|| {
            first_part(&group.dn)
                .filter(|(attribute, _)| self.is_name(attribute))
                .map(|(_, name)| name.into_owned())
        })
    }

    fn is_name(&self, attribute: &str) -> bool {
        attribute.eq_ignore_ascii_case(&self.groups.name)
    }
}
