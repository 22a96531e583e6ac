//! Live: the two pages with a connection that stays open.
//!
//! Comes in: whoever is asking. Goes out: HTML with the demo's only script, which talks to `/echo` or listens to `/events`.

use super::page::page;
use super::reader::Reader;

const SCRIPT: &str = "<script src=\"/public/demo.js\" defer></script>";

/// `/websocket`: talks to `/echo`.
pub fn websocket(reader: &Reader) -> String {
    let content = format!(
        "<p>{}</p><section><form><label>{}<input name=\"text\" autocomplete=\"off\" required></label>\
         <button>{}</button></form><output aria-live=\"polite\" tabindex=\"0\" aria-label=\"{}\"></output></section>{SCRIPT}",
        reader.say(
            "What you send comes back over the same connection, through the gateway. Sign out in another tab, and the \
             gateway closes it.",
            "보낸 글이 게이트웨이를 거쳐 같은 연결로 되돌아옵니다. 다른 탭에서 로그아웃하면 게이트웨이가 연결을 닫습니다."
        ),
        reader.say("Message", "메시지"),
        reader.say("Send", "보내기"),
        reader.say("Log", "기록"),
    );
    page("/websocket", reader.say("WebSocket echo", "웹소켓 메아리"), reader, &content)
}

/// `/ticks`: listens to `/events`.
pub fn ticks(reader: &Reader) -> String {
    let content = format!(
        "<p>{}</p><section><output aria-live=\"off\" tabindex=\"0\" aria-label=\"{}\"></output></section>{SCRIPT}",
        reader.say(
            "One event a second, as server-sent events. The gateway passes each one on at once.",
            "1초마다 서버가 이벤트를 보냅니다. 게이트웨이는 하나하나 바로 전달합니다."
        ),
        reader.say("Log", "기록"),
    );
    page("/ticks", reader.say("Event stream", "이벤트 스트림"), reader, &content)
}
