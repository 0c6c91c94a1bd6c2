//! A file can be read in one sitting, its name is its subject, and it holds no path of its author's machine.

use super::workspace::{Source, assert_none, root, sources};

/// Beyond this a file holds a second concept.
const MAX_LINES: usize = 500;
/// Beyond this a test block hides the code beside it and moves to a file of its own.
const MAX_TEST_BLOCK: usize = 150;
const CODE: [&str; 7] = ["rs", "py", "pyi", "ts", "tsx", "sql", "sh"];

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_generated(path: &str) -> bool {
    path.split('/').any(|part| part == "generated")
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long = |source: &Source| {
        let lines = source.text.lines().count();
        let counts = CODE.contains(&extension(&source.path)) && !is_generated(&source.path);
        (counts && lines > MAX_LINES).then(|| format!("{}: {lines} lines", source.path))
    };
    let findings: Vec<_> = sources().iter().filter_map(long).collect();
    assert_none("split by responsibility what is over 500 lines", &findings);
}

#[test]
fn a_long_test_block_has_its_own_file() {
    let long = |source: &Source| {
        if extension(&source.path) != "rs" {
            return None;
        }
        let lines = test_block(&source.text)?;
        (lines > MAX_TEST_BLOCK).then(|| format!("{}: {lines} lines of tests", source.path))
    };
    let findings: Vec<_> = sources().iter().filter_map(long).collect();
    assert_none(
        "move test blocks over 150 lines to a file beside the code",
        &findings,
    );
}

/// Lines of the `#[cfg(test)] mod … { … }` at the top level of a file.
fn test_block(text: &str) -> Option<usize> {
    let mut lines = text
        .lines()
        .skip_while(|line| *line != "#[cfg(test)]")
        .skip(1);
    let opens = lines.find(|line| !line.starts_with("#["))?;
    (opens.starts_with("mod ") && opens.ends_with('{'))
        .then(|| lines.take_while(|line| *line != "}").count())
}

#[test]
fn a_test_block_is_measured_to_its_closing_brace() {
    let text = "fn f() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    a\n    b\n}\nfn g() {}\n";
    assert_eq!(test_block(text), Some(2));
    assert_eq!(test_block("#[cfg(test)]\nmod tests;\nfn g() {\n}\n"), None);
    assert_eq!(test_block("fn f() {}\n"), None);
}

#[test]
fn no_module_is_called_mod() {
    let findings: Vec<_> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.rsplit('/').next() == Some("mod.rs"))
        .collect();
    assert_none("write foo.rs beside foo/, never foo/mod.rs", &findings);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // In pieces, or this file would be its own finding.
    let mut forbidden = [["/ho", "me/"], ["/ro", "ot/"], ["/Us", "ers/"]]
        .map(|parts| parts.concat())
        .to_vec();
    if root().components().count() > 2 {
        forbidden.push(root().to_string_lossy().into_owned());
    }
    let mut findings = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(path) = forbidden.iter().find(|path| begins_with_path(line, path)) {
                findings.push(format!("{}:{}: {path}", source.path, number + 1));
            }
        }
    }
    assert_none("write paths relative to the repository", &findings);
}

/// Whether an absolute path starts with `path` somewhere in the line; `a/home/b` is a relative one.
fn begins_with_path(line: &str, path: &str) -> bool {
    let part_of_longer =
        |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || "._-})>*$".contains(c));
    line.match_indices(path)
        .any(|(at, _)| !part_of_longer(&line[..at]))
}

#[test]
fn only_absolute_paths_are_of_one_machine() {
    assert!(begins_with_path("log = \"/x/y/z\"", "/x/y/"));
    assert!(!begins_with_path("see a/x/y/z and ${D}/x/y/z", "/x/y/"));
}
