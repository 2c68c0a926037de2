//! Files, folders and the standard input to texts, bounded.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Position};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;
/// The most files of a folder.
const MAX_FILES: usize = 4096;
/// How deep folders may be nested.
const MAX_FOLDERS: usize = 16;

/// A text and where it came from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file as it was named; `-` is the standard input.
    pub name: Arc<str>,
    /// The folder that relative paths in it start from.
    pub folder: PathBuf,
    /// The text.
    pub text: String,
}

impl Source {
    /// A text that is in no file. Relative paths in it start from `folder`.
    pub fn inline(name: &str, folder: &Path, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            folder: folder.to_owned(),
            text: text.into(),
        }
    }

    /// Reads a text from a stream such as the standard input, at most [`MAX_FILE_BYTES`].
    ///
    /// # Errors
    /// A diagnostic that says why it cannot be read.
    pub fn from_reader(
        name: &str,
        folder: &Path,
        reader: impl Read,
    ) -> Result<Self, Box<Diagnostic>> {
        let mut bytes = Vec::new();
        let failed =
            |error: std::io::Error| Box::new(unreadable(name, &format!("cannot be read: {error}")));
        reader
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Ok(Self::inline(name, folder, decode(name, bytes)?))
    }
}

/// Reads the `*.yaml` and `*.yml` files below each path, sorted by name; a path can also be one file of any name.
/// Whatever cannot be read is a diagnostic, and the rest is read.
pub(super) fn read_paths(paths: &[PathBuf]) -> (Vec<Source>, Vec<Diagnostic>) {
    let (mut files, mut sources, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            list(path, 0, &mut files, &mut problems);
            if files.len() == before && problems.is_empty() {
                problems.push(unreadable(
                    &display(path),
                    "holds no .yaml and no .yml file",
                ));
            }
        } else {
            files.push(path.clone());
        }
    }
    if files.len() > MAX_FILES {
        let message = format!("more than {MAX_FILES} files; the rest is not read");
        problems.push(Diagnostic::error(Code::TooLarge, message));
        files.truncate(MAX_FILES);
    }
    for path in files {
        match read_file(&path) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(*problem),
        }
    }
    (sources, problems)
}

fn read_file(path: &Path) -> Result<Source, Box<Diagnostic>> {
    let name = display(path);
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let failed =
        |error: std::io::Error| Box::new(unreadable(&name, &format!("cannot be read: {error}")));
    let file = fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(Box::new(unreadable(&name, "is no file")));
    }
    Source::from_reader(&name, &folder, file)
}

/// The YAML files of a folder and the folders in it. What begins with a dot is left out, as editors and mounted
/// ConfigMaps keep copies there; a mounted file is a link to one of those and is read through it.
fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>, problems: &mut Vec<Diagnostic>) {
    let entries = fs::read_dir(folder).and_then(|all| all.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = match entries {
        Ok(paths) => paths,
        Err(error) => {
            problems.push(unreadable(
                &display(folder),
                &format!("cannot be read: {error}"),
            ));
            return;
        }
    };
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if hidden || files.len() > MAX_FILES {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_FOLDERS {
                list(&path, depth + 1, files, problems);
            } else {
                problems.push(unreadable(&display(&path), "is nested too deep"));
            }
        } else if yaml {
            files.push(path);
        }
    }
}

fn decode(name: &str, bytes: Vec<u8>) -> Result<String, Box<Diagnostic>> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("is larger than {} MiB", MAX_FILE_BYTES >> 20);
        return Err(Box::new(
            Diagnostic::error(Code::TooLarge, message)
                .in_file(start_of(name))
                .mend("split it into several files"),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let position = Position {
            file: name.into(),
            line,
            column: 1,
        };
        let problem = Diagnostic::error(Code::Unreadable, "is not UTF-8");
        Box::new(problem.in_file(Some(position)).mend("save it as UTF-8"))
    })
}

fn unreadable(name: &str, why: &str) -> Diagnostic {
    Diagnostic::error(Code::Unreadable, why).in_file(start_of(name))
}

fn start_of(name: &str) -> Option<Position> {
    Some(Position {
        file: name.into(),
        line: 1,
        column: 1,
    })
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_and_dots_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.yaml", "b"),
            ("a.yml", "a"),
            ("sub/c.yaml", "c"),
            (".git/x.yaml", "x"),
            ("accounts", "no"),
            (".swp.yaml", "no"),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let (sources, problems) = read_paths(&[root.path().to_owned()]);
        let texts: Vec<_> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!((texts, problems), (vec!["a", "b", "c"], vec![]));
        assert_eq!(sources[2].folder, root.path().join("sub"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let root = tempfile::tempdir().unwrap();
        let bad = root.path().join("bad.yaml");
        fs::write(&bad, b"a: 1\nb: \xff\n").unwrap();
        let (sources, problems) =
            read_paths(&[root.path().join("none.yaml"), bad, root.path().join("sub")]);
        assert!(sources.is_empty());
        let lines: Vec<_> = problems
            .iter()
            .map(|p| p.position.as_ref().map(|p| p.line))
            .collect();
        assert_eq!(lines, [Some(1), Some(2), Some(1)]);
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(read_paths(&[empty.path().to_owned()]).1.len(), 1);
    }

    #[test]
    fn streams_are_bounded() {
        let endless = std::io::repeat(b' ');
        let problem = Source::from_reader("-", Path::new("."), endless).unwrap_err();
        assert_eq!(problem.code, Code::TooLarge);
    }
}
