//! The attempts of a capture as the library has them, where the words of an event are not enough.

use std::path::Path;
use std::sync::Arc;

use tlswhy::base::Limits;
use tlswhy::capture::file::FileReader;
use tlswhy::evidence::Evidence;
use tlswhy::pipeline::shard::Ports;
use tlswhy::pipeline::{Arrival, AsJudged, Judged, Settings, Source, analyse};
use tlswhy::tls::keys::Keys;
use tlswhy::tls::trust::Trust;

use super::root;

struct File(FileReader);

impl Source for File {
    fn next(&mut self) -> Option<Arrival<'_>> {
        self.0.next().map(Arrival::one)
    }
}

/// The attempts of a capture, by its own keys, which are put in `keys`.
pub fn attempts_with(path: &Path, keys: &Keys) -> Vec<Evidence> {
    let settings = Settings {
        workers: 1,
        limits: Arc::new(Limits::default()),
        ports: Arc::new(Ports::new(&Ports::DEFAULT)),
        trust: Arc::new(Trust::empty("none")),
        given: Arc::default(),
        keys: keys.clone(),
        in_order: true,
    };
    let mut all = Vec::new();
    let reader = FileReader::open(&root().join(path)).expect("the capture is opened");
    let mut source = File(reader.with_keys(keys));
    analyse(&mut source, &settings, &mut AsJudged, &mut |judged: Judged| all.push(*judged.evidence));
    all
}

/// The same, their signatures verified whatever became of them.
pub fn attempts(path: &Path) -> Vec<Evidence> {
    let mut all = attempts_with(path, &Keys::default());
    all.iter_mut().for_each(Evidence::verify_signatures);
    all
}
