//! Records: what a snapshot holds, one after the other.
//!
//! Comes in: a session, an end, or how many there were. Goes out: `kind (1) ‖ length (4) ‖ bytes`, and the same again. Never
//! judges whether bytes are genuine: they are read after they were verified.

use crate::clock::Timestamp;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::snapshot::Ending;
use crate::session::stored::{PeopleRead, Stored, Unreadable};

/// One of them.
pub(super) enum Record {
    Session(Stored),
    Ending(Ending),
    /// The last one.
    Total {
        sessions: u64,
        endings: u64,
    },
}

const SESSION: u8 = 1;
const ENDING: u8 = 2;
const TOTAL: u8 = 3;

/// Kind and length.
const HEADER: usize = 5;

pub(super) fn put_session(out: &mut Vec<u8>, session: &Stored) {
    put(out, SESSION, |out| {
        out.extend_from_slice(&session.revision.to_be_bytes());
        session.write_to(out);
    });
}

pub(super) fn put_ending(out: &mut Vec<u8>, ending: &Ending) {
    put(out, ENDING, |out| {
        out.extend_from_slice(ending.digest.bytes());
        out.push(code(ending.reason));
        out.extend_from_slice(&ending.at.unix_millis().to_be_bytes());
    });
}

pub(super) fn put_total(out: &mut Vec<u8>, sessions: u64, endings: u64) {
    put(out, TOTAL, |out| {
        out.extend_from_slice(&sessions.to_be_bytes());
        out.extend_from_slice(&endings.to_be_bytes());
    });
}

fn put(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
    let start = out.len();
    write(out);
    let length = u32::try_from(out.len() - start).expect("a session is smaller than 4 GiB");
    out[start - 4..start].copy_from_slice(&length.to_be_bytes());
}

/// Takes the first record off `bytes`, once it is there to its end.
pub(super) fn take(bytes: &mut &[u8], people: &mut PeopleRead) -> Option<Result<Record, Unreadable>> {
    let ([kind, length @ ..], rest) = bytes.split_first_chunk::<HEADER>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (record, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(parse(*kind, record, people).ok_or(Unreadable))
}

fn parse(kind: u8, mut record: &[u8], people: &mut PeopleRead) -> Option<Record> {
    let record = &mut record;
    let parsed = match kind {
        SESSION => {
            let revision = number(record)?;
            Record::Session(Stored::from_bytes_of_many(std::mem::take(record), revision, people).ok()?)
        }
        ENDING => Record::Ending(Ending {
            digest: Digest::from_bytes(part(record)?),
            reason: part(record).and_then(|[code]| reason(code))?,
            at: Timestamp::from_unix_millis(number(record)?),
        }),
        TOTAL => Record::Total { sessions: number(record)?, endings: number(record)? },
        _ => return None,
    };
    record.is_empty().then_some(parsed)
}

fn part<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (part, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*part)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    part(bytes).map(u64::from_be_bytes)
}

/// As it is written: never given to another reason.
const fn code(reason: EndReason) -> u8 {
    match reason {
        EndReason::Logout => 1,
        EndReason::Idle => 2,
        EndReason::Absolute => 3,
        EndReason::Revoked => 4,
        EndReason::Limit => 5,
        EndReason::Evicted => 6,
        EndReason::Theft => 7,
        EndReason::Disabled => 8,
        EndReason::Replaced => 9,
    }
}

fn reason(written: u8) -> Option<EndReason> {
    EndReason::ALL.into_iter().find(|reason| code(*reason) == written)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_reason_comes_back() {
        for (at, reason) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code(reason)), at + 1);
            let ending = Ending {
                digest: Digest::from_bytes([7; 16]),
                reason,
                at: Timestamp::from_unix_millis(1_800_000_000_000),
            };
            let mut bytes = Vec::new();
            put_ending(&mut bytes, &ending);
            let mut rest = &bytes[..];
            let record = take(&mut rest, &mut PeopleRead::default()).expect("whole").expect("readable");
            assert!(matches!(record, Record::Ending(read) if read == ending));
            assert!(rest.is_empty());
            bytes[HEADER + 16] = 0;
            assert!(
                take(&mut &bytes[..], &mut PeopleRead::default()).is_some_and(|record| record.is_err()),
                "an unknown reason"
            );
        }
    }

    #[test]
    fn a_record_waits_until_it_is_there_to_its_end() {
        let mut bytes = Vec::new();
        put_total(&mut bytes, 3, 4);
        for length in 0..bytes.len() {
            assert!(take(&mut &bytes[..length], &mut PeopleRead::default()).is_none());
        }
        assert!(matches!(
            take(&mut &bytes[..], &mut PeopleRead::default()),
            Some(Ok(Record::Total { sessions: 3, endings: 4 }))
        ));
        bytes[0] = 9;
        assert!(
            take(&mut &bytes[..], &mut PeopleRead::default()).is_some_and(|record| record.is_err()),
            "an unknown kind"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..5) {
            let mut people = PeopleRead::default();
            let _ = take(&mut &bytes[..], &mut people);
            let _ = parse(kind, &bytes, &mut people);
        }
    }
}
