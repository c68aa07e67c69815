//! `tlswhy certs`: the certificates seen, with who serves them.

use std::io::Write as _;

use super::args::{CertsArgs, Format};
use super::captures::Captures;
use super::{Done, Failure, keylog, output};
use crate::base::Stamp;
use crate::event::{self, Inventory};
use crate::evidence::Chain;
use crate::pipeline::{self, Judged, Make};
use crate::report;
use crate::report::certs::Sealed;

/// Files away what attempts presented.
#[derive(Default)]
struct Clerk {
    inventory: Inventory,
    sealed: Sealed,
}

impl Make for Clerk {
    type Made = ();

    const ASKS_FOR_SEALED: bool = true;

    fn make(&mut self, judged: Judged) {
        if matches!(judged.evidence.chain, Chain::Sealed(_)) {
            self.sealed.hidden += 1;
            self.sealed.by_size += u64::from(judged.evidence.around.shown_before.is_some());
        }
        self.inventory.add(&judged.evidence);
    }
}

/// Runs `certs`.
pub fn run(args: &CertsArgs) -> Result<Done, Failure> {
    let settings = output::settings(&args.shared, true)?;
    keylog::read(&args.shared.keylog, &settings.keys)?;
    let mut captures = Captures::find(&args.paths, args.shared.filter.as_deref(), args.no_progress)?
        .with_keys(&settings.keys);
    if captures.files.is_empty() {
        return Ok(Done::Partly);
    }
    let mut clerk = Clerk::default();
    let stats = captures.each(|source, _, _| {
        let settings = output::for_file(&settings, args.shared.workers, source.reader.size());
        Ok(pipeline::analyse(source, &settings, &mut clerk, &mut |()| ()))
    })?;
    let now = stats.last.unwrap_or(Stamp(0));
    let items = clerk.inventory.by_expiry();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Table => {
            let text = report::certs::render(&items, now, clerk.sealed, output::style(args.shared.color));
            out.write_all(text.as_bytes())?;
        }
        Format::Json => {
            let mut line = Vec::new();
            for item in items {
                line.clear();
                event::certificate_event(item, now, &mut line);
                out.write_all(&line)?;
            }
        }
        Format::Csv => {
            event::certificates_csv(&items, now, &mut out)?;
        }
    }
    out.flush()?;
    if clerk.inventory.beyond > 0 {
        eprintln!(
            "tlswhy: {} certificates are listed; further ones were presented {} times and are not (split the captures)",
            Inventory::MOST,
            clerk.inventory.beyond
        );
    }
    Ok(if captures.problems > 0 { Done::Partly } else { Done::Well })
}
