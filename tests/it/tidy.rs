//! Tidy: the rules of the house, as far as a program can check them.
//!
//! Comes in: the project's files as text. Goes out: each breach with its file. Every rule has a sample that breaks it, so
//! that no rule can fall asleep.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use cloakroom::cli::Cli;
use cloakroom::config::{self, Source};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lines of a file without its tests.
const LONGEST: usize = 400;

/// Lines of a function.
const LONGEST_FUNCTION: usize = 60;

/// Each module and its layer; a longer name goes before a shorter one it begins with. See `src/lib.rs`.
const LAYERS: &[(&str, Layer)] = &[
    ("clock", Layer::Values),
    ("deadline", Layer::Values),
    ("identity", Layer::Values),
    ("message", Layer::Values),
    ("peer", Layer::Values),
    ("stream", Layer::Values),
    ("session::id", Layer::Values),
    ("session::lifetime", Layer::Values),
    ("session::data", Layer::Values),
    ("session::origin", Layer::Values),
    ("session::record", Layer::Values),
    ("session::settings", Layer::Values),
    ("session::store", Layer::Values),
    ("session::stored", Layer::Values),
    ("session::turn", Layer::Values),
    ("session::django::settings", Layer::Values),
    ("session::cookie", Layer::Rules),
    ("session::rights", Layer::Rules),
    ("session::protocol", Layer::Rules),
    ("session::edit", Layer::Rules),
    ("session::django::content", Layer::Rules),
    ("session::django::format", Layer::Rules),
    ("session::ticket", Layer::Rules),
    ("session::keys", Layer::Rules),
    ("session::sealed", Layer::Rules),
    ("session::visitor", Layer::Rules),
    ("access", Layer::Rules),
    ("headers", Layer::Rules),
    ("route", Layer::Rules),
    ("wire", Layer::Rules),
    ("body", Layer::Rim),
    ("login", Layer::Rim),
    ("session", Layer::Rim),
    ("upstream", Layer::Rim),
    ("gateway", Layer::Pipeline),
    ("admin", Layer::Shell),
    ("server", Layer::Shell),
    ("assembly", Layer::Assembly),
    ("cli", Layer::Assembly),
    ("config", Layer::Assembly),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Values,
    Rules,
    Rim,
    Pipeline,
    Shell,
    Assembly,
}

/// A file below `src`.
struct RustFile {
    /// Its path from `src`: `session/cookie.rs`.
    path: String,
    text: String,
}

/// A rule of the house: what it wants, who breaks it and how, and a file that does.
struct Rule {
    wants: &'static str,
    breach: fn(&RustFile) -> Option<String>,
    sample: (&'static str, &'static str),
}

