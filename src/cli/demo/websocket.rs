//! WebSocket echo: the demo application's end of a WebSocket (RFC 6455).
//!
//! Comes in: an upgrade request, then the connection. Goes out: the handshake's answer, then every message as it came.
//! Never holds more than one message of 64 KiB, and never a connection that has been silent for ten minutes.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

const LONGEST_MESSAGE: usize = 64 * 1024;
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Status codes of section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// The value of `Sec-WebSocket-Accept`, when the request asks for version 13 (section 4.2.1).
pub fn accept(headers: &HeaderMap) -> Option<String> {
    let lists = |name, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|member| member.trim().eq_ignore_ascii_case(token)))
    };
    let asks = lists(header::UPGRADE, "websocket") && lists(header::CONNECTION, "upgrade");
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    let nonce = STANDARD.decode(key.as_bytes()).ok()?;
    (asks && version == "13" && nonce.len() == 16).then(|| accept_for(key.as_bytes()))
}

fn accept_for(key: &[u8]) -> String {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.finish())
}

/// Echoes messages until either end closes, breaks off, falls silent or breaks the rules.
pub async fn echo(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let farewell = match converse(&mut io).await {
        Ok(farewell) => farewell,
        Err(End::Broken(status)) => status.to_be_bytes().to_vec(),
        Err(End::Gone) => return,
    };
    // The other end may be gone already; there is nothing left to tell it then.
    let _ = send(&mut io, CLOSE, &farewell).await;
    let _ = io.shutdown().await;
}

/// Why a conversation ended without a close frame.
enum End {
    /// The other end broke a rule; the status says which.
    Broken(u16),
    /// The connection ended or was silent for too long.
    Gone,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        End::Gone
    }
}

/// Echoes until a close frame arrives; gives back its payload.
async fn converse(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Vec<u8>, End> {
    let mut kind = None;
    let mut message = Vec::new();
    loop {
        let room = LONGEST_MESSAGE - message.len();
        let frame = timeout(LONGEST_SILENCE, read_frame(io, room)).await.map_err(|_| End::Gone)??;
        match (frame.opcode, kind) {
            (CLOSE, _) if frame.payload.len() == 1 => return Err(End::Broken(PROTOCOL_ERROR)),
            (CLOSE, _) => return Ok(frame.payload),
            (PING, _) => send(io, PONG, &frame.payload).await?,
            (PONG, _) => {}
            (TEXT | BINARY, None) | (CONTINUATION, Some(_)) => {
                let opcode = kind.unwrap_or(frame.opcode);
                message.extend_from_slice(&frame.payload);
                kind = Some(opcode);
                if frame.is_last {
                    if opcode == TEXT && std::str::from_utf8(&message).is_err() {
                        return Err(End::Broken(NOT_UTF8));
                    }
                    send(io, opcode, &message).await?;
                    message.clear();
                    kind = None;
                }
            }
            _ => return Err(End::Broken(PROTOCOL_ERROR)),
        }
    }
}

/// A frame, unmasked.
struct Frame {
    is_last: bool,
    opcode: u8,
    payload: Vec<u8>,
}

/// Reads one frame (section 5.2) of at most `room` bytes of a message.
async fn read_frame(io: &mut (impl AsyncRead + Unpin), room: usize) -> Result<Frame, End> {
    let [first, second] = read::<2>(io).await?;
    let (is_last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0F);
    let (is_masked, short_length) = (second & 0x80 != 0, second & 0x7F);
    let is_control = opcode >= CLOSE;
    if reserved != 0 || !is_masked || (is_control && (!is_last || short_length > 125)) {
        return Err(End::Broken(PROTOCOL_ERROR));
    }
    let length = match short_length {
        126 => u64::from(u16::from_be_bytes(read(io).await?)),
        127 => u64::from_be_bytes(read(io).await?),
        short => u64::from(short),
    };
    let length = usize::try_from(length).map_err(|_| End::Broken(TOO_BIG))?;
    if !is_control && length > room {
        return Err(End::Broken(TOO_BIG));
    }
    let mask: [u8; 4] = read(io).await?;
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    Ok(Frame { is_last, opcode, payload })
}

async fn read<const N: usize>(io: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], End> {
    let mut bytes = [0; N];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Sends a whole message, or a control frame.
async fn send(io: &mut (impl AsyncWrite + Unpin), opcode: u8, payload: &[u8]) -> Result<(), End> {
    let mut frame = Vec::with_capacity(payload.len() + 4);
    frame.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    timeout(LONGEST_SILENCE, io.write_all(&frame)).await.map_err(|_| End::Gone)??;
    Ok(io.flush().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the echo answers to these bytes, until it ends or falls silent.
    async fn answer_to(sent: &[u8]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(1024 * 1024);
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        echo(server).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match u8::try_from(payload.len()) {
            Ok(length @ ..=125) => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[1, 2, 3, 4]);
        frame.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    #[test]
    fn the_handshake_is_the_one_in_the_rfc() {
        assert_eq!(accept_for(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn messages_in_pieces_come_back_whole_with_a_ping_in_between() {
        let sent = [frame(0x01, b"Hel"), frame(0x89, b"?"), frame(0x80, b"lo"), frame(0x88, b"")].concat();
        assert_eq!(answer_to(&sent).await, b"\x8A\x01?\x81\x05Hello\x88\x00");
    }

    #[tokio::test]
    async fn what_breaks_the_rules_is_closed_with_its_status() {
        let close = |status: u16| [&[0x88, 2][..], &status.to_be_bytes()].concat();
        assert_eq!(answer_to(b"\x81\x00").await, close(PROTOCOL_ERROR), "not masked");
        assert_eq!(answer_to(&frame(0xC1, b"")).await, close(PROTOCOL_ERROR), "reserved bit");
        assert_eq!(answer_to(&frame(0x80, b"")).await, close(PROTOCOL_ERROR), "continues nothing");
        assert_eq!(answer_to(&frame(0x09, b"")).await, close(PROTOCOL_ERROR), "a ping in pieces");
        assert_eq!(answer_to(&frame(0x81, b"\xff")).await, close(NOT_UTF8));
        assert_eq!(answer_to(&frame(0x82, &vec![0; LONGEST_MESSAGE + 1])).await, close(TOO_BIG));
    }

    #[tokio::test]
    async fn a_message_as_long_as_allowed_comes_back() {
        let sent = [frame(0x82, &vec![7; LONGEST_MESSAGE]), frame(0x88, &1000_u16.to_be_bytes())].concat();
        let answer = answer_to(&sent).await;
        assert_eq!(answer.len(), 10 + LONGEST_MESSAGE + 4);
        assert!(answer.ends_with(b"\x07\x88\x02\x03\xE8"));
    }
}
