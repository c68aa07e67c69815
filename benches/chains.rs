//! What it costs to judge a chain of certificates: one seen before, and one of RSA-2048 met for the first time.
//!
//! `cargo bench --bench chains` makes a root, an intermediate and a leaf with `openssl` once, in target/bench/chains.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![expect(clippy::expect_used, reason = "no library code")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use tlswhy::base::Stamp;
use tlswhy::tls::cert::Certificate;
use tlswhy::tls::chain::{ChainCache, KeyUse, Pool, Question, assess, assess_cached};
use tlswhy::tls::trust::{Trust, certificates};

/// Rounds of each measurement; the least counts.
const ROUNDS: u32 = 7;

fn main() {
    let ders = chain(&Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/chains"));
    let parse = || ders.iter().map(|der| Arc::new(Certificate::parse(der))).collect::<Vec<_>>();
    let presented = parse();
    let mut trust = Trust::mozilla();
    trust.add(ders.last().expect("a root"));
    let at = presented.first().map_or(Stamp(0), |leaf| leaf.not_before);
    let question =
        |presented: &[Arc<Certificate>], pool: &mut Pool| assess(&ask(presented, at), &trust, pool).len();
    let mut pool = Pool::default();
    println!("defects: {}", question(&presented, &mut pool));

    let read = least(2_000, || parse().len());
    let signatures = least(2_000, || {
        presented
            .iter()
            .zip(presented.iter().skip(1))
            .filter(|(low, high)| low.signed_by(high).holds())
            .count()
    });
    let judged = least(2_000, || question(&presented, &mut pool));
    let cold = least(2_000, || question(&parse(), &mut pool));
    let mut cache = ChainCache::new(1_024);
    let warm = least(200_000, || assess_cached(&ask(&presented, at), &trust, &mut pool, &mut cache).len());
    println!("cold chain of three, RSA 2048: {cold:.1} µs, of which");
    println!("  reading the certificates {read:.1} µs ({:.0} %)", 100.0 * read / cold);
    println!("  two signatures {signatures:.1} µs ({:.0} %)", 100.0 * signatures / cold);
    println!("  the path and the rules {:.1} µs", judged - signatures);
    println!("seen chain: {warm:.3} µs");
}

fn ask(presented: &[Arc<Certificate>], at: Stamp) -> Question<'_> {
    let host = Some("www.example.com");
    Question { presented, at, host, server_ip: None, client: false, uses: KeyUse::Signs }
}

/// Microseconds a time, the least of some rounds.
fn least(times: u32, mut work: impl FnMut() -> usize) -> f64 {
    let round = |_| {
        let begin = Instant::now();
        for _ in 0..times {
            black_box(work());
        }
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(times)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Leaf, intermediate and root, DER.
fn chain(folder: &PathBuf) -> Vec<Vec<u8>> {
    let files = ["leaf.pem", "sub.pem", "root.pem"].map(|name| folder.join(name));
    if !files.iter().all(|file| file.exists()) {
        std::fs::create_dir_all(folder).expect("a folder");
        let run = |line: &str| {
            let done = Command::new("sh").args(["-ec", line]).current_dir(folder).output().expect("sh");
            assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        };
        let ca = "basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign,cRLSign\\nsubjectKeyIdentifier=hash";
        run(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 3650 -subj /CN=Root -addext keyUsage=critical,keyCertSign",
        );
        run("openssl req -newkey rsa:2048 -nodes -keyout sub.key -out sub.csr -subj /CN=Sub");
        run(&format!("printf '{ca}\\nauthorityKeyIdentifier=keyid\\n' > sub.ext"));
        run(
            "openssl x509 -req -in sub.csr -CA root.pem -CAkey root.key -CAcreateserial -days 1825 -extfile sub.ext -out sub.pem",
        );
        run("openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=www.example.com");
        run(
            "printf 'subjectAltName=DNS:www.example.com\\nextendedKeyUsage=serverAuth\\nkeyUsage=critical,digitalSignature\\nauthorityKeyIdentifier=keyid\\nsubjectKeyIdentifier=hash\\n' > leaf.ext",
        );
        run(
            "openssl x509 -req -in leaf.csr -CA sub.pem -CAkey sub.key -CAcreateserial -days 90 -extfile leaf.ext -out leaf.pem",
        );
    }
    let read = |file: &PathBuf| certificates(&std::fs::read(file).expect("a file")).expect("a certificate");
    files.iter().flat_map(read).collect()
}