/// A text ten times.
macro_rules! ten {
    ($($text:tt)*) => {
        concat!($($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*)
    };
}

const RULES: &[Rule] = &[
    Rule {
        wants: "a file opens with `//!`",
        breach: |file| (!file.text.starts_with("//! ")).then(|| "it does not".to_owned()),
        sample: ("a.rs", "use std::io;\n//! Late.\n"),
    },
    Rule {
        wants: "`foo.rs` stands beside `foo/`, and names say what is inside",
        breach: |file| {
            let stem = file.path.rsplit('/').next()?.strip_suffix(".rs")?;
            let vague = ["mod", "util", "utils", "common", "helper", "helpers", "manager", "misc"];
            vague.contains(&stem).then(|| format!("`{stem}` says nothing"))
        },
        sample: ("session/utils.rs", "//! A.\n"),
    },
    Rule {
        wants: "nothing gives up outside tests, and no lint is switched off",
        breach: |file| {
            let banned = [".unwrap()", "todo!", "unimplemented!", "dbg!", "#[allow", "#![allow"];
            banned.iter().find(|word| file.code().contains(*word)).map(|word| format!("`{word}`"))
        },
        sample: ("a.rs", "//! A.\nfn a() { b().unwrap() }\n"),
    },
    Rule {
        wants: "no unsafe code",
        breach: |file| has_word(&file.code(), "unsafe").then(|| "`unsafe`".to_owned()),
        sample: ("a.rs", "//! A.\nfn a() { unsafe { b() } }\n"),
    },
    Rule {
        wants: "what is to be done is done, or written down elsewhere",
        breach: |file| {
            ["TODO", "FIXME", "XXX"]
                .iter()
                .find(|word| has_word(&file.text, word))
                .map(|word| (*word).to_owned())
        },
        sample: ("a.rs", "//! A.\n// TODO: more\n"),
    },
    Rule {
        wants: "only `config` knows YAML",
        breach: |file| {
            let inside = file.path.starts_with("config");
            (!inside && has_word(&file.code(), "serde_yaml")).then(|| "`serde_yaml`".to_owned())
        },
        sample: ("login.rs", "//! A.\nuse serde_yaml::Value;\n"),
    },
    Rule {
        wants: "only `clock.rs` asks the system for the time",
        breach: |file| {
            let asks = file.path != "clock.rs" && file.code().contains("SystemTime::now");
            asks.then(|| "`SystemTime::now`".to_owned())
        },
        sample: ("session.rs", "//! A.\nfn a() { std::time::SystemTime::now(); }\n"),
    },
    Rule {
        wants: "a file has one idea",
        breach: |file| {
            let lines = file.without_tests().lines().count();
            (lines > LONGEST).then(|| format!("{lines} lines, more than {LONGEST}"))
        },
        sample: ("a.rs", ten!(ten!(ten!("\n")))),
    },
    Rule {
        wants: "a function fits on a screen",
        breach: |file| {
            let (lines, name) = functions(&file.code()).into_iter().max()?;
            (lines > LONGEST_FUNCTION)
                .then(|| format!("{lines} lines in `{name}`, more than {LONGEST_FUNCTION}"))
        },
        sample: (
            "a.rs",
            concat!("fn a() {\n}\npub fn long(\n    a: u8,\n) {\n", ten!(ten!("    b();\n")), "}\n"),
        ),
    },
    Rule {
        wants: "a file uses its own layer and those below only",
        breach: |file| {
            let own = file.layer()?;
            let uses = file.uses();
            let wrong = uses.iter().find(|module| layer(module).is_none_or(|layer| layer > own))?;
            Some(format!("{own:?} use {wrong}, which is {:?}", layer(wrong)))
        },
        sample: ("session/cookie.rs", "//! A.\nuse crate::{clock, session::{keys, memory::MemoryStore}};\n"),
    },
    Rule {
        wants: "every module has a layer",
        breach: |file| {
            let known = file.layer().is_some() || matches!(file.path.as_str(), "lib.rs" | "main.rs");
            (!known).then(|| "it is not in the table of this test".to_owned())
        },
        sample: ("newcomer.rs", "//! A.\n"),
    },
];

impl RustFile {
    fn all() -> Vec<Self> {
        let src = Path::new(ROOT).join("src");
        let read = |path: PathBuf| {
            let name = path.strip_prefix(&src).expect("below src").display().to_string();
            Self { path: name, text: text_of(&path) }
        };
        files_below(&src)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|is| is == "rs"))
            .map(read)
            .collect()
    }

    /// What stands before the tests, which come last.
    fn without_tests(&self) -> &str {
        self.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    /// The same without comments that fill a line.
    fn code(&self) -> String {
        let comment = |line: &&str| !line.trim_start().starts_with("//");
        self.without_tests().lines().filter(comment).map(|line| format!("{line}\n")).collect()
    }

    /// `session::cookie` for `session/cookie.rs`.
    fn module(&self) -> String {
        self.path.trim_end_matches(".rs").replace('/', "::")
    }

    fn layer(&self) -> Option<Layer> {
        layer(&self.module())
    }

    /// Every module of the crate that is named: after `crate::`, and after `super::` as seen from here.
    fn uses(&self) -> Vec<String> {
        let (code, module) = (self.code(), self.module());
        let parent = module.rsplit_once("::").map(|(parent, _)| parent);
        let mut found = Vec::new();
        for (at, _) in code.match_indices("crate::") {
            if !code[..at].ends_with("in ") {
                named("", &code[at + "crate::".len()..], &mut found);
            }
        }
        for (at, _) in code.match_indices("super::") {
            if let Some(parent) = parent {
                named(&format!("{parent}::"), &code[at + "super::".len()..], &mut found);
            }
        }
        found
    }
}

