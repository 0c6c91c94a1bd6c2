//! Which Python runs an agent whose command is `python`.

use std::path::{Path, PathBuf};

use crate::env::{self, Environment};

/// `$LOOM_PYTHON`, else the active virtual environment, else a `.venv` in `directory` or above it, else `python3`.
pub fn find_interpreter(directory: &Path, environment: &dyn Environment) -> PathBuf {
    if let Some(named) = environment.get(env::LOOM_PYTHON) {
        return named.into();
    }
    let active = environment.get("VIRTUAL_ENV").map(PathBuf::from);
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let beside = absolute.ancestors().map(|ancestor| ancestor.join(".venv"));
    active
        .into_iter()
        .chain(beside)
        .map(|environment| environment.join("bin/python"))
        .find(|interpreter| interpreter.is_file())
        .unwrap_or_else(|| PathBuf::from("python3"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, "").expect("written");
    }

    #[test]
    fn the_nearest_environment_is_used_unless_another_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        let project = root.path().join("a/b");
        std::fs::create_dir_all(&project).expect("made");
        let mut variables = BTreeMap::new();
        let above = root.path().join("a/.venv/bin/python");
        touch(&above);
        assert_eq!(find_interpreter(&project, &variables), above);

        let active = root.path().join("active/bin/python");
        touch(&active);
        variables.insert(
            "VIRTUAL_ENV".to_owned(),
            root.path().join("active").display().to_string(),
        );
        assert_eq!(find_interpreter(&project, &variables), active);

        variables.insert(env::LOOM_PYTHON.to_owned(), "named".to_owned());
        assert_eq!(
            find_interpreter(&project, &variables),
            PathBuf::from("named")
        );
    }
}
