//! From the paths of a command line to the capture files to read.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::file;
use super::plainly;

/// Names that end so are captures by convention, alone or before `.gz` or `.zst`.
const EXTENSIONS: [&str; 5] = ["pcap", "cap", "pcapng", "dmp", "trace"];

/// Folders inside folders are followed this deep.
const DEPTH: usize = 64;

/// Files of one command line. More are a mistake, and their names alone would fill memory.
const FILES: usize = 1_000_000;

/// What the paths came to.
#[derive(Debug, Default)]
pub struct Found {
    /// Files to read, in the order of the paths; those of a folder sorted by name, folders among
    /// them at their place. `-` is standard input.
    pub files: Vec<PathBuf>,
    /// What could not be looked at. The rest is complete.
    pub problems: Vec<Problem>,
}

/// A folder or file that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot look into {}: {}", self.path.display(), self.why)
    }
}

/// Expands folders. A path that is not a folder is taken as it is, so that opening it gives the
/// error where it is none. In folders only regular files count, and of them those that look like
/// captures by name or first bytes; each at most once, however links lead to it.
pub fn expand<P: AsRef<Path>>(paths: &[P]) -> Found {
    let mut walk = Walk { found: Found::default(), folders: HashSet::new(), files: HashSet::new() };
    for path in paths {
        let path = path.as_ref();
        if path.as_os_str() != "-" && path.is_dir() {
            walk.folder(path, 0);
        } else {
            walk.found.files.push(path.to_owned());
        }
    }
    walk.found
}

struct Walk {
    found: Found,
    /// Real names of folders and files met, against links that lead back.
    folders: HashSet<PathBuf>,
    files: HashSet<PathBuf>,
}

impl Walk {
    fn folder(&mut self, path: &Path, depth: usize) {
        if depth > DEPTH {
            return self.problem(path, format!("more than {DEPTH} folders deep"));
        }
        let entries = fs::canonicalize(path)
            .and_then(|real| Ok(if self.folders.insert(real) { Some(fs::read_dir(path)?) } else { None }));
        let entries = match entries {
            Ok(Some(entries)) => entries,
            Ok(None) => return,
            Err(error) => return self.problem(path, plainly(&error)),
        };
        let mut names = Vec::new();
        for entry in entries.take(FILES) {
            match entry {
                Ok(entry) => names.push(entry.path()),
                Err(error) => self.problem(path, plainly(&error)),
            }
        }
        names.sort_unstable();
        for name in names {
            // Follows links; a link to nothing is no capture.
            let Ok(kind) = fs::metadata(&name) else { continue };
            if kind.is_dir() {
                self.folder(&name, depth + 1);
            } else if kind.is_file() {
                self.file(name);
            }
        }
    }

    fn file(&mut self, path: PathBuf) {
        if self.found.files.len() >= FILES {
            if self.found.files.len() == FILES && self.found.problems.last().is_none_or(|p| p.why != TOO_MANY)
            {
                self.problem(&path, TOO_MANY.into());
            }
            return;
        }
        if !named_as_capture(&path) {
            match file::looks_like_a_capture(&path) {
                Ok(true) => {}
                // A file that is no capture may well be unreadable, or packed and damaged.
                Ok(false) | Err(_) => return,
            }
        }
        if fs::canonicalize(&path).map_or(true, |real| self.files.insert(real)) {
            self.found.files.push(path);
        }
    }

    fn problem(&mut self, path: &Path, why: String) {
        self.found.problems.push(Problem { path: path.to_owned(), why });
    }
}

const TOO_MANY: &str = "more than a million files; the rest is left out";

/// `a.pcap`, `a.PCAPNG.gz`, `a.cap.zst`.
fn named_as_capture(path: &Path) -> bool {
    let extension = |path: &Path| path.extension().map(|name| name.to_string_lossy().to_ascii_lowercase());
    let Some(mut last) = extension(path) else { return false };
    if (last == "gz" || last == "zst")
        && let Some(inner) = path.file_stem().and_then(|stem| extension(Path::new(stem)))
    {
        last = inner;
    }
    EXTENSIONS.contains(&last.as_str())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::testing::{End, Pcap, gzip};
    use super::*;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, bytes: &[u8]) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }

        fn found(&self) -> Vec<String> {
            let found = expand(&[self.0.path()]);
            assert_eq!(found.problems, []);
            let name = |path: &PathBuf| path.strip_prefix(self.0.path()).unwrap().display().to_string();
            found.files.iter().map(name).collect()
        }
    }

    #[test]
    fn a_folder_gives_its_captures_sorted() {
        let folder = Folder::new();
        let pcap = Pcap::new(End::Little, 0xa1b2_c3d4).bytes;
        for name in ["b.pcap", "a.CAP", "c/z.pcapng.gz", "c/d/y.trace.zst", "x.dmp"] {
            folder.file(name, b"judged by name");
        }
        folder.file("ring.pcap7", &pcap);
        folder.file("no-extension", &gzip(&pcap));
        folder.file("notes.txt", b"text");
        folder.file("notes.txt.gz", &gzip(b"text"));
        folder.file("empty", b"");
        assert_eq!(
            folder.found(),
            ["a.CAP", "b.pcap", "c/d/y.trace.zst", "c/z.pcapng.gz", "no-extension", "ring.pcap7", "x.dmp"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_are_followed_once() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new();
        folder.file("in/a.pcap", b"");
        symlink(folder.0.path(), folder.0.path().join("in/up")).unwrap();
        symlink(folder.0.path().join("in/a.pcap"), folder.0.path().join("in/b.pcap")).unwrap();
        symlink("nowhere", folder.0.path().join("in/c.pcap")).unwrap();
        assert_eq!(folder.found(), ["in/a.pcap"]);
    }

    #[test]
    fn named_paths_are_always_tried() {
        let paths = ["-", "/no/such/file", "/etc/hostname", "-"];
        assert_eq!(expand(&paths).files, paths.map(PathBuf::from));
    }
}
