//! Looks: what the operator gives the gateway's own pages.
//!
//! Comes in: `login.pages_dir` and `login.logo`. Goes out: templates, a style sheet and a picture that have been tried. Never
//! accepts a template that fails, or whose form nobody could send.

use std::fs;
use std::path::Path;

use super::Context;
use crate::config::file::Login;
use crate::config::typed::{did_you_mean, listed};
use crate::login::looks::{Logo, Looks};
use crate::login::page::{Flaw, Pages, TEMPLATES};

const STYLE: &str = "style.css";

/// Bytes of the largest template or style sheet.
const LARGEST: u64 = 256 * 1024;

/// `login.pages_dir` and `login.logo`.
pub(super) fn resolve(context: &mut Context, given: &Login) -> Looks {
    let mut looks = Looks::default();
    if let Some(file) = given.logo.as_ref().map(|logo| &logo.0) {
        let path = context.file(&file.file);
        let alt = file.alt.as_deref().unwrap_or(&given.title);
        match fs::read(&path).map_err(|error| error.to_string()) {
            Ok(bytes) => match Logo::new(bytes, alt) {
                Ok(logo) => looks.logo = Some(logo),
                Err(why) => context.error("login.logo", format!("cannot use {}: {why}", path.display())),
            },
            Err(why) => context.error("login.logo", format!("cannot read {}: {why}", path.display())),
        }
    }
    if let Some(directory) = &given.pages_dir {
        let path = context.path(directory);
        match names_in(&path) {
            Ok(names) => names.iter().for_each(|name| take(context, &mut looks, directory, name)),
            Err(why) => context.error("login.pages_dir", format!("cannot read {}: {why}", path.display())),
        }
        for Flaw { file, line, why } in Pages::flaws(&looks) {
            let place = path.join(file);
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            context.error("login.pages_dir", format!("{}{line}: {why}", place.display()));
        }
    }
    looks
}

/// The names of the files in a directory, in order.
fn names_in(path: &Path) -> Result<Vec<String>, std::io::Error> {
    let entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
    let mut names: Vec<_> =
        entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// Takes one file in.
fn take(context: &mut Context, looks: &mut Looks, directory: &str, name: &str) {
    let known: Vec<&str> = TEMPLATES.iter().copied().chain([STYLE]).collect();
    if !known.contains(&name) {
        let hint = did_you_mean(name, &known).or_else(|| listed(&known)).map(|hint| format!("\n{hint}"));
        let message = format!("`{name}` is none of the gateway's pages{}", hint.unwrap_or_default());
        return context.warn("login.pages_dir", message);
    }
    let path = context.file(&format!("{directory}/{name}"));
    let size = fs::metadata(&path).map(|found| found.len());
    let text = match size {
        Ok(size) if size > LARGEST => Err("it is larger than 256 KiB".to_owned()),
        _ => fs::read_to_string(&path).map_err(|error| error.to_string()),
    };
    match text {
        Ok(text) if name == STYLE && text.to_ascii_lowercase().contains("</style") => {
            context
                .error("login.pages_dir", format!("{}: a style sheet cannot hold `</style`", path.display()));
        }
        Ok(text) if name == STYLE => looks.style = Some(text),
        Ok(text) => looks.templates.push((name.to_owned(), text)),
        Err(why) => context.error("login.pages_dir", format!("cannot read {}: {why}", path.display())),
    }
}
