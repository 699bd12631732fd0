//! What the pages of this repository name exists: files, and what commands run. (Not in the package, which has neither
//! the other packages nor `.ci`.)

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGES: [&str; 7] = [
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "cli/README.md",
    "tests/README.md",
];

/// The pages, and the guides.
fn pages() -> Vec<String> {
    let guides = files_ending(Path::new("src/docs"), "md").into_iter().map(|path| path.to_str().unwrap().to_owned());
    PAGES.map(str::to_owned).into_iter().chain(guides).collect()
}

#[test]
fn every_file_that_a_page_names_exists() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = page_text(&page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links: Vec<_> = links.filter(|link| link.ends_with(".md") || link.ends_with(".rs")).collect();
        missing.extend(
            links.iter().filter(|link| !link.contains(':') && !Path::new(link).exists()).map(|it| it.to_string()),
        );
        for code in code(&text) {
            // A guide names media types and files of others as well.
            let ours =
                |word: &str| !page.starts_with("src/docs") || Path::new(word.split('/').next().unwrap()).is_dir();
            for name in code.split_whitespace().filter(|word| is_path(word) && ours(word)) {
                let there = expand(name).iter().all(|path| exists(path));
                missing.extend((!there).then(|| format!("{page}: {name}")));
            }
        }
    }
    assert!(missing.is_empty(), "no such file: {missing:#?}");
}

