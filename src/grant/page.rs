//! The text of an HTML page or an XML document.

use super::code::LONGEST_CODE;
use super::hidden::{Named, is_hidden};
use crate::server_text::referenced;

/// The text of a page or an XML document: without tags, comments, scripts and styles. `shown` is what is shown of a text
/// between two tags.
pub(super) fn without_tags(page: &str, shown: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut rest = page;
    let lower = page.to_ascii_lowercase();
    // Looked for until one is not found: the time is linear in the length of the page.
    let mut silent = vec!["script", "style"];
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(&shown(&unescaped(before)));
        text.push(' ');
        if let Some(section) = tag.strip_prefix("![CDATA[") {
            let (inner, after) = section.split_once("]]>").unwrap_or((section, ""));
            text.push_str(&shown(inner));
            rest = after;
            continue;
        }
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let name: String = tag.chars().take(6).collect::<String>().to_ascii_lowercase();
        rest = tag;
        if let Some(at) = silent.iter().position(|silent| name.starts_with(silent)) {
            let in_lower_case = lower.get(page.len() - tag.len()..).unwrap_or_default();
            let end = silent.get(at).and_then(|silent| in_lower_case.find(&format!("</{silent}")));
            match end.and_then(|end| tag.get(end..)) {
                Some(end) => rest = end,
                None => drop(silent.remove(at)),
            }
        }
        rest = rest.split_once('>').map_or("", |(_, rest)| rest);
    }
    text + &shown(&unescaped(rest))
}

/// The XML document without the elements whose name is that of a secret, except for a sentence in them.
pub(super) fn without_secrets(document: &str) -> String {
    let mut kept = String::new();
    let mut rest = document;
    while let Some((before, tag)) = rest.split_once('<') {
        kept.push_str(before);
        let is_of_name = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
        let name = tag.get(..tag.find(|c| !is_of_name(c)).unwrap_or(tag.len())).unwrap_or_default();
        let is_secret =
            name.len() <= LONGEST_CODE && Named::of(name.rsplit(':').next().unwrap_or_default()) == Named::Secret;
        if !is_secret {
            kept.push('<');
            rest = tag;
            continue;
        }
        // Without its end it is the rest, and so is the time linear in the length of the document.
        let (start, within) = tag.split_once('>').unwrap_or_default();
        rest = if start.ends_with('/') {
            within
        } else {
            let close = format!("</{name}");
            let is_longer = |at: usize| within.get(at + close.len()..).unwrap_or_default().starts_with(is_of_name);
            let mut ends = within.match_indices(&*close).map(|(at, _)| at).filter(|at| !is_longer(*at));
            let (inner, end) = within.split_at(ends.next().unwrap_or(within.len()));
            if !end.is_empty() {
                // Each text alone: together they may look like a sentence.
                let shown = |text: &str| match is_hidden(text, Named::Secret, false) {
                    true => String::new(),
                    false => text.to_owned(),
                };
                kept.push_str(&without_tags(inner, shown).replace('&', "&amp;").replace('<', "&lt;"));
            }
            end
        };
    }
    kept + rest
}

/// The text with characters for their references (HTML section 13.5, XML section 4.1), as far as error messages have them.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        // `#x10ffff` is the longest.
        let end = after.bytes().take(9).position(|byte| byte == b';');
        let known = end.and_then(|end| Some((referenced(after.get(..end)?)?, after.get(end + 1..)?)));
        rest = match known {
            Some((character, after)) => {
                // A double quote would be dropped.
                plain.push(if character == '"' { '\'' } else { character });
                after
            }
            None => {
                plain.push('&');
                after
            }
        };
    }
    plain.push_str(rest);
    plain
}
