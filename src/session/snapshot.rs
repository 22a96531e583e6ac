//! Snapshot: the file in which sessions outlast a restart.
//!
//! Comes in: sessions and ends that are to be remembered, and a path. Goes out: a file that only our keys can read, written
//! whole or not at all; or what it holds. A file that was torn or changed gives nothing: it is verified to its end before
//! the first session is delivered. Holds a few chunks in memory, however large the file is. Never holds an id.

use std::fs::File;
use std::io::{self, ErrorKind, Seek as _};
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;
use crate::session::id::Digest;
use crate::session::keys::Keys;
use crate::session::record::EndReason;
use crate::session::stored::{PeopleRead, Stored};

mod chunks;
mod records;
pub mod replace;

use chunks::{Damage, Reader, Writer};
use records::Record;

/// That a session ended, for as long as somebody may come with its id and want to know why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which.
    pub digest: Digest,
    /// Why.
    pub reason: EndReason,
    /// When.
    pub at: Timestamp,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many sessions.
    pub sessions: u64,
    /// How many ends.
    pub endings: u64,
    /// The size of the file.
    pub bytes: u64,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many sessions.
    pub sessions: u64,
    /// How many ends.
    pub endings: u64,
    /// The size of the file.
    pub bytes: u64,
    /// When it was written.
    pub written: Timestamp,
}

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// As at the very first start.
    #[error("there is no snapshot {}", .0.display())]
    Missing(PathBuf),
    /// Whatever it is, it is left alone.
    #[error("{} is not a snapshot", .0.display())]
    Foreign(PathBuf),
    /// An older version cannot read it.
    #[error("{} was written by a newer version, in format {version}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u8,
    },
    /// The key is gone, or the header was changed.
    #[error("{} was sealed with none of the keys in use", .0.display())]
    OtherKey(PathBuf),
    /// The file ends early, or is not what was written.
    #[error("{} is torn or was changed, at byte {at} or behind", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
        /// Up to here it is as it was written.
        at: u64,
    },
    /// The file is as it was written, and holds what this version does not know.
    #[error("{} holds something that this version does not read, before byte {at}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Before here.
        at: u64,
    },
    /// The disk is full, say.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Writes everything to `path`. On an error what was there before is still there.
pub fn write(
    path: &Path,
    keys: &Keys,
    sessions: impl Iterator<Item = Stored>,
    endings: impl Iterator<Item = Ending>,
    now: Timestamp,
) -> Result<Written, SnapshotError> {
    let written = replace::replace(path, now, |file| {
        let mut out = Writer::begin(file, keys.snapshot(), now)?;
        let (mut count, mut ends) = (0, 0);
        for session in sessions {
            out.append(|bytes| records::put_session(bytes, &session))?;
            count += 1;
        }
        for ending in endings {
            out.append(|bytes| records::put_ending(bytes, &ending))?;
            ends += 1;
        }
        out.append(|bytes| records::put_total(bytes, count, ends))?;
        let bytes = out.finish()?;
        Ok(Written { sessions: count, endings: ends, bytes })
    });
    written.map_err(|error| SnapshotError::Io { what: "write", path: path.to_owned(), error })
}

/// Reads `path` and delivers what it holds. On an error nothing was delivered, unless somebody changed the file in the time
/// between its verification and its delivery.
pub fn read(
    path: &Path,
    keys: &Keys,
    mut session: impl FnMut(Stored),
    mut ending: impl FnMut(Ending),
) -> Result<Summary, SnapshotError> {
    let opened = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SnapshotError::Missing(path.to_owned()),
        _ => told(path, Damage::Io(error)),
    });
    let mut file = opened?;
    pass(&mut file, keys, |_| {}).map_err(|damage| told(path, damage))?;
    let deliver = |record| match record {
        Record::Session(stored) => session(stored),
        Record::Ending(end) => ending(end),
        Record::Total { .. } => {}
    };
    file.rewind()
        .map_err(Damage::Io)
        .and_then(|()| pass(&mut file, keys, deliver))
        .map_err(|damage| told(path, damage))
}

