//! # tlswhy: why a TLS handshake failed, from packets alone
//!
//! Packets go in one way, judged handshakes come out:
//!
//! ```text
//!  capture ──frames──▶ decode ──▶ shard ×N ──closed attempts, asides──▶ join ──▶ event ──▶ report
//!                                 flow → tls → evidence                 around + cause::weigh
//! ```
//!
//! * [`decode`] finds the innermost TCP segment, UDP datagram or ICMP error of a frame, through link layers, tunnels
//!   and fragments.
//! * A [`pipeline::shard`] follows connections: [`flow`] puts their bytes in order, [`tls`] reads messages from them (and from
//!   datagrams of QUIC and DTLS, and opens what is sealed where there are keys), [`evidence`] keeps every fact with the
//!   packets it was read from. Shards share nothing but the keys.
//! * [`pipeline::join`] sees what leaves all shards. It remembers what belongs to no one connection (DNS answers, OCSP and
//!   CRL exchanges, authorities and what a server showed before), waits for siblings, has [`cause`] judge what failed, and
//!   puts events in order.
//! * An attempt ends in one place for each way of carrying it: [`evidence::attempt::Attempt::close`] in a stream of TCP,
//!   [`evidence::talk::Talk::close`] in datagrams. How it ended is read there; why it failed is asked afterwards, in the
//!   join, and only if it did.
//! * Of a capture on each side of a gateway, [`pipeline::vantages`] runs all this twice and holds an attempt's packets on
//!   one side against those on the other ([`evidence::crossing`]) before it is judged.
//!
//! **Time is the packet's.** The core never reads a clock; the same file gives the same events today, next year and on
//! any number of workers. **Every container has a bound** ([`base::Limits`]), and every loss a counter
//! ([`base::Lost`]) that the events it touched name. **A finding cites packets**: [`cause::Finding`] cannot be made
//! without.
//!
//! `unsafe` is denied but in [`capture::live`]'s ring and map, whose memory the kernel shares, for the hint of [`base::prefetch()`],
//! and in the allocator that the program has (`src/allocator.rs`).
//!
//! # Floors
//!
//! A module imports from the floors below its own only.
//!
//! | floor | modules | I/O |
//! |---|---|---|
//! | 0 | [`base`] | none |
//! | 1 | [`decode`], [`tls`], [`aside`] | none |
//! | 2 | [`flow`] | none |
//! | 3 | [`evidence`] | none |
//! | 4 | [`cause`] | none |
//! | 5 | [`event`] | none |
//! | 6 | [`capture`], [`telemetry`], [`confine`], [`report`] (which only renders) | files, interfaces, one listening socket, the program's own rights |
//! | 7 | [`pipeline`] | threads |
//! | 8 | [`cli`] | arguments, output, exit codes |
//!
//! # Start here
//!
//! To follow one handshake: [`pipeline::run`], then [`pipeline::shard`], then [`evidence::attempt`] or, in datagrams,
//! [`evidence::talk`]. To see what a verdict rests on: any module of [`cause`], whose first lines are also the page that `tlswhy explain` prints, then
//! [`cause::weigh`]. A thirteenth cause is one file, one line in the list of [`cause`], and a folder of captures.
#![deny(unsafe_code)]

pub mod aside;
pub mod base;
pub mod capture;
pub mod cause;
pub mod cli;
pub mod confine;
pub mod decode;
pub mod event;
pub mod evidence;
pub mod flow;
pub mod pipeline;
pub mod report;
pub mod telemetry;
pub mod tls;