/// The paths that a `use` names, from what follows `crate::`: `a::{b, c::D}` names `a::b` and `a::c::D`.
/// Answers with what was not read.
fn named<'a>(prefix: &str, text: &'a str, found: &mut Vec<String>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.starts_with('}') && !rest.is_empty() {
            rest = named(prefix, rest, found).trim_start_matches([',', ' ', '\n']);
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        let skip = rest.chars().next().map_or(0, char::len_utf8);
        return &rest[skip..];
    }
    let path =
        if name == "self" { prefix.trim_end_matches(':').to_owned() } else { format!("{prefix}{name}") };
    match rest.strip_prefix("::") {
        Some(deeper) => named(&format!("{path}::"), deeper, found),
        None => {
            found.push(path);
            rest
        }
    }
}

/// Every function that is formatted as rustfmt does it, with its lines.
fn functions(code: &str) -> Vec<(usize, String)> {
    let lines: Vec<_> = code.lines().collect();
    let starts =
        lines.iter().enumerate().filter(|(_, line)| has_word(line, "fn") && !line.trim().ends_with('}'));
    let length = |(at, line): (usize, &&str)| {
        let indentation = &line[..line.len() - line.trim_start().len()];
        let end = lines[at..].iter().position(|line| *line == format!("{indentation}}}"))?;
        let name = line.split("fn ").nth(1)?.split(['(', '<']).next()?;
        Some((end + 1, name.to_owned()))
    };
    starts.filter_map(length).collect()
}

fn layer(module: &str) -> Option<Layer> {
    let within =
        |name: &str| module.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    LAYERS.iter().find(|(name, _)| within(name)).map(|(_, layer)| *layer)
}

fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(part_of_word) && !text[at + word.len()..].starts_with(part_of_word)
    })
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for path in entries.map(|entry| entry.expect("readable").path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let foreign = ["target", "node_modules", "__pycache__"].contains(&name)
            || name.starts_with('.') && name != ".github";
        match path.is_dir() {
            true if !foreign => files.extend(files_below(&path)),
            false => files.push(path),
            _ => {}
        }
    }
    files.sort();
    files
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned()
}

/// Documents for people: those at the root and those in `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let is_document = |path: &PathBuf| path.extension().is_some_and(|is| is == "md");
    let files = files_below(Path::new(ROOT)).into_iter().filter(is_document);
    files.map(|path| (path.clone(), text_of(&path))).collect()
}

#[test]
fn the_house_keeps_its_rules() {
    let files = RustFile::all();
    assert!(files.len() > 50, "the sources were found");
    let breaches: Vec<_> = RULES
        .iter()
        .flat_map(|rule| files.iter().map(move |file| (rule, file)))
        .filter_map(|(rule, file)| {
            (rule.breach)(file).map(|how| format!("{}: {}: {how}", file.path, rule.wants))
        })
        .collect();
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn every_rule_notices_who_breaks_it() {
    for rule in RULES {
        let (path, text) = rule.sample;
        let sample = RustFile { path: path.to_owned(), text: text.to_owned() };
        assert!((rule.breach)(&sample).is_some(), "asleep: {}", rule.wants);
    }
}

#[test]
fn what_tests_and_comments_say_is_no_breach() {
    let text = "//! A: `unsafe` and `.unwrap()` are words here.\n\n#[cfg(test)]\nmod tests {\n    fn a() { b().unwrap() }\n}\n";
    let file = RustFile { path: "session.rs".to_owned(), text: text.to_owned() };
    for rule in RULES {
        assert_eq!((rule.breach)(&file), None, "{}", rule.wants);
    }
}

#[test]
fn every_layer_in_the_table_is_a_module() {
    for (module, _) in LAYERS {
        let path = format!("{ROOT}/src/{}.rs", module.replace("::", "/"));
        assert!(Path::new(&path).is_file(), "{module} is gone");
        let top = module.split("::").next().expect("a name");
        assert!(text_of(Path::new(&format!("{ROOT}/src/lib.rs"))).contains(&format!("\npub mod {top};")));
    }
}

/// What stands between round brackets after `]` in Markdown.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut count = 0;
    for (path, text) in documents() {
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = link.split('#').next().unwrap_or_default();
            let target = path.parent().expect("a directory").join(target);
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            count += 1;
        }
    }
    assert!(count > 5, "links were found");
    assert_eq!(links("see [a](b.md), [c](d.md#e)").collect::<Vec<_>>(), ["b.md", "d.md#e"]);
}

