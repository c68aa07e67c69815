//! `--keylog`: files of secrets, read whole, or as they grow.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use zeroize::{Zeroize as _, Zeroizing};

use super::Failure;
use super::output::say;
use crate::tls::keys::{Counts, Keys};

/// Bytes read at once, and the longest line: real ones have some 200.
const CHUNK: usize = 64 << 10;

/// What is not yet a whole line of a file.
#[derive(Default)]
struct Lines {
    rest: Zeroizing<Vec<u8>>,
    counts: Counts,
}

impl Lines {
    /// Hands on what is whole by now.
    fn take(&mut self, bytes: &[u8], keys: &Keys) {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let (now, later) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
        if !now.is_empty() {
            self.rest.extend_from_slice(now);
            self.end(keys);
        }
        self.rest.extend_from_slice(later);
        if self.rest.len() > CHUNK {
            // No line is so long.
            self.counts.malformed += 1;
            self.rest.zeroize();
        }
    }

    /// The last line needs no end.
    fn end(&mut self, keys: &Keys) {
        self.counts.add(keys.add(&self.rest));
        self.rest.zeroize();
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::Says(format!(
            "cannot read {}: {error}; --keylog takes a TLS key log, as programs write it to SSLKEYLOGFILE",
            path.display()
        ))
    };
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(Failure::Says(format!("{} is a folder; --keylog takes a file", path.display())));
    }
    Ok(file)
}

/// What was odd about a file, told once.
fn tell(path: &Path, counts: Counts) {
    if counts.malformed > 0 {
        say(format_args!(
            "{}: {} that are no lines of a key log (label, client random, secret) are left out",
            path.display(),
            if counts.malformed == 1 { "1 line".to_owned() } else { format!("{} lines", counts.malformed) },
        ));
    } else if counts.taken == 0 && counts.other == 0 {
        say(format_args!("{}: no secret inside", path.display()));
    }
}

/// Reads whole key logs.
///
/// # Errors
/// One of them cannot be read.
pub fn read(paths: &[PathBuf], keys: &Keys) -> Result<(), Failure> {
    for path in paths {
        let mut file = open(path)?;
        let mut lines = Lines::default();
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        loop {
            let read = match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    return Err(Failure::Says(format!("cannot read {}: {error}", path.display())));
                }
            };
            lines.take(chunk.get(..read).unwrap_or_default(), keys);
        }
        lines.end(keys);
        tell(path, lines.counts);
    }
    Ok(())
}

/// A key log that grows.
struct Growing {
    path: PathBuf,
    file: File,
    /// Bytes read of this file.
    at: u64,
    lines: Lines,
    /// Something odd was told.
    told: bool,
}

/// Key logs that grow, for `live`.
pub struct Tails {
    all: Vec<Growing>,
    keys: Keys,
}

impl Tails {
    /// Opens them, and reads what is there already.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub fn open(paths: &[PathBuf], keys: &Keys) -> Result<Self, Failure> {
        let all = paths.iter().map(|path| {
            let file = open(path)?;
            Ok(Growing { path: path.clone(), file, at: 0, lines: Lines::default(), told: false })
        });
        let mut tails = Self { all: all.collect::<Result<_, Failure>>()?, keys: keys.clone() };
        if !tails.all.is_empty() {
            keys.will_come();
        }
        tails.follow();
        Ok(tails)
    }

    /// Takes what was written since the last time, also where the file was cut or replaced.
    pub fn follow(&mut self) {
        for tail in &mut self.all {
            tail.follow(&self.keys);
        }
    }

    /// SIGHUP: has the files opened anew.
    pub fn reopen(&mut self) {
        for tail in &mut self.all {
            tail.follow(&self.keys);
            match File::open(&tail.path) {
                Ok(file) => tail.turn(file),
                Err(error) => say(format_args!(
                    "{} cannot be opened anew: {error}; the old file is read on",
                    tail.path.display()
                )),
            }
        }
    }
}

impl Growing {
    /// Another file has taken the place of this one.
    fn turn(&mut self, file: File) {
        let id = |file: &File| file.metadata().ok().map(|about| (about.dev(), about.ino()));
        if id(&file) != id(&self.file) {
            self.file = file;
            self.at = 0;
            self.lines.rest.zeroize();
        }
    }

    fn follow(&mut self, keys: &Keys) {
        self.read(keys);
        // Whoever rotates it puts a new file in its place.
        let replaced = std::fs::metadata(&self.path).is_ok_and(|new| {
            self.file.metadata().is_ok_and(|old| (old.dev(), old.ino()) != (new.dev(), new.ino()))
        });
        if replaced && let Ok(file) = File::open(&self.path) {
            self.turn(file);
            self.read(keys);
        }
        if self.lines.counts.malformed > 0 && !self.told {
            self.told = true;
            tell(&self.path, self.lines.counts);
        }
    }

    fn read(&mut self, keys: &Keys) {
        if self.file.metadata().is_ok_and(|about| about.is_file() && about.len() < self.at) {
            self.at = 0;
            self.lines.rest.zeroize();
        }
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        while let Ok(read @ 1..) = self.file.read_at(&mut chunk, self.at) {
            self.at += read as u64;
            self.lines.take(chunk.get(..read).unwrap_or_default(), keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PacketNo;
    use std::io::Write as _;

    fn line(random: u8) -> String {
        format!("CLIENT_RANDOM {} {}\n", format!("{random:02x}").repeat(32), "77".repeat(48))
    }

    fn knows(keys: &Keys, random: u8) -> bool {
        keys.find(&[random; 32], PacketNo(1)).is_some()
    }

    #[test]
    fn a_log_is_read_as_it_grows_is_cut_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let (first, second) = (line(1), line(2));
        std::fs::write(&path, &first).unwrap();
        let keys = Keys::default();
        let mut tails = Tails::open(std::slice::from_ref(&path), &keys).unwrap();
        assert!(knows(&keys, 1));
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        let (half, rest) = second.split_at(70);
        file.write_all(half.as_bytes()).unwrap();
        tails.follow();
        assert!(!knows(&keys, 2), "half a line");
        file.write_all(rest.as_bytes()).unwrap();
        tails.follow();
        assert!(knows(&keys, 2));
        std::fs::write(&path, line(3)).unwrap();
        tails.follow();
        assert!(knows(&keys, 3), "cut");
        std::fs::rename(&path, path.with_extension("1")).unwrap();
        std::fs::write(&path, line(4)).unwrap();
        tails.follow();
        assert!(knows(&keys, 4), "replaced");
        std::fs::remove_file(&path).unwrap();
        tails.follow();
        tails.reopen();
    }

    #[test]
    fn a_log_that_is_not_there_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let said = |result: Result<(), Failure>| result.err().map(|failure| failure.to_string()).unwrap();
        let keys = Keys::default();
        assert!(said(read(std::slice::from_ref(&path), &keys)).contains("SSLKEYLOGFILE"));
        assert!(said(read(&[folder.path().to_path_buf()], &keys)).contains("is a folder"));
        std::fs::write(&path, line(1).trim_end()).unwrap();
        read(std::slice::from_ref(&path), &keys).unwrap();
        assert!(knows(&keys, 1), "the last line needs no end");
    }
}
