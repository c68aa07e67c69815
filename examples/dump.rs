//! dev
use std::sync::Arc;
use tlswhy::{base::Limits, capture::file::FileReader, pipeline::{self, shard::Ports, Arrival, Source, Settings}, tls::trust::Trust};
struct S(FileReader);
impl Source for S { fn next(&mut self) -> Option<Arrival<'_>> { self.0.next().map(Arrival::Frame) } }
fn main() {
    let trust = Arc::new(Trust::mozilla());
    let workers = std::env::var("W").ok().and_then(|w| w.parse().ok()).unwrap_or(1);
    for path in std::env::args().skip(1) {
        let reader = match FileReader::open(std::path::Path::new(&path)) { Ok(r) => r, Err(e) => { eprintln!("{e}"); continue } };
        let settings = Settings { workers, limits: Arc::new(Limits::default()), ports: Arc::new(Ports::new(&Ports::DEFAULT)), trust: trust.clone(), in_order: true };
        let p = path.clone();
        let t = pipeline::analyse(&mut S(reader), &settings, &mut move |j| {
            let e = &j.evidence;
            let d = j.diagnosis.as_ref();
            println!("{p}\t{}\t{}\t{}\t{}\t{:?}\t{}\t{:?}\t{:?}\t{}\t{:?}", e.client, e.server, e.outcome.word(), e.stage.word(), e.ending.value, e.sni().unwrap_or("-"),
              d.and_then(|d| d.primary.as_ref().map(|(c,f)| (c.word(), f.reason, f.certainty.word(), f.proofs.iter().map(|p|p.says.clone()).collect::<Vec<_>>()))), e.lost.counted().collect::<Vec<_>>(), e.first, e.defects.iter().map(|d|d.fault).collect::<Vec<_>>());
        });
        eprintln!("{path}: {} packets", t.packets);
    }
}
