//! temp
#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "no library code")]
mod common;
mod floors;
use common::crowd::{Crowd, Flood};
use common::store::{self, Scene};
use common::traffic::Plan;
fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(made) = store::made_for_another(&arguments) {
        return made;
    }
    for scene in [
        Scene::Traffic(Plan { bytes: 200_000_000, mixed: true, unique: true }),
        Scene::Traffic(Plan { bytes: 200_000_000, mixed: false, unique: true }),
        Scene::Crowd(Crowd { flows: 10_000, packets: 2_000_000 }),
        Scene::Flood(Flood { syns: 5_000_000, handshakes: 400 }),
    ] {
        let t = std::time::Instant::now();
        let c = scene.capture()?;
        println!("{} {:?} {:?}", c.path.display(), c.made, t.elapsed());
        for _ in 0..3 {
            let t = std::time::Instant::now();
            let h = floors::headers(&c.path)?;
            let a = t.elapsed();
            let t = std::time::Instant::now();
            let f = floors::flows(&c.path)?;
            let b = t.elapsed();
            println!(
                "  {h} {a:?} {f:?} {b:?} {:.0} MB/s {:.0} MB/s",
                c.mb() / a.as_secs_f64(),
                c.mb() / b.as_secs_f64()
            );
        }
    }
    Ok(())
}