/// Reads a file from its beginning to its end.
fn pass(file: &mut File, keys: &Keys, mut each: impl FnMut(Record)) -> Result<Summary, Damage> {
    let mut input = Reader::begin(file, keys.snapshot())?;
    let mut summary = Summary { sessions: 0, endings: 0, bytes: 0, written: input.written() };
    let mut people = PeopleRead::default();
    let (mut plain, mut total) = (Vec::with_capacity(2 * chunks::CHUNK), None);
    while input.next(&mut plain)? {
        let mut rest = &plain[..];
        while let Some(record) = records::take(&mut rest, &mut people) {
            let record = record.map_err(|_| Damage::Unreadable(input.at()))?;
            match &record {
                Record::Session(_) => summary.sessions += 1,
                Record::Ending(_) => summary.endings += 1,
                Record::Total { sessions, endings } => total = Some((*sessions, *endings)),
            }
            each(record);
        }
        let left = rest.len();
        plain.drain(..plain.len() - left);
    }
    summary.bytes = input.at();
    if !plain.is_empty() || total != Some((summary.sessions, summary.endings)) {
        return Err(Damage::Unreadable(summary.bytes));
    }
    Ok(summary)
}

fn told(path: &Path, damage: Damage) -> SnapshotError {
    let path = path.to_owned();
    match damage {
        Damage::Foreign => SnapshotError::Foreign(path),
        Damage::Newer(version) => SnapshotError::Newer { path, version },
        Damage::OtherKey => SnapshotError::OtherKey(path),
        Damage::Torn(at) => SnapshotError::Torn { path, at },
        Damage::Unreadable(at) => SnapshotError::Unreadable { path, at },
        Damage::Io(error) => SnapshotError::Io { what: "read", path, error },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use secrecy::SecretBox;

    use super::*;
    use crate::identity::Identity;
    use crate::session::data::Data;
    use crate::session::id::SessionId;
    use crate::session::origin::Origin;
    use crate::session::settings::Key;
    use crate::session::stored::Turn;

    /// Header and tag.
    const BEGIN: usize = 41;

    fn keys(bytes: &[u8]) -> Keys {
        let key = |byte: &u8| Key {
            id: format!("k{byte}"),
            secret: SecretBox::new(vec![*byte; 32].into_boxed_slice()),
        };
        Keys::new(&bytes.iter().map(key).collect::<Vec<_>>())
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    /// A session that takes some `size` bytes more than an empty one.
    fn session(number: u64, size: usize) -> Stored {
        let id = SessionId::mint();
        let groups: Vec<_> = (0..size.div_ceil(250)).map(|_| "g".repeat(250.min(size))).collect();
        Stored {
            digest: id.digest(),
            turn: Turn { proof: id.proof(), since: now(), previous: None, shown: None },
            identity: Identity::new(&format!("user{number}"), None, None, &groups).ok(),
            credential: number,
            created: now(),
            last_seen: now(),
            remember: false,
            idle: 0,
            origin: Origin::default(),
            data: Data::default(),
            revision: number,
        }
    }

    fn sessions(count: u64, size: usize) -> Vec<Stored> {
        (0..count).map(|number| session(number, size)).collect()
    }

    fn ending(number: u8) -> Ending {
        Ending { digest: Digest::from_bytes([number; 16]), reason: EndReason::Logout, at: now() }
    }

    fn written(path: &Path, sessions: &[Stored]) -> Written {
        write(path, &keys(&[1]), sessions.iter().cloned(), [ending(3)].into_iter(), now()).expect("written")
    }

    /// What is delivered, and what is said of it.
    fn delivered(path: &Path, bytes: &[u8]) -> (Vec<Stored>, Vec<Ending>, Result<Summary, SnapshotError>) {
        let (mut sessions, mut endings) = (Vec::new(), Vec::new());
        let said = read(path, &keys(bytes), |session| sessions.push(session), |ending| endings.push(ending));
        (sessions, endings, said)
    }

    /// Where chunks begin and end.
    fn chunks(file: &[u8]) -> Vec<std::ops::Range<usize>> {
        let (mut at, mut chunks) = (BEGIN, Vec::new());
        while at < file.len() {
            let word = u32::from_be_bytes(*file[at..].first_chunk().expect("a length"));
            let end = at + 4 + (word & 0x7fff_ffff) as usize + 16;
            chunks.push(at..end);
            at = end;
        }
        chunks
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("sessions")
        }

        /// A file of this content gives nothing, and is said to be torn.
        fn gives_nothing(&self, file: &[u8], what: &str) {
            fs::write(self.path(), file).expect("written");
            let (sessions, endings, said) = delivered(&self.path(), &[1]);
            assert!(matches!(said, Err(SnapshotError::Torn { .. })), "{what}: {said:?}");
            assert!(sessions.is_empty() && endings.is_empty(), "{what}");
        }
    }

    #[test]
    fn sessions_and_ends_come_back_in_their_order() {
        let place = Place::new();
        // Some are larger than a chunk with many of the others, and all together fill several.
        let mut all = sessions(3000, 300);
        all.extend(sessions(10, 60_000));
        let told = written(&place.path(), &all);
        assert_eq!((told.sessions, told.endings), (3010, 1));
        assert_eq!(told.bytes, fs::metadata(place.path()).expect("there").len());
        assert!(told.bytes > 5 * chunks::CHUNK as u64);
        let (sessions, endings, said) = delivered(&place.path(), &[1]);
        let expected = Summary { sessions: 3010, endings: 1, bytes: told.bytes, written: now() };
        assert_eq!(said.expect("readable"), expected);
        assert!(sessions == all);
        assert_eq!(endings, [ending(3)]);
    }

    #[test]
    fn no_session_at_all_is_a_snapshot_too() {
        let place = Place::new();
        write(&place.path(), &keys(&[1]), [].into_iter(), [].into_iter(), now()).expect("written");
        let said = delivered(&place.path(), &[1]).2.expect("readable");
        assert_eq!((said.sessions, said.endings), (0, 0));
    }

    #[test]
    fn nothing_in_the_file_can_be_read_without_a_key() {
        let place = Place::new();
        written(&place.path(), &sessions(3, 100));
        let file = fs::read(place.path()).expect("there");
        assert!(!file.windows(4).any(|bytes| bytes == b"user" || bytes == b"gggg"));
    }

    #[test]
    fn any_key_opens_what_it_sealed_and_a_removed_one_is_forgotten() {
        let place = Place::new();
        written(&place.path(), &sessions(3, 0));
        assert_eq!(delivered(&place.path(), &[2, 1]).0.len(), 3);
        let (sessions, _, said) = delivered(&place.path(), &[2]);
        assert!(sessions.is_empty());
        let said = said.expect_err("another key").to_string();
        assert!(said.ends_with("sessions was sealed with none of the keys in use"), "{said}");
    }

    #[test]
    fn what_is_no_snapshot_of_this_version_is_said_to_be_none() {
        let place = Place::new();
        let missing = delivered(&place.path(), &[1]).2.expect_err("missing");
        assert!(
            matches!(missing, SnapshotError::Missing(_)) && missing.to_string().starts_with("there is no")
        );
        for text in ["", "\u{89}", "- a: yaml file, and a long one"] {
            fs::write(place.path(), text).expect("written");
            let said = delivered(&place.path(), &[1]).2.expect_err("foreign");
            assert!(matches!(said, SnapshotError::Foreign(_)), "{said}");
        }
        written(&place.path(), &sessions(1, 0));
        let mut file = fs::read(place.path()).expect("there");
        file[8] = 2;
        fs::write(place.path(), file).expect("written");
        let said = delivered(&place.path(), &[1]).2.expect_err("newer").to_string();
        assert!(said.ends_with("sessions was written by a newer version, in format 2"), "{said}");
        let said = delivered(Path::new("/"), &[1]).2.expect_err("a directory");
        assert!(said.to_string().starts_with("cannot read /: "), "{said}");
    }

    #[test]
    fn a_file_that_was_cut_gives_nothing() {
        let place = Place::new();
        written(&place.path(), &sessions(2000, 300));
        let file = fs::read(place.path()).expect("there");
        let chunks = chunks(&file);
        assert!(chunks.len() > 2);
        let ends =
            chunks.iter().flat_map(|chunk| [chunk.start, chunk.start + 2, chunk.start + 900, chunk.end - 1]);
        for end in ends.chain([9, 20, 30]) {
            place.gives_nothing(&file[..end], &format!("cut at {end}"));
        }
        place.gives_nothing(&[&file[..], b"x"].concat(), "with something behind its end");
    }

    #[test]
    fn chunks_that_were_moved_doubled_left_out_or_come_from_elsewhere_are_noticed() {
        let place = Place::new();
        let all = sessions(3000, 300);
        let [file, other] = [(); 2].map(|()| {
            written(&place.path(), &all);
            fs::read(place.path()).expect("there")
        });
        let chunks = chunks(&file);
        let put = |order: &[usize]| {
            let parts = order.iter().flat_map(|at| &file[chunks[*at].clone()]);
            file[..BEGIN].iter().chain(parts).copied().collect::<Vec<_>>()
        };
        let last = chunks.len() - 1;
        let whole: Vec<_> = (0..=last).collect();
        assert!(put(&whole) == file && last >= 3);
        place.gives_nothing(&put(&[&[1, 0], &whole[2..]].concat()), "swapped");
        place.gives_nothing(&put(&[&[0], &whole[..]].concat()), "doubled");
        place.gives_nothing(&put(&whole[1..]), "the first left out");
        place.gives_nothing(&put(&[0, 1, last]), "the middle left out");
        place.gives_nothing(&put(&[last]), "only the last");
        let mut mixed = file.clone();
        mixed[chunks[1].clone()].copy_from_slice(&other[chunks[1].clone()]);
        place.gives_nothing(&mixed, "a chunk of another file");
        let marked = |at: usize| {
            let mut marked = file[..chunks[at].end].to_vec();
            marked[chunks[at].start] |= 0x80;
            marked
        };
        place.gives_nothing(&marked(0), "the first marked as the last");
    }

    #[test]
    fn an_error_tells_up_to_where_the_file_is_good() {
        let place = Place::new();
        written(&place.path(), &sessions(3000, 300));
        let mut file = fs::read(place.path()).expect("there");
        let second = chunks(&file)[1].clone();
        file[second.start + 1000] ^= 1;
        fs::write(place.path(), &file).expect("written");
        let said = delivered(&place.path(), &[1]).2.expect_err("changed").to_string();
        let expected = format!("sessions is torn or was changed, at byte {} or behind", second.start);
        assert!(said.ends_with(&expected), "{said}");
    }

    #[test]
    fn a_snapshot_that_cannot_be_written_leaves_the_one_before() {
        let place = Place::new();
        written(&place.path(), &sessions(5, 0));
        let broken = (0..100_000).map(|number| {
            assert!(number < 50_000, "a defect half way");
            session(number, 0)
        });
        let write = || write(&place.path(), &keys(&[1]), broken, [].into_iter(), now());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)).is_err());
        assert_eq!(delivered(&place.path(), &[1]).0.len(), 5);
        assert_eq!(fs::read_dir(place.0.path()).expect("readable").count(), 1);
        let nowhere = place.0.path().join("no/sessions");
        let said = super::write(&nowhere, &keys(&[1]), [].into_iter(), [].into_iter(), now());
        let said = said.expect_err("no directory").to_string();
        assert!(said.starts_with("cannot write /") && said.contains("no/sessions: "), "{said}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_file_changed_anywhere_gives_nothing_and_no_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4),
        ) {
            let place = Place::new();
            written(&place.path(), &sessions(4, 50));
            let mut file = fs::read(place.path()).expect("there");
            let before = file.clone();
            for (at, with) in changes {
                let at = at.index(file.len());
                file[at] ^= with;
            }
            fs::write(place.path(), &file).expect("written");
            let (sessions, endings, said) = delivered(&place.path(), &[1]);
            prop_assert_eq!(said.is_ok(), file == before);
            prop_assert!(file == before || sessions.is_empty() && endings.is_empty());
        }
    }

    #[test]
    #[ignore = "needs some seconds and 500 MB: run it by name, optimised, with --nocapture"]
    fn a_million_sessions_are_written_and_read_in_seconds() {
        let place = Place::new();
        let path = place.path();
        let one = Stored { data: Data::from_bytes(&[b'd'; 200]).unwrap_or_default(), ..session(1, 10) };
        let of = |number: u64| Stored { credential: number, ..one.clone() };
        let start = Instant::now();
        let told = write(&path, &keys(&[1]), (0..1_000_000).map(of), [].into_iter(), now()).expect("written");
        let (wrote, start) = (start.elapsed(), Instant::now());
        let (mut count, mut sum) = (0_u64, 0);
        let take = |session: Stored| {
            count += 1;
            sum += session.credential;
        };
        read(&path, &keys(&[1]), take, |_| {}).expect("readable");
        let took = start.elapsed();
        println!("{} bytes: written in {wrote:?}, read in {took:?}", told.bytes);
        assert_eq!((count, sum), (1_000_000, 999_999 * 500_000));
        assert!(wrote.max(took) < Duration::from_secs(60));
    }
}