/// The arguments of every `cloakroom` command in the code of a document, whichever way it is started.
fn commands(markdown: &str) -> Vec<Vec<&str>> {
    let blocks = markdown.split("```").skip(1).step_by(2);
    let shell =
        blocks.filter(|block| ["bash", "sh", "console"].contains(&block.lines().next().unwrap_or_default()));
    let command = |line| {
        let line: &str = line;
        let start = ["cargo run --release -- ", "cloakroom "]
            .iter()
            .find_map(|start| line.trim().strip_prefix(*start))?;
        let words = start.split(' ').filter(|word| !word.is_empty());
        Some(words.take_while(|word| !["#", "|", ">", "&&", "<"].contains(word)).collect())
    };
    shell.flat_map(|block| block.lines().skip(1)).filter_map(command).collect()
}

#[test]
fn the_commands_in_documents_are_understood() {
    let mut count = 0;
    for (path, text) in documents() {
        for words in commands(&text) {
            let parsed = Cli::command().try_get_matches_from(["cloakroom"].iter().chain(&words));
            assert!(
                parsed.is_ok(),
                "{}: cloakroom {words:?}: {}",
                path.display(),
                parsed.expect_err("not ok")
            );
            count += 1;
        }
    }
    assert!(count > 3, "commands were found");
    let sample =
        "```bash\ncloakroom check -c a.yaml   # all\ncargo run --release -- demo\nls\n```\ncloakroom no\n";
    assert_eq!(commands(sample), [vec!["check", "-c", "a.yaml"], vec!["demo"]]);
}

#[test]
fn the_readme_is_short_and_its_configuration_works() {
    let readme = text_of(&Path::new(ROOT).join("README.md"));
    assert!(readme.lines().count() <= 150, "ten minutes are not enough for {} lines", readme.lines().count());
    let block =
        readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
    let hash =
        "$argon2id$v=19$m=19456,t=2,p=1$UT2hYnmrAw8cel3Obdh0tQ$jokjapsFM/89O3APjk6Jox1K2TdSnumT+eyIPONr7bo";
    let text = block.replace("$argon2id$v=19$m=19456,t=2,p=1$...", hash);
    assert_ne!(text, block, "the hash is left out, for it would be somebody's");
    let loaded = config::inspect(&Source::Text { name: "README.md".to_owned(), text });
    loaded.map_err(|problems| problems.to_string()).expect("it can be run as it stands");
}

#[test]
fn nothing_names_a_machine_or_a_mirror() {
    let banned = ["/ro ot/", "/wo rk/", "/ho me/", "art ifactory", "reg istry.npmjs", "static.cra tes"];
    let banned = banned.map(|word| word.replace(' ', ""));
    let speaks = |text: &str| banned.iter().find(|word| text.contains(word.as_str())).cloned();
    for path in files_below(Path::new(ROOT)) {
        assert_eq!(speaks(&text_of(&path)), None, "{}", path.display());
    }
    assert!(speaks(&format!("see {}x", banned[0])).is_some());
}
