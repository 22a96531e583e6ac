//! Areas: pages for everybody and for groups.
//!
//! Comes in: whoever is asking. Goes out: HTML. These pages check nothing: whoever sees them was let in by the gateway.

use super::page::{escape, page};
use super::reader::Reader;

/// `/public/`: for everybody.
pub fn public(reader: &Reader) -> String {
    let content = reader.say(
        "<p>Anybody may read this page: its route says <code>access: public</code>. The gateway does not even \
         look at your session here, and it tells this application nobody's name.</p>\
         <p><a href=\"/\">The home page</a> needs a login. Not signed in? You will be asked, and then brought there. \
         <a href=\"/shop/\">The shop</a> needs none, and knows you all the same.</p>",
        "<p>누구나 볼 수 있는 페이지입니다. 경로에 <code>access: public</code>이라고 적혀 있습니다. 게이트웨이는 여기서 \
         세션을 보지도 않으며, 응용 프로그램에 누구의 이름도 알리지 않습니다.</p>\
         <p><a href=\"/\">첫 페이지</a>는 로그인이 필요합니다. 로그인하지 않았다면 로그인한 뒤 그곳으로 이동합니다. \
         <a href=\"/shop/\">가게</a>는 로그인이 필요 없지만 방문자를 알아봅니다.</p>",
    );
    page("/public/", reader.say("Everybody is welcome", "누구나 환영합니다"), reader, content)
}

/// `/staff/`: for the group staff; the gateway has checked that.
pub fn staff(reader: &Reader) -> String {
    let groups = escape(reader.groups.as_deref().unwrap_or("-"));
    let content = reader.say(
        "<p>You are here because the gateway let you: the route says <code>access: { groups: [staff] }</code>. This \
         application checks nothing. Your groups: <code>GROUPS</code>.</p>",
        "<p>게이트웨이가 들여보냈습니다. 경로에 <code>access: { groups: [staff] }</code>라고 적혀 있습니다. 이 응용 \
         프로그램은 아무것도 확인하지 않습니다. 그룹: <code>GROUPS</code>.</p>",
    );
    page("/staff/", reader.say("Staff only", "직원 전용"), reader, &content.replace("GROUPS", &groups))
}

/// `/finance/`: for a group that the demo's user is not in, so nobody sees it.
pub fn finance(reader: &Reader) -> String {
    let content = reader.say(
        "<p>You belong to finance, says the gateway.</p>",
        "<p>게이트웨이에 따르면 재무 그룹에 속해 있습니다.</p>",
    );
    page("/finance/", reader.say("Finance only", "재무 전용"), reader, content)
}
