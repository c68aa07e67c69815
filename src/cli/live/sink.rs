//! Where events go: standard output, or a file. Either may fail for a while and take events again; a file is opened anew
//! when it has been rotated away.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An output of lines.
#[derive(Debug)]
pub struct Sink {
    file: File,
    /// Where it is opened anew; `None` for standard output.
    path: Option<PathBuf>,
    /// The end of a line of which a part was taken: it comes first when the output takes bytes again.
    rest: Vec<u8>,
}

impl Sink {
    /// Standard output, without a buffer between.
    ///
    /// # Errors
    /// It was closed before the program began.
    pub fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { file, path: None, rest: Vec::new() })
    }

    /// A file, to whose end lines are added.
    ///
    /// # Errors
    /// It cannot be opened, in words that name it.
    pub fn file(path: &Path) -> Result<Self, String> {
        let file = open(path)?;
        Ok(Self { file, path: Some(path.to_owned()), rest: Vec::new() })
    }

    /// Whether it is standard output.
    pub fn is_stdout(&self) -> bool {
        self.path.is_none()
    }

    /// Its name, for people.
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard output".into(), |path| path.display().to_string())
    }

    /// Opens a file anew, under the same name. Where that fails the old one stays.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn reopen(&mut self) -> Result<(), String> {
        if let Some(path) = &self.path {
            self.file = open(path)?;
            // The begun line stays in the old file.
            self.rest.clear();
        }
        Ok(())
    }

    /// Writes whole lines. Gives how many bytes of them were taken, where a line of which a part was taken counts: its rest
    /// follows at the next write.
    pub fn write(&mut self, lines: &[u8]) -> (usize, Option<io::Error>) {
        let rest = std::mem::take(&mut self.rest);
        if let (taken, Some(error)) = self.put(&rest) {
            self.rest = rest.get(taken..).unwrap_or_default().to_vec();
            return (0, Some(error));
        }
        let (taken, error) = self.put(lines);
        let begun = taken > 0 && lines.get(taken - 1) != Some(&b'\n');
        if error.is_none() || !begun {
            return (taken, error);
        }
        let left = lines.get(taken..).unwrap_or_default();
        let end = left.iter().position(|&byte| byte == b'\n').map_or(left.len(), |place| place + 1);
        self.rest = left.get(..end).unwrap_or_default().to_vec();
        (taken + end, error)
    }

    /// Writes until an error; gives how much was taken before it.
    fn put(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let mut taken = 0;
        while let Some(left) = bytes.get(taken..).filter(|left| !left.is_empty()) {
            match self.file.write(left) {
                Ok(0) => return (taken, Some(ErrorKind::WriteZero.into())),
                Ok(len) => taken += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody made the other end of our standard output impatient; we are not.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return (taken, Some(error)),
            }
        }
        (taken, None)
    }
}

fn open(path: &Path) -> Result<File, String> {
    File::options().append(true).create(true).open(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => " (make its folder, or choose another file by -o)",
            ErrorKind::PermissionDenied => " (who runs tlswhy must be allowed to write there)",
            _ => "",
        };
        format!("cannot open {}: {}{hint}", path.display(), crate::capture::plainly(&error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_line_of_which_a_part_was_taken_is_ended_before_others_follow() {
        let (mut reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut sink = Sink { file, path: None, rest: b"d of a line\n".to_vec() };
        let (taken, error) = sink.write(b"one\ntwo\n");
        assert_eq!((taken, error.is_none()), (8, true));
        drop(sink);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "d of a line\none\ntwo\n");
    }

    #[test]
    fn a_full_disk_takes_nothing_and_says_so() {
        let Ok(mut sink) = Sink::file(Path::new("/dev/full")) else {
            eprintln!("skipped: there is no /dev/full");
            return;
        };
        let (taken, error) = sink.write(b"one\n");
        assert_eq!((taken, error.unwrap().kind()), (0, ErrorKind::StorageFull));
        assert!(sink.rest.is_empty());
    }

    #[test]
    fn a_folder_that_is_missing_is_named_with_what_to_do() {
        let said = Sink::file(Path::new("/no/such/folder/events.jsonl")).unwrap_err();
        assert!(said.starts_with("cannot open /no/such/folder/events.jsonl: "), "{said}");
        assert!(said.contains("make its folder"), "{said}");
    }
}
