//! Own pages: requests under the reserved prefix, answered by the gateway itself.

use std::cell::RefCell;
use std::rc::Rc;

use http::Method;

use super::body::Body;
use super::record::Record;
use super::refusal::Refusal;
use super::{Gateway, OURS, Reply};
use crate::body::RequestBody;
use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::login::Ask;
use crate::peer::Scheme;
use crate::session::origin::Origin;
use crate::session::{Memo, Recognition};

/// Largest form that is read.
const LARGEST_FORM: usize = 64 * 1024;

/// A request for one of our pages.
pub(super) struct Visit {
    /// What follows the reserved prefix, with its slash.
    pub page: String,
    pub inbound: Inbound,
    pub body: RequestBody,
    pub memo: Rc<RefCell<Memo>>,
}

impl Gateway {
    /// The page asked for, if the path is one of ours: what follows the reserved prefix, with its slash.
    pub(super) fn own_page<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.settings.reserved_prefix.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    pub(super) async fn page(
        &self,
        visit: Visit,
        now: Timestamp,
        record: &mut Record,
    ) -> Result<Reply, Refusal> {
        let Visit { page, mut inbound, mut body, memo } = visit;
        let shown = self.sessions().take_cookies(&mut inbound.fields, &[]);
        let recognition = self.sessions().recognise(&shown, &mut memo.borrow_mut(), now, false);
        let visitor = match recognition {
            Recognition::Is(visitor) => visitor,
            Recognition::Unsure => {
                let found = self.sessions().enquire(&shown, &mut Memo::default(), now, false).await;
                found.map_err(Refusal::Store)?
            }
        };
        record.visitor(&visitor);
        let form = match inbound.method {
            Method::POST => body.gather(LARGEST_FORM).await.map_err(Refusal::Wire)?,
            _ => bytes::Bytes::new(),
        };
        let public = self.settings.public_url.as_ref().map(|public| public.scheme);
        let secure = public.unwrap_or(inbound.client.scheme) == Scheme::Https;
        let origins = [match &self.settings.public_url {
            Some(public) => public.origin(),
            None => format!("{}://{}", inbound.client.scheme.as_str(), inbound.host.authority()),
        }];
        let ask = Ask {
            path: &page,
            method: &inbound.method,
            query: inbound.query.as_deref(),
            fields: &inbound.fields,
            form: &form,
            visitor: &visitor,
            client: inbound.client.ip,
            origin: Origin::of(inbound.client.ip, inbound.fields.get("user-agent").unwrap_or_default()),
            secure,
            origins: &origins,
        };
        let reply = self.settings.login.answer(ask, self.sessions(), now).await;
        Ok(Reply { keeps: OURS, head: reply.head, body: Body::Full(reply.body), tunnel: None })
    }
}