#[test]
fn every_command_that_a_page_names_has_something_to_run() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for page in pages() {
        for code in code(&page_text(&page)) {
            let command = code.split(" # ").next().unwrap();
            let cargo = command.split_whitespace().position(|word| word == "cargo");
            let Some(cargo) = cargo else { continue };
            let words: Vec<_> = command.split_whitespace().skip(cargo + 1).take_while(|word| *word != "--").collect();
            checked += 1;
            wrong.extend(faults(command, &words).into_iter().map(|fault| format!("{page}: {command}: {fault}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 20, "the commands were not found");
}

#[test]
fn the_test_in_the_readme_is_one_that_runs() {
    let test = std::fs::read_to_string("tests/kit/readme.rs").unwrap();
    let (_, test) = test.split_once("\n\n").unwrap();
    assert!(page_text("README.md").contains(&format!("```rust\n{test}```\n")), "it should be:\n{test}");
}

#[test]
fn code_in_the_documentation_needs_no_scroll_bar() {
    let sources = files(Path::new("src")).into_iter().map(|path| path.to_str().unwrap().to_owned());
    let pages = pages();
    let guides = pages.into_iter().filter(|page| page.starts_with("src/docs") || page == "README.md");
    let mut wide = Vec::new();
    for file in sources.chain(guides) {
        let (mut in_code, mut limit) = (false, 80);
        for (number, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let comment = line.trim_start();
            let text = match file.ends_with(".rs") {
                false => Some(line),
                true => ["/// ", "//! "]
                    .iter()
                    .find_map(|mark| comment.strip_prefix(mark))
                    .or(is_doc(comment).then_some("")),
            };
            // A code fence may depend on a feature: one line for each case.
            if comment.contains("doc = \"```") {
                (in_code, limit) = (true, 80);
                continue;
            }
            let Some(text) = text else {
                in_code = false;
                continue;
            };
            if let Some(language) = text.strip_prefix("```") {
                in_code = !in_code;
                // What a program prints is not wrapped by hand: 96 fit without a scroll bar on a wide screen.
                limit = if ["text", "toml"].contains(&language) { 96 } else { 80 };
            } else if in_code && text.chars().count() > limit && !text.starts_with("# ") {
                wide.push(format!("{file}:{}: {text}", number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "too wide: {wide:#?}");
}

#[test]
fn every_name_in_the_pages_for_contributors_is_in_the_code() {
    let folders = ["src", "tests", "benches", "cookbook", "integrations", "cli"];
    let code_of_all: String = folders
        .iter()
        .flat_map(|folder| files(Path::new(folder)))
        .fold(String::new(), |all, file| all + &std::fs::read_to_string(file).unwrap());
    let mut missing = Vec::new();
    for page in ["CONTRIBUTING.md", "ARCHITECTURE.md"] {
        let text = page_text(page);
        // These are about names that are gone, and one list is of names that are not used.
        let text = text.split("\n## Objections answered\n").next().unwrap().replace("`Helper`", "");
        for name in code(&text) {
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            let is_ours = name.contains('_') || name.chars().next().is_some_and(char::is_uppercase);
            let last = name.rsplit("::").next().unwrap();
            if is_name && is_ours && !code_of_all.contains(last) {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such name: {missing:#?}");
}

#[test]
fn every_client_authentication_method_and_quirk_is_documented() {
    let read = |file: &str| std::fs::read_to_string(file).unwrap();
    let api = read("tests/public-api.txt");
    let functions = api.lines().filter_map(|line| line.strip_prefix("pub fn client_credentials::ClientAuth::"));
    let names = functions.filter_map(|rest| rest.split('(').next());
    let constructors: BTreeSet<_> = names.filter(|name| !["fmt", "from"].contains(name)).collect();
    let mut missing = Vec::new();
    for file in ["README.md", "src/docs/authentication.md", "config.schema.json"] {
        let text = read(file);
        let words: BTreeSet<_> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        // A signer is code, so no configuration has it.
        let is_due = |name: &&&str| !file.ends_with(".json") || **name != "private_key_jwt_with_signer";
        let absent = constructors.iter().filter(is_due).filter(|name| !words.contains(**name));
        missing.extend(absent.map(|name| format!("{file}: {name}")));
    }
    let source = read("src/testing/quirk.rs");
    let (_, variants) = source.split_once("pub enum Quirk {\n").unwrap();
    let (variants, _) = variants.split_once("\n}\n").unwrap();
    let servers =
        variants.split(",\n").filter_map(|variant| variant.trim().strip_prefix("/// ")?.split([',', ':']).next());
    let servers: BTreeSet<_> = servers.collect();
    let guide = read("src/docs/quirks.md");
    missing.extend(servers.iter().filter(|name| !guide.contains(**name)).map(|name| format!("quirks.md: {name}")));
    assert!(constructors.len() > 8 && servers.len() > 15, "only {constructors:?} and {servers:?}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_numbers_on_the_pages_are_those_of_the_tree() {
    let read = |file: &str| std::fs::read_to_string(file).unwrap();
    let count = |file: &str, is: fn(&str) -> bool| read(file).lines().filter(|line| is(line)).count();
    let own =
        |line: &str| line.contains("fn client_credentials::ClientCredentialsBuilder::") && !line.contains("::fmt(");
    let entries = |page: &str, heading: &str| {
        let (_, rest) = page.split_once(heading).unwrap();
        rest.lines()
            .skip_while(|line| !line.starts_with("|---"))
            .skip(1)
            .take_while(|line| line.starts_with('|'))
            .count()
    };
    let headings =
        |page: &str| page.split("```").step_by(2).flat_map(str::lines).filter(|line| line.starts_with("# ")).count();
    let examples = std::fs::read_dir("examples").unwrap().count() - 1;
    let quirks = read("tests/public-api.txt").matches("\npub client_credentials::testing::Quirk::").count();
    assert_eq!(quirks, client_credentials::testing::Quirk::ALL.len(), "variants, and those in ALL");
    for (number, what, pages) in [
        (count("tests/public-api.txt", own), "by the count of", &["ARCHITECTURE.md"][..]),
        (headings(&read("src/docs/providers.md")), "providers", &["README.md", "src/lib.rs"]),
        (
            entries(&read("src/docs/cookbook.md"), "# The entries"),
            "clients",
            &["README.md", "CHANGELOG.md", "src/docs/mod.rs"],
        ),
        (
            count("src/docs/testing_your_code/tests.md", |line| line.starts_with("## ")),
            "example tests",
            &["README.md", "CHANGELOG.md", "src/testing/mod.rs", "src/docs/testing_your_code/introduction.md"],
        ),
        (examples, "small ones", &["CHANGELOG.md"]),
        (quirks, "well-known servers", &["CHANGELOG.md"]),
    ] {
        for page in pages {
            let text = page_text(page).split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            let written = [number.to_string(), word(number)].map(|number| format!(" {number} {what}"));
            assert!(written.iter().any(|said| text.contains(said)), "{page}: it should be{}", written[0]);
        }
    }
}

/// A number up to 30 as a word.
fn word(number: usize) -> String {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    match number {
        0..20 => ONES[number].to_owned(),
        20 => "twenty".to_owned(),
        21..30 => format!("twenty-{}", ONES[number - 20]),
        _ => number.to_string(),
    }
}

/// An empty line of documentation, or an attribute between two.
fn is_doc(line: &str) -> bool {
    ["///", "//!"].contains(&line) || line.starts_with("#![cfg_attr") || line.starts_with("#[cfg_attr")
}

/// What is wrong with a cargo command: `words` are those between `cargo` and `--`.
fn faults(command: &str, words: &[&str]) -> Vec<String> {
    let after = |flags: &[&str]| {
        let at = words.iter().position(|word| flags.contains(word))?;
        words.get(at + 1).copied()
    };
    let package = after(&["-p", "--package"]);
    let folder = package.unwrap_or(".");
    let is_there = |kind: &str, name: &str| {
        ["", "/main"].iter().any(|main| Path::new(folder).join(format!("{kind}/{name}{main}.rs")).exists())
    };
    let mut faults = Vec::new();
    if !Path::new(folder).join("Cargo.toml").exists() {
        faults.push(format!("no package {folder}"));
    }
    for (flag, kind) in [("--test", "tests"), ("--example", "examples"), ("--bench", ".")] {
        if let Some(name) = after(&[flag]).filter(|name| !is_there(kind, name)) {
            faults.push(format!("{flag}: no {name}"));
        }
    }
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    let features = after(&["--features"]).into_iter().flat_map(|list| list.split(','));
    for feature in features.filter(|feature| !manifest.contains(&format!("\n{feature} = ["))) {
        faults.push(format!("no feature {feature}"));
    }
    // A filter that matches no test is not an error for cargo.
    let (filter, sources) = match after(&["--test"]) {
        Some(test) => (after(&[test]), format!("{folder}/tests/{test}")),
        None => (after(&["--lib"]), "src".to_owned()),
    };
    if let Some(filter) = filter.map(|filter| filter.trim_end_matches("::")).filter(|filter| !filter.starts_with('-')) {
        let files = files(Path::new(&sources));
        let fits = files.iter().any(|file| {
            let in_path = file.iter().any(|part| part.to_string_lossy().trim_end_matches(".rs") == filter);
            in_path || function_named(&std::fs::read_to_string(file).unwrap(), filter)
        });
        if !fits {
            faults.push(format!("no test is named {filter}"));
        }
        for cfg in ["shuttle", "model"] {
            let gated = format!("#[cfg({cfg})]\nmod {filter};");
            let gated = files.iter().any(|file| std::fs::read_to_string(file).unwrap().contains(&gated));
            if gated && !command.contains(&format!("--cfg {cfg}")) {
                faults.push(format!("the tests in {filter} need --cfg {cfg}"));
            }
        }
    }
    faults
}

fn function_named(source: &str, part: &str) -> bool {
    source
        .lines()
        .any(|line| line.split_once("fn ").is_some_and(|(_, name)| name.split('(').next().unwrap().contains(part)))
}

/// The code spans of a page, and the lines of its blocks with commands.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 0 {
            found.extend(part.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
        } else if let Some(lines) = part.strip_prefix("console\n").or(part.strip_prefix("sh\n")) {
            found.extend(lines.lines().map(|line| line.trim_start_matches("$ ").to_owned()));
        }
    }
    found
}

/// Whether a word of code names a file or folder of this repository.
fn is_path(word: &str) -> bool {
    let ends = [".rs", ".md", ".yml", ".toml", ".json", ".txt", ".svg"].iter().any(|end| word.ends_with(end));
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./{},*".contains(c));
    // Scenarios of the conformance suite are named like paths.
    plain && (ends || word.contains('/')) && !word.starts_with('/') && !word.starts_with("auth/")
}

/// A path with `{a,b}` as paths without; `*` stands for whatever is in its folder.
fn expand(name: &str) -> Vec<String> {
    let name = name.split('*').next().unwrap();
    match name.split_once('{').and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
        Some((start, (names, end))) => names.split(',').map(|name| format!("{start}{name}{end}")).collect(),
        None => vec![name.to_owned()],
    }
}

/// Rooms and their files are named without `src`; a file or folder of the room in question is named alone.
fn exists(path: &str) -> bool {
    let name = path.trim_end_matches('/');
    let is_part = |file: &PathBuf| file.iter().any(|part| part == name);
    let alone = || !name.contains('/') && files(Path::new("src")).iter().any(is_part);
    Path::new(path).exists() || Path::new("src").join(path).exists() || alone()
}

fn page_text(page: &str) -> String {
    let text = std::fs::read_to_string(page).unwrap();
    // The figures about mutants have a date, and the names that rooms had then.
    match text.split_once("\n## Mutants\n") {
        Some((before, rest)) => format!("{before}{}", rest.split_once("\n## ").unwrap().1),
        None => text,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    files_ending(folder, "rs")
}

fn files_ending(folder: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![folder.with_extension(end)] };
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.flat_map(|path| if path.is_dir() { files_ending(&path, end) } else { vec![path] });
    paths.filter(|path| path.extension().is_some_and(|extension| extension == end)).collect()
}
