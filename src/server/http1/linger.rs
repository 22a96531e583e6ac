//! Linger: closing a connection whose client is still sending.
//!
//! A socket that is closed with unread bytes resets the connection, and the client may never see the answer that was
//! sent before (RFC 9112, section 9.6). So the sending side is closed first, and what still comes is thrown away, for
//! a bounded time and number of bytes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stream::Stream;

const LONGEST: Duration = Duration::from_secs(2);
const MOST_READS: usize = 256;

/// Closes the connection so that its last response arrives.
pub async fn close(mut stream: Stream) {
    let rest = async {
        let _ = stream.shutdown().await;
        let mut scratch = vec![0; 16 * 1024];
        for _ in 0..MOST_READS {
            if stream.read(&mut scratch).await.is_ok_and(|count| count > 0) {
                continue;
            }
            break;
        }
    };
    let _ = tokio::time::timeout(LONGEST, rest).await;
}
