//! Script: what is done in one step, because a server runs a script without a pause.
//!
//! Comes in: keys and arguments. Goes out: commands that name a script by its digest, or bring it along. Never knows what
//! an answer means.

use std::sync::LazyLock;

use redis::Cmd;

/// One of our scripts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    /// Finds a session or its tombstone.
    Load,
    /// Keeps a new one.
    Create,
    /// Writes one anew.
    Save,
    /// Ends one.
    End,
    /// Notes that one was used.
    Touch,
    /// Puts one on its user's list.
    List,
}

/// Keys and arguments of one call.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// All have the same hash tag.
    pub keys: Vec<String>,
    /// In the order that the script says.
    pub arguments: Vec<Vec<u8>>,
}

impl Call {
    /// With these keys.
    pub fn on(keys: impl IntoIterator<Item = String>) -> Self {
        Self { keys: keys.into_iter().collect(), arguments: Vec::new() }
    }

    /// And one more argument.
    pub fn with(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// Text, and its SHA-1 as servers tell scripts apart.
struct Known(redis::Script, &'static str);

/// In the order of [`Script`].
static KNOWN: LazyLock<[Known; 6]> = LazyLock::new(|| {
    [
        include_str!("load.lua"),
        include_str!("create.lua"),
        include_str!("save.lua"),
        include_str!("end.lua"),
        include_str!("touch.lua"),
        include_str!("list.lua"),
    ]
    .map(|text| Known(redis::Script::new(text), text))
});

impl Script {
    /// A call of a script that the server knows already.
    pub fn by_name(self, call: &Call) -> Cmd {
        command("EVALSHA", KNOWN[self as usize].0.get_hash(), call)
    }

    /// A call that brings the script along.
    pub fn whole(self, call: &Call) -> Cmd {
        command("EVAL", KNOWN[self as usize].1, call)
    }
}

fn command(name: &str, script: &str, call: &Call) -> Cmd {
    let mut command = Cmd::new();
    command.arg(name).arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_is_called_by_its_own_name() {
        let call = Call::on(["k".to_owned()]).with("a").with(b"\xff".to_vec());
        let scripts = [Script::Load, Script::Create, Script::Save, Script::End, Script::Touch, Script::List];
        for (script, word) in
            scripts.into_iter().zip(["HMGET", "EXISTS", "PEXPIRETIME", "PXAT", "whose", "ZADD"])
        {
            let whole = String::from_utf8_lossy(&script.whole(&call).get_packed_command()).into_owned();
            assert!(whole.contains("EVAL\r\n") && whole.contains(word), "{script:?}");
            let named = String::from_utf8_lossy(&script.by_name(&call).get_packed_command()).into_owned();
            assert!(named.starts_with("*6\r\n$7\r\nEVALSHA\r\n$40\r\n"), "{named}");
            assert!(named.contains("\r\n$1\r\n1\r\n$1\r\nk\r\n$1\r\na\r\n"), "{named}");
        }
    }
}
